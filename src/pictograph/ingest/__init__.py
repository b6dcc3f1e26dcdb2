"""What the steps of the write path are made of; pipeline.py puts them in order."""
