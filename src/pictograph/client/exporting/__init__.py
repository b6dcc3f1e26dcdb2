"""The answer of a query -> files. `job.py` is the way through; each other module is one kind of output."""
