"""Journey, step 4: pictures and words -> unit vectors. Pure: no database, no network."""
