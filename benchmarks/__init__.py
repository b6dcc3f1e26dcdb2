"""One question each, one JSON line each. Never asserted in tests.

python -m benchmarks                every question
python -m benchmarks ingest queue   some of them
"""
