"""The `pictograph` command: a module per group. Everything but `serve` and `worker` goes through the SDK."""
