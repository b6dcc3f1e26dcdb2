"""An encoder without a network: what the rest of the pipeline costs is what is left when it runs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from pictograph.encode.protocol import Encoded, EncoderSpec, FloatArray
from pictograph.errors import ConfigurationError
from pictograph.types import DIMENSION
from pictograph.upload.picture import Picture

SPEC = EncoderSpec(name="noop", revision="1", dimension=DIMENSION, input_px=224, has_text=False)


class NoopEncoder:
    """Unit vectors drawn from the pixels' hash: equal pictures agree, all others are far apart."""

    @property
    def spec(self) -> EncoderSpec:
        """Always the same: `noop`, revision 1."""
        return SPEC

    def prepare(self, picture: Picture) -> FloatArray:
        """Returns the SHA-256 of the shape and the pixels as float32 (16,), each a whole number below 65536."""
        digest = hashlib.sha256(repr(picture.pixels.shape).encode())
        digest.update(picture.pixels.tobytes())
        return np.frombuffer(digest.digest(), np.uint16).astype(np.float32)

    def encode_prepared(self, prepared: FloatArray) -> Encoded:
        """prepared: float32 (N, 16). Gives N pseudo-random unit vectors and evidence (N, 0)."""
        vectors = np.stack([_unit_vector(row) for row in prepared])
        return Encoded(vectors=vectors, evidence=np.empty((len(prepared), 0), np.float32))

    def encode_texts(self, texts: Sequence[str]) -> FloatArray:  # noqa: ARG002
        """Raises ConfigurationError: there is nothing here that reads."""
        raise ConfigurationError("The noop encoder cannot read words. Choose another encoder to search by text.")


def _unit_vector(seed: FloatArray) -> FloatArray:
    vector = np.random.default_rng(seed.astype(np.uint32)).standard_normal(DIMENSION, np.float32)
    return vector / np.linalg.norm(vector)
