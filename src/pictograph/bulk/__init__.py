"""The door for bulk data: vectors with names, tags and facts come in and go out, thousands of rows at a time."""
