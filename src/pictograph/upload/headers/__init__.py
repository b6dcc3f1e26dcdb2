"""Sizes and turns out of a file's header, read by ourselves before a decoder sees the file.

The decoders trust some numbers too early: one allocates a whole GIF frame, or walks a million empty PNG chunks, before
anybody can ask for the size. So the containers are walked here first, in bounded steps, and nothing is decoded.
"""
