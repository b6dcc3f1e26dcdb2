"""Journey, step 5: what the encoder saw, and pixel measures -> tags of the taxonomy. Pure, but for `library`."""
