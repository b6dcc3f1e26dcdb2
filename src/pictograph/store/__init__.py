"""Journey, step 2: a checked upload -> a blob and a row. Organizations, keys, datasets, folders, images."""
