"""Journey, step 3: "this image must be processed" survives a crash. Claim, lease, retry, the worker's loop."""
