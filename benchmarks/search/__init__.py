"""Who finds the right rows, and how fast? Everybody on the same vectors, folders and questions: docs/benchmarks.md."""
