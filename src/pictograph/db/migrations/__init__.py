"""Numbered SQL files, applied once each, in order, under a lock. A file that has been released never changes."""
