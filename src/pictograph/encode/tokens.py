"""From words to the token numbers a SigLIP text tower was trained on: lower case, and always the full length."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing

TOKENIZER: Final = "tokenizer.json"
TOKENIZER_CONFIG: Final = "tokenizer_config.json"
SPECIAL_TOKENS_MAP: Final = "special_tokens_map.json"

TokenArray: TypeAlias = npt.NDArray[np.int64]


class SiglipTokenizer:
    """Reads `tokenizer.json` itself: which class the checkpoint names for it has changed more than once, and with it
    whether texts were lower-cased (transformers#43054).

    The text tower reads its answer off the last position, so padding is part of the input: a text that is padded to
    another length, or not at all, gets another, useless vector (big_vision#186). Without lower case retrieval loses 3
    to 7 points (big_vision#166).
    """

    def __init__(self, folder: Path, length: int) -> None:
        """length: tokens of every text, `max_position_embeddings` of the checkpoint's text tower.

        Raises OSError, ValueError or LookupError if a file is missing or not what a tokenizer needs.
        """
        settings = _settings(folder)
        self._tokenizer = _opened(folder / TOKENIZER)
        _mark_ends(self._tokenizer, settings)
        pad = _word(settings["pad_token"])
        self._tokenizer.enable_truncation(length)
        self._tokenizer.enable_padding(
            direction=settings.get("padding_side", "right"),
            pad_id=_id(self._tokenizer, pad),
            pad_token=pad,
            length=length,
        )

    def tokens(self, texts: Sequence[str]) -> TokenArray:
        """int64 (N, length); N >= 1. What is beyond the length is not read; the end mark stays."""
        encodings = self._tokenizer.encode_batch([text.lower() for text in texts])
        return np.array([encoding.ids for encoding in encodings], np.int64)


def _settings(folder: Path) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for name in (SPECIAL_TOKENS_MAP, TOKENIZER_CONFIG):
        if (folder / name).is_file():
            settings |= json.loads((folder / name).read_text(encoding="utf-8"))
    return settings


def _opened(path: Path) -> Tokenizer:
    text = path.read_text(encoding="utf-8")
    try:
        return Tokenizer.from_str(text)
    except Exception as error:  # tokenizers raises bare Exception
        raise ValueError(f"{path.name} cannot be read: {error}") from error


def _mark_ends(tokenizer: Tokenizer, settings: Mapping[str, Any]) -> None:
    """Where the config says which marks a text gets, it decides; else the tokenizer file does."""
    if "add_eos_token" not in settings and "add_bos_token" not in settings:
        return
    begin = [_word(settings["bos_token"])] if settings.get("add_bos_token") else []
    end = [_word(settings["eos_token"])] if settings.get("add_eos_token") else []
    marks = [(mark, _id(tokenizer, mark)) for mark in begin + end]
    tokenizer.post_processor = TemplateProcessing(single=[*begin, "$A", *end], special_tokens=marks)


def _word(token: object) -> str:
    """Returns a token's text: a special token is stored as text, or as an object with its text under `content`."""
    return str(token["content"]) if isinstance(token, dict) else str(token)


def _id(tokenizer: Tokenizer, token: str) -> int:
    number = tokenizer.token_to_id(token)
    if number is None:
        raise LookupError(f"{TOKENIZER} has no token {token!r}")
    return int(number)
