"""Journey, step 6: vectors and tags -> searchable rows. Nearest neighbours, tag containment."""
