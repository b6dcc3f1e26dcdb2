"""One module per group of endpoints. A route parses, calls one method, and returns a wire model."""
