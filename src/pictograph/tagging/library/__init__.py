"""The tags of the images that are stored already: calibration, thresholds, and deciding tags again."""
