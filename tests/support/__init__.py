"""What several test folders share: planted images, running services, generated pictures."""
