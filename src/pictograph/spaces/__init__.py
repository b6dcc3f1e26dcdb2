"""Which encoder made a vector, and moving a library from one encoder to another."""
