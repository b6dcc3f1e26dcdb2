"""Journey, step 6: vectors and tags -> searchable rows. Spaces, nearest neighbours, tag containment."""
