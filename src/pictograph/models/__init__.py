"""Model folders: fetched, checked, packed into one file, unpacked, chosen. `docs/models.md` tells how they are used.

Only `pull` reaches the network. Nothing is put into `$PICTOGRAPH_HOME/models` before it is whole and checked.
"""
