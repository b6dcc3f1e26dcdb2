"""The only place that reaches PostgreSQL: the pool, the migrations, and the embedded server."""
