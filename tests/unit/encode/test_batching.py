from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from pictograph.encode.batching import Outcome, encode_isolating, joined
from pictograph.encode.protocol import Encoded, EncoderSpec, FloatArray
from pictograph.errors import BadImage
from pictograph.types import DIMENSION
from pictograph.upload.picture import Picture

POISON = -1.0
"""A picture whose first number is this makes the whole forward pass raise."""


class NumberEncoder:
    """Prepared pictures are numbers; the vector points along that axis. Remembers the sizes of its batches."""

    def __init__(self, room_for: int = 1000) -> None:
        self.room_for = room_for
        self.batches: list[int] = []

    @property
    def spec(self) -> EncoderSpec:
        return EncoderSpec("numbers", "1", DIMENSION, 1, has_text=False)

    def prepare(self, picture: Picture) -> FloatArray:
        return picture.pixels[0, 0, :1].astype(np.float32)

    def encode_prepared(self, prepared: FloatArray) -> Encoded:
        self.batches.append(len(prepared))
        if len(prepared) > self.room_for:
            raise MemoryError("no room")
        if (prepared == POISON).any():
            raise RuntimeError("bad picture")
        finite = np.where(np.isfinite(prepared), prepared, 0)[:, 0].astype(int)
        vectors = np.eye(DIMENSION, dtype=np.float32)[finite]
        vectors[~np.isfinite(prepared[:, 0])] = np.nan
        return Encoded(vectors=vectors, evidence=prepared.copy())

    def encode_texts(self, texts: Sequence[str]) -> FloatArray:
        raise NotImplementedError


def numbers(*values: float) -> list[FloatArray]:
    return [np.array([value], np.float32) for value in values]


def axis_of(outcome: Outcome) -> int:
    assert isinstance(outcome, Encoded), outcome
    assert outcome.vectors.shape == (1, DIMENSION)
    return int(outcome.vectors.argmax())


def test_a_good_batch_is_one_forward_pass_in_the_order_given() -> None:
    encoder = NumberEncoder()

    outcomes = encode_isolating(encoder, numbers(5, 3, 9, 3), max_batch=8)

    assert [axis_of(outcome) for outcome in outcomes] == [5, 3, 9, 3]
    assert encoder.batches == [4]


def test_no_pictures_give_no_outcomes() -> None:
    encoder = NumberEncoder()
    assert encode_isolating(encoder, [], max_batch=8) == []
    assert encoder.batches == []


@pytest.mark.parametrize("position", range(8))
def test_a_bad_picture_fails_alone_wherever_it_stands(position: int) -> None:
    values: list[float] = list(range(8))
    values[position] = POISON

    outcomes = encode_isolating(NumberEncoder(), numbers(*values), max_batch=8)

    assert isinstance(outcomes[position], RuntimeError)
    for index, outcome in enumerate(outcomes):
        if index != position:
            assert axis_of(outcome) == index


def test_after_a_bad_picture_the_next_call_works() -> None:
    encoder = NumberEncoder()
    encode_isolating(encoder, numbers(1, POISON), max_batch=2)
    assert axis_of(encode_isolating(encoder, numbers(7), max_batch=2)[0]) == 7


def test_all_pictures_bad_give_an_exception_each() -> None:
    outcomes = encode_isolating(NumberEncoder(), numbers(POISON, POISON, POISON), max_batch=4)
    assert [type(outcome) for outcome in outcomes] == [RuntimeError] * 3


def test_a_batch_too_big_for_the_memory_is_halved_until_it_fits() -> None:
    encoder = NumberEncoder(room_for=2)

    outcomes = encode_isolating(encoder, numbers(*range(7)), max_batch=7)

    assert [axis_of(outcome) for outcome in outcomes] == list(range(7))
    assert max(size for size in encoder.batches if size <= 2) == 2


def test_no_forward_pass_is_larger_than_max_batch() -> None:
    encoder = NumberEncoder()
    encode_isolating(encoder, numbers(*range(10)), max_batch=4)
    assert encoder.batches == [4, 4, 2]


def test_a_vector_that_is_not_finite_fails_its_own_picture_only() -> None:
    outcomes = encode_isolating(NumberEncoder(), numbers(1, float("nan"), 2), max_batch=4)

    assert axis_of(outcomes[0]) == 1
    assert isinstance(outcomes[1], BadImage)
    assert axis_of(outcomes[2]) == 2


def test_a_picture_prepared_in_another_shape_fails_alone() -> None:
    odd = np.zeros((0,), np.float32)
    outcomes = encode_isolating(NumberEncoder(), [*numbers(1, 2), odd, *numbers(3)], max_batch=4)
    assert [axis_of(outcomes[index]) for index in (0, 1, 3)] == [1, 2, 3]
    assert isinstance(outcomes[2], Exception)


def test_max_batch_must_be_at_least_one() -> None:
    with pytest.raises(ValueError, match="max_batch"):
        encode_isolating(NumberEncoder(), numbers(1), max_batch=0)


def test_joined_keeps_every_row_in_order() -> None:
    outcomes = encode_isolating(NumberEncoder(), numbers(4, 2, 6), max_batch=2)
    whole = joined([outcome for outcome in outcomes if isinstance(outcome, Encoded)])
    assert whole.vectors.argmax(axis=1).tolist() == [4, 2, 6]
    assert whole.evidence[:, 0].tolist() == [4, 2, 6]
