"""SigLIP and SigLIP 2 of fixed resolution, from a folder in the Hugging Face format. Nothing is ever downloaded here.

`docs/siglip.md` tells how to get a model, and what was measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Final

import numpy as np

from pictograph.encode.checkpoint import Checkpoint
from pictograph.encode.protocol import Encoded, EncoderSpec, FloatArray
from pictograph.encode.tokens import SiglipTokenizer
from pictograph.errors import ConfigurationError
from pictograph.settings import available_cores
from pictograph.types import DIMENSION
from pictograph.upload.picture import Picture
from pictograph_search import install_command

if TYPE_CHECKING:
    from pictograph.encode.towers import PictureTower, WordTower

CPU_BATCH: Final = 4
"""Pictures in one pass on a CPU: more are not faster there, and only take memory (docs/siglip.md)."""
TEXT_BATCH: Final = 64


class SiglipEncoder:
    """Implements `PairEncoder` for any fixed-resolution SigLIP or SigLIP 2 checkpoint.

        encoder = SiglipEncoder.load(Path("models/siglip2-base-patch16-224"))
        encoded = encoder.encode_prepared(np.stack([encoder.prepare(picture)]))
        cosines = encoded.vectors @ encoder.encode_texts(["a red truck at night"]).T
        probabilities = 1 / (1 + np.exp(-(encoder.logit_scale * cosines + encoder.logit_bias)))

    Each tower is opened by the first call that needs it (`load` opens the one for pictures). A worker holds the words'
    network only while it makes the calibration of a new space; an encoder made by the constructor, which only reads
    texts, never holds the pictures'.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        device: str | None = None,
        threads: int | None = None,
        dtype: str | None = None,
    ) -> None:
        """device: `cpu`, `cuda`, `cuda:1`; None takes a GPU if there is one.

        threads: for a pass on the CPU, in this whole process; None uses every core.
        dtype: `float32`, `bfloat16`, `float16` for pictures; None takes the fastest that gives the same vectors.
        Raises ConfigurationError if torch or transformers is missing, or the device is.
        """
        self.checkpoint = checkpoint
        self._towers, self._precision = _import_torch_parts()
        self._dtype = dtype
        self._device = self._towers.chosen_device(device)
        if self._device.type == "cpu":
            self._towers.use_threads(threads or available_cores())
        self._logits = self._towers.read_logits(checkpoint)
        self._spec = checkpoint.spec()

    @classmethod
    def load(
        cls, folder: Path, *, device: str | None = None, threads: int | None = None, dtype: str | None = None
    ) -> SiglipEncoder:
        """Loads the model in `folder`, ready for pictures. Parameters as in the constructor.

        Raises ConfigurationError, with the fix, if a file is missing, damaged or of another model.
        """
        encoder = cls(Checkpoint.read(folder), device=device, threads=threads, dtype=dtype)
        encoder._pictures  # noqa: B018  opened now: a worker that cannot see must say so before it claims anything
        return encoder

    @property
    def spec(self) -> EncoderSpec:
        """The model's name, and the hash of its weights and settings."""
        return self._spec

    @property
    def dtype(self) -> str:
        """What pictures are encoded in: `float32`, `bfloat16` or `float16`. Opens their network."""
        return str(self._pictures.dtype).removeprefix("torch.")

    @property
    def logit_scale(self) -> float:
        """What a cosine between a picture and a text is multiplied by (the checkpoint stores the logarithm)."""
        return float(self._logits.scale)

    @property
    def logit_bias(self) -> float:
        """What is added then; the sigmoid of the sum is the model's own probability that the two belong together."""
        return float(self._logits.bias)

    def prepare(self, picture: Picture) -> FloatArray:
        """float32 (3, S, S): squashed and normalised as the checkpoint's preprocessor file says. Thread-safe."""
        return self.checkpoint.recipe.apply(picture.pixels)

    def encode_prepared(self, prepared: FloatArray) -> Encoded:
        """prepared: float32 (N, 3, S, S). The evidence is empty: a tagger compares the vectors with those of texts.

        A GPU takes all N at once; where 16 bits overflow, the row is not finite.
        """
        step = len(prepared) if self._device.type == "cuda" else CPU_BATCH
        vectors = [self._pictures.vectors(prepared[start : start + step]) for start in range(0, len(prepared), step)]
        return Encoded(vectors=zero_padded(np.concatenate(vectors)), evidence=np.empty((len(prepared), 0), np.float32))

    def encode_texts(self, texts: Sequence[str]) -> FloatArray:
        """float32 (N, 1152) unit rows. Lower-cased here; what is beyond the model's length (64 tokens) is not read."""
        batches = [texts[start : start + TEXT_BATCH] for start in range(0, len(texts), TEXT_BATCH)]
        if not batches:
            return np.zeros((0, DIMENSION), np.float32)
        return zero_padded(np.concatenate([self._words.vectors(self._tokenizer.tokens(batch)) for batch in batches]))

    def forget_words(self) -> None:
        """Closes the words' network, if it is open."""
        if self.__dict__.pop("_words", None) is not None:
            self._towers.give_memory_back(self._device)

    @cached_property
    def _pictures(self) -> PictureTower:
        tower: PictureTower = self._precision.open_picture_tower(self.checkpoint, self._device, self._dtype)
        return tower

    @cached_property
    def _words(self) -> WordTower:
        tower: WordTower = self._towers.WordTower(self.checkpoint, self._device)
        return tower

    @cached_property
    def _tokenizer(self) -> SiglipTokenizer:
        try:
            return SiglipTokenizer(self.checkpoint.folder, self.checkpoint.text_length)
        except (OSError, ValueError, LookupError) as error:
            raise ConfigurationError(
                f"The tokenizer in {self.checkpoint.folder} cannot be used: {error}. Copy the whole model again."
            ) from error


def zero_padded(vectors: FloatArray) -> FloatArray:
    """vectors: float32 (N, D), D <= 1152. Gives float32 (N, 1152); lengths and cosines stay."""
    return np.pad(vectors, ((0, 0), (0, DIMENSION - vectors.shape[1])))


def _import_torch_parts() -> tuple[ModuleType, ModuleType]:
    try:
        from pictograph.encode import precision, towers  # noqa: PLC0415  torch takes seconds; only this encoder needs it
    except ImportError as error:
        raise ConfigurationError(f"SigLIP needs the package {error.name!r}: {install_command('siglip')}") from error
    return towers, precision
