"""The index in memory: what is known of every image, on one numbering of rows, mapped from files that never change."""
