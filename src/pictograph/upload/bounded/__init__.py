"""Pictures are decoded in processes of their own, each with a budget of memory and of time.

`PictureReaders` is the door: bytes in, what was wanted of them out. `child.py` is the program on the other side; it
holds no key, no database and no network, and imports nothing but the decoders.
"""
