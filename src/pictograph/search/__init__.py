"""Journey, step 7: a question -> ranked images."""
