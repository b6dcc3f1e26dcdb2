"""The parts of `build_offline_encoder.py`: sources -> graphs -> class table -> assets. Needs torch; never shipped."""
