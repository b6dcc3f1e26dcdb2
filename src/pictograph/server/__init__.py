"""The HTTP face: thin routes, one error handler. Logic and SQL live further back along the journey."""
