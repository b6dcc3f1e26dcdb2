"""Measures what the steps of a search take on this machine, and what follows from it."""
