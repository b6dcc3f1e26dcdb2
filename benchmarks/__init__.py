"""One question each, one JSON line each. Never asserted in tests.

python -m benchmarks                every question that the service alone can answer
python -m benchmarks ingest queue   some of them
python -m benchmarks encoders       SigLIP's speed, on request: needs torch
python -m benchmarks quality FOLDER is what is found and tagged any good? On request: needs labelled photographs
python -m benchmarks calibration      how long a new SigLIP space waits for its tagger: needs torch, and minutes
python -m benchmarks search         who finds the right rows, and how fast? On request: an hour, other engines
"""
