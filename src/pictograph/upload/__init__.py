"""Journey, step 1: uploaded bytes -> a checked, upright picture. Pure: no database, no network."""
