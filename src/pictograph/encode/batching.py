"""One forward pass for many pictures, and a bad picture fails alone."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np

from pictograph.encode.protocol import Encoded, Encoder, FloatArray
from pictograph.errors import BadImage

Outcome: TypeAlias = Encoded | Exception
"""One picture's row (`Encoded` with N = 1), or why it has none."""


def encode_isolating(encoder: Encoder, prepared: Sequence[FloatArray], max_batch: int) -> list[Outcome]:
    """One outcome per picture, in the order given; at most `max_batch` (>= 1) pictures share a forward pass.

    A pass that raises is tried again in halves, down to single pictures, so that only the picture that cannot be
    encoded gets the exception, and a batch too big for the memory is split. A row that is not finite is a `BadImage`.
    """
    if max_batch < 1:
        raise ValueError(f"max_batch must be at least 1, not {max_batch}")
    outcomes: list[Outcome] = []
    for start in range(0, len(prepared), max_batch):
        outcomes.extend(_halving(encoder, prepared[start : start + max_batch]))
    return outcomes


def joined(encoded: Sequence[Encoded]) -> Encoded:
    """Several batches (at least one) as one, row after row."""
    return Encoded(
        vectors=np.concatenate([batch.vectors for batch in encoded]),
        evidence=np.concatenate([batch.evidence for batch in encoded]),
    )


def _halving(encoder: Encoder, prepared: Sequence[FloatArray]) -> list[Outcome]:
    try:
        return list(_rows(encoder.encode_prepared(np.stack(prepared))))
    except Exception as error:  # noqa: BLE001  a batch's edge: whatever it was, the other pictures must not share it
        _let_go(error)
        failure = error
    if len(prepared) == 1:
        return [failure]
    half = len(prepared) // 2
    return _halving(encoder, prepared[:half]) + _halving(encoder, prepared[half:])


def _let_go(error: BaseException | None) -> None:
    """Empties the frames behind the error: they hold the failed pass's tensors, which may be what filled the memory."""
    while error:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def _rows(encoded: Encoded) -> Iterator[Outcome]:
    for row in range(len(encoded.vectors)):
        alone = Encoded(encoded.vectors[row : row + 1], encoded.evidence[row : row + 1])
        if np.isfinite(alone.vectors).all() and np.isfinite(alone.evidence).all():
            yield alone
        else:
            yield BadImage("The network gives no finite vector for this picture. Save it again, or leave it out.")
