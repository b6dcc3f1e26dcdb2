"""What a process that encodes settles once, before it begins: threads of BLAS, and memory that goes back."""

from __future__ import annotations

import contextlib
import ctypes
from typing import Final

from threadpoolctl import ThreadpoolController

M_MMAP_THRESHOLD: Final = -3
"""glibc's malloc.h"""
LARGE_BLOCK_BYTES: Final = 16 * 1024 * 1024


def keep_blas_quiet() -> None:
    """One thread for NumPy's small matrix products.

    OpenBLAS threads spin after each, on the cores that the encoder needs: a tenth of the processor time of an ingest.
    """
    ThreadpoolController().select(internal_api="openblas").limit(limits=1)


def give_large_blocks_back() -> None:
    """Memory of large files goes back to the system when it is freed.

    By default glibc learns from the first large block that is freed to keep up to 32 MB of each later one, in every
    thread. No effect where the C library is another.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES)
