"""The offline (demo) encoder: EfficientNet-Lite for pictures, MiniLM for words, nothing to download.

A picture's vector joins two views of it with one constant, so that the cosine of two pictures is

    cos = common + (1 - common) * (picture_share * cos(looks) + (1 - picture_share) * cos(content))

* looks: the network's pooled features less their mean, projected on what the classifier reads of them (767);
* content: the class names' word vectors, mixed by the class probabilities (384; ConSE, arXiv:1312.5650);
* common: one number, the same for every picture. Every cosine goes through one rising straight line: no order changes.

A text's vector has only the middle part, so texts rank pictures by content alone. `docs/offline-encoder.md` has the
measurements, and what this encoder cannot do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from pictograph.encode import offline_assets
from pictograph.encode.offline_assets import ASSETS_FOLDER, OfflineAssets, Recipe
from pictograph.encode.preprocess import network_input
from pictograph.encode.protocol import Encoded, EncoderSpec, FloatArray
from pictograph.errors import ConfigurationError
from pictograph.settings import available_cores
from pictograph.types import DIMENSION
from pictograph.upload.picture import Picture

MAX_TEXT_TOKENS = 128
SMALLEST_LENGTH = 1e-12
"""Below this a vector is taken as zero rather than divided by its length."""
ERRORS_ONLY = 3
KNOWN_COSINE = 0.58
"""Of a text with the nearest class, from which it names something that the network sees. Of 66 labels whose things lay
among 196 photographs all have more, of 143 texts that mean nothing two do. Source: `python -m benchmarks relevance`."""


class OfflineEncoder:
    """Implements `Encoder` with ONNX Runtime alone.

        encoder = OfflineEncoder.load(threads=2)
        encoded = encoder.encode_prepared(np.stack([encoder.prepare(picture)]))
        scores = encoded.vectors @ encoder.encode_texts(["sports car"]).T

    The text half is opened by the first `encode_texts`: a worker that only sees pictures never holds it.
    """

    def __init__(self, assets: OfflineAssets, threads: int | None = None) -> None:
        """assets: already checked. threads: for a forward pass; None uses every core this process may use."""
        self.assets = assets
        self._threads = threads or available_cores()
        self._spec = assets.spec
        self._network = open_session(assets.path(offline_assets.VISION_MODEL), self._threads)
        self._space = PictureSpace(
            assets.recipe,
            feature_mean=assets.array(offline_assets.FEATURE_MEAN),
            projection=assets.array(offline_assets.PROJECTION),
            class_vectors=assets.array(offline_assets.CLASS_VECTORS),
        )

    @classmethod
    def load(cls, threads: int | None = None, *, folder: Path = ASSETS_FOLDER) -> OfflineEncoder:
        """Checks the assets and opens the picture half.

        Raises ConfigurationError if a file is missing or damaged, or if ONNX Runtime cannot run it.
        """
        return cls(OfflineAssets.check(folder), threads)

    @property
    def spec(self) -> EncoderSpec:
        """`offline`, and the revision of the assets."""
        return self._spec

    def prepare(self, picture: Picture) -> FloatArray:
        """float32 (S, S, 3): the middle square of the picture, S = `spec.input_px`. Thread-safe."""
        return network_input(picture.pixels, self._spec.input_px)

    def encode_prepared(self, prepared: FloatArray) -> Encoded:
        """prepared: float32 (N, S, S, 3). The evidence is the 1000 class probabilities, each row summing to 1."""
        features, probabilities = self._network.run(["features", "probabilities"], {"pixels": prepared})
        return Encoded(vectors=self._space.vectors(features, probabilities), evidence=probabilities)

    def encode_texts(self, texts: Sequence[str]) -> FloatArray:
        """float32 (N, 1152) unit rows. English; what is beyond 128 tokens is not read.

        The cosine with a picture is 0.4 times that between the text and the picture's content, so it stays below 0.4.
        """
        vectors = np.zeros((len(texts), DIMENSION), np.float32)
        if len(texts):
            vectors[:, self._space.content_columns] = self._words.vectors(texts)
        return vectors

    @property
    def known_from(self) -> float:
        """See `SightedEncoder`."""
        return KNOWN_COSINE * self._space.content_weight

    def reach(self, texts: FloatArray) -> FloatArray:
        """float32 (N,): the cosine of each text, float32 (N, 1152), with a picture of the class nearest to it."""
        content: FloatArray = texts[:, self._space.content_columns]
        nearest: FloatArray = (content @ self._space.class_vectors.T).max(axis=1)
        return nearest * np.float32(self._space.content_weight)

    @cached_property
    def _words(self) -> WordEncoder:
        return WordEncoder(self.assets, self._threads)


class PictureSpace:
    """Builds the joint vector from what the network sees. Pure."""

    def __init__(
        self, recipe: Recipe, *, feature_mean: FloatArray, projection: FloatArray, class_vectors: FloatArray
    ) -> None:
        """feature_mean: (F,). projection: (L, F), orthonormal rows. class_vectors: (C, W), unit rows. All float32."""
        self._recipe = recipe
        self._mean, self._projection, self.class_vectors = feature_mean, projection, class_vectors
        own = 1.0 - recipe.common_share
        self._looks_weight = np.float32(np.sqrt(own * recipe.picture_share))
        self.content_weight = float(np.sqrt(own * (1.0 - recipe.picture_share)))
        """The cosine of a picture with a text that says what it shows: 0.397."""
        self._common = np.float32(np.sqrt(recipe.common_share))
        self.content_columns = slice(len(projection), len(projection) + class_vectors.shape[1])

    def vectors(self, features: FloatArray, probabilities: FloatArray) -> FloatArray:
        """features: (N, F). probabilities: (N, C). Gives float32 (N, L + W + 1), unit rows."""
        seen: FloatArray = np.matmul(features - self._mean, self._projection.T)
        looks = unit_rows(seen)
        mixed: FloatArray = likeliest(probabilities, self._recipe.classes_mixed) @ self.class_vectors
        content = unit_rows(mixed)
        common = np.full((len(features), 1), self._common, np.float32)
        weighted = (self._looks_weight * looks, np.float32(self.content_weight) * content, common)
        return unit_rows(np.concatenate(weighted, axis=1, dtype=np.float32))


class WordEncoder:
    """MiniLM: texts to 384 numbers."""

    def __init__(self, assets: OfflineAssets, threads: int) -> None:
        self._tokenizer = Tokenizer.from_file(str(assets.path(offline_assets.TOKENIZER)))
        self._tokenizer.enable_truncation(MAX_TEXT_TOKENS)
        self._tokenizer.enable_padding()
        self._network = open_session(assets.path(offline_assets.TEXT_MODEL), threads)

    def vectors(self, texts: Sequence[str]) -> FloatArray:
        """float32 (N, 384) unit rows, N >= 1."""
        encodings = self._tokenizer.encode_batch(list(texts))
        ids = np.array([encoding.ids for encoding in encodings], np.int64)
        mask = np.array([encoding.attention_mask for encoding in encodings], np.int64)
        vectors: FloatArray = self._network.run(["vectors"], {"ids": ids, "mask": mask})[0]
        return vectors


def unit_rows(matrix: FloatArray) -> FloatArray:
    """Returns every row divided by its length; float32 (N, D)."""
    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    unit: FloatArray = matrix / np.maximum(lengths, np.float32(SMALLEST_LENGTH))
    return unit


def likeliest(probabilities: FloatArray, count: int) -> FloatArray:
    """`probabilities` with all but the `count` largest of each row set to 0 (equals of the last one stay)."""
    if count >= probabilities.shape[1]:
        return probabilities
    least = np.partition(probabilities, -count, axis=1)[:, -count, None]
    return np.where(probabilities >= least, probabilities, np.float32(0))


def open_session(model: Path, threads: int) -> Any:
    """Opens an ONNX Runtime session on the CPU.

    Raises ConfigurationError if this ONNX Runtime cannot open the model.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = ERRORS_ONLY
    # Idle threads would spin on the cores that decode the next pictures: a quarter slower end to end when measured.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    with _runtime_errors(model):
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


@contextmanager
def _runtime_errors(model: Path) -> Iterator[None]:
    # ONNX Runtime's exceptions have no common base of their own.
    try:
        yield
    except Exception as error:
        version = onnxruntime.__version__
        raise ConfigurationError(f"ONNX Runtime {version} cannot open {model}: {error}") from error
