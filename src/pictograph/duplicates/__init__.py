"""Near-duplicates: groups of images in which every member is within the threshold of a named representative."""
