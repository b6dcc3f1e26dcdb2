"""The nouns of WordNet 3.0 and what each is a kind of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Noun:
    """One synset: its words, and the synsets it is a kind (or an instance) of, by offset."""

    words: tuple[str, ...]
    kinds: tuple[str, ...]


def read_nouns(data_noun: Path) -> dict[str, Noun]:
    """Every noun of a `data.noun` file by its offset of 8 digits, which is an ImageNet wnid without its `n`."""
    lines = data_noun.read_text(encoding="ascii").splitlines()
    return dict(_noun(line) for line in lines if not line.startswith("  "))


def _noun(line: str) -> tuple[str, Noun]:
    fields = line.split(" | ", maxsplit=1)[0].split()
    words_end = 4 + 2 * int(fields[3], 16)
    words = tuple(word.replace("_", " ") for word in fields[4:words_end:2])
    pointers = fields[words_end + 1 :]
    kinds = tuple(pointers[i + 1] for i in range(0, 4 * int(fields[words_end]), 4) if pointers[i] in ("@", "@i"))
    return fields[0], Noun(words, kinds)


def hypernyms(nouns: dict[str, Noun], offset: str) -> list[str]:
    """What `offset` is a kind of, then what that is a kind of, up to `entity`: the first word of each."""
    names = []
    while nouns[offset].kinds:
        offset = nouns[offset].kinds[0]
        names.append(nouns[offset].words[0])
    return names


def ancestors(nouns: dict[str, Noun], offset: str) -> frozenset[str]:
    """`offset` itself and everything it is a kind of, by any way."""
    found: set[str] = set()
    waiting = [offset]
    while waiting:
        offset = waiting.pop()
        if offset not in found:
            found.add(offset)
            waiting.extend(nouns[offset].kinds)
    return frozenset(found)
