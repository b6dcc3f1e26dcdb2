"""Whether a safetensors file is whole, from its header alone; needs no torch.

The format: 8 bytes, the header's length, little-endian; the header, JSON, `{tensor: {"data_offsets": [start, end]}}`;
the data. Source: github.com/huggingface/safetensors, README, "Format".
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

LENGTH_BYTES: Final = 8
MAX_HEADER_BYTES: Final = 100_000_000


def fault_of(path: Path) -> str | None:
    """What is wrong with the file, as words that follow its name; None if header and size agree. Raises OSError."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(LENGTH_BYTES), "little")
        if not 0 < length <= min(size - LENGTH_BYTES, MAX_HEADER_BYTES):
            return "has no safetensors header"
        header = file.read(length)
    try:
        ends = [entry["data_offsets"][1] for name, entry in json.loads(header).items() if name != "__metadata__"]
        expected = LENGTH_BYTES + length + max(ends)
    except (ValueError, LookupError, TypeError, AttributeError):
        return "has a damaged safetensors header"
    return None if size == expected else f"has {size} bytes, but its header says {expected}"
