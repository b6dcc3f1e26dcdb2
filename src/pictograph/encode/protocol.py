"""What an encoder is. Offline and SigLIP 2 implement it; the worker knows nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from pictograph.upload.picture import Picture

FloatArray: TypeAlias = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """Who made a vector. Two vectors are comparable if, and only if, their specs are equal."""

    name: str
    """`offline`, `siglip2-so400m-patch14-384`, ..."""
    revision: str
    """Names the weights and the preprocessing: another revision is another space."""
    dimension: int
    """Width of the model's own vectors; rows are zero-padded to 1152."""
    input_px: int
    """The side, in pixels, of the square the network sees; pictures need not be decoded much larger."""
    has_text: bool
    """True if `encode_texts` works."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A batch after the forward pass; row i belongs to input i."""

    vectors: FloatArray
    """float32 (N, 1152), every row of length 1 within 1e-5."""
    evidence: FloatArray
    """float32 (N, E): what this encoder's tagger reads, probabilities from 0 to 1; E may be 0."""


class Encoder(Protocol):
    """Pictures and words to unit vectors. `prepare` is thread-safe; one thread at a time calls the others."""

    @property
    def spec(self) -> EncoderSpec:
        """Who this is; constant for the life of the object."""
        ...

    def prepare(self, picture: Picture) -> FloatArray:
        """One picture resized and normalised as the model's files say: float32, the same shape for every picture.

        Runs on CPU threads, beside the forward pass of another batch.
        """
        ...

    def encode_prepared(self, prepared: FloatArray) -> Encoded:
        """Runs the forward pass. prepared: float32 (N, ...), `prepare`'s rows stacked, N >= 1."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> FloatArray:
        """float32 (N, 1152) unit rows, in the order given. Only if `spec.has_text`.

        Cosines between words and pictures have a scale of their own: compare them with each other, not with those
        between two pictures.
        """
        ...


@runtime_checkable
class PairEncoder(Encoder, Protocol):
    """An encoder that was trained on pictures with their words: it can say how likely the two belong together."""

    @property
    def logit_scale(self) -> float:
        """With the bias: logit = scale * cosine + bias, whose sigmoid is that probability."""
        ...

    @property
    def logit_bias(self) -> float:
        """See `logit_scale`."""
        ...

    def forget_words(self) -> None:
        """Gives back the memory that `encode_texts` took; its next call takes it again."""
        ...


@runtime_checkable
class SightedEncoder(Encoder, Protocol):
    """An encoder that knows a list of things by sight: it can say how near words come to any of them."""

    @property
    def known_from(self) -> float:
        """The `reach` from which a text is about something that the encoder has a sight of."""
        ...

    def reach(self, texts: FloatArray) -> FloatArray:
        """float32 (N,): for each text the highest cosine that a picture of one thing would have with it.

        texts: float32 (N, 1152), as `encode_texts` gave them.
        """
        ...
