"""Are near-duplicates found, and nothing else; and how long does a large library take?

    python -m benchmarks duplicates quality                    recall by transformation, on the photographs in PHOTOS
    python -m benchmarks duplicates speed --images 20000       then 100000 and 1000000, on quiet cores

quality: each photograph beside a changed copy of it. The hash alone, the vector alone, the rule that the service has,
and, where `pip install imagehash` was done, that library's pHash and dHash at the same distance. `unrelated` counts
pairs of different photographs that are taken for near-duplicates: PHOTOS should hold none twice.
speed: made-up vectors that lie as image embeddings do (benchmarks/search/mixture.py, 2 % near-duplicates), with random
hashes, of which 2 % are near another's; groups are checked against comparing a sample with every image.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageEnhance, ImageFont, ImageOps
from threadpoolctl import ThreadpoolController

from benchmarks.common import PHOTOS, report
from benchmarks.search.mixture import SOURCES
from pictograph.duplicates.groups import linked
from pictograph.duplicates.measuring import Images
from pictograph.duplicates.rule import DEFAULT_BITS, DEFAULT_THRESHOLD, Hashes, Measured, Rule, hash_bits
from pictograph.encode.registry import load_encoder
from pictograph.search.memory.arrays import FloatArray, Mask, Rows
from pictograph.settings import available_cores
from pictograph.types import DIMENSION
from pictograph.upload.decode import decode_picture
from pictograph.upload.limits import PictureLimits
from pictograph.upload.perceptual_hash import perceptual_hash

Change: TypeAlias = Callable[[Image.Image], Image.Image]

RULE: Final = Rule.of(DEFAULT_THRESHOLD, DEFAULT_BITS)
LONG_SIDE_PX: Final = 800
CHECKED: Final = 100
NO_PAIRS: Final = np.zeros((0, 2), np.int64)


def again(format: str, **options: Any) -> Change:
    """Saved and read again."""

    def change(image: Image.Image) -> Image.Image:
        file = BytesIO()
        image.save(file, format, **options)
        return Image.open(file).convert("RGB")

    return change


def scaled(factor: float) -> Change:
    def change(image: Image.Image) -> Image.Image:
        size = (max(16, round(image.width * factor)), max(16, round(image.height * factor)))
        return image.resize(size, Image.Resampling.BICUBIC)

    return change


def cut(part: float, across: float = 0.5, down: float = 0.5) -> Change:
    """A window of `part` of each side."""

    def change(image: Image.Image) -> Image.Image:
        width, height = round(image.width * part), round(image.height * part)
        left, top = round((image.width - width) * across), round((image.height - height) * down)
        return image.crop((left, top, left + width, top + height))

    return change


def framed(image: Image.Image) -> Image.Image:
    return ImageOps.expand(image, border=max(2, round(min(image.size) * 0.05)), fill="white")


def written_on(image: Image.Image) -> Image.Image:
    image = image.copy()
    font = ImageFont.load_default(size=max(12, image.height // 12))
    place = (image.width * 0.05, image.height * 0.85)
    ImageDraw.Draw(image).text(place, "(c) somebody", fill="white", font=font, stroke_width=2, stroke_fill="black")
    return image


CHANGES: Final[dict[str, Change]] = {
    **{f"JPEG {quality}": again("JPEG", quality=quality) for quality in (95, 75, 50, 30)},
    "WebP 60": again("WEBP", quality=60),
    "half size": scaled(0.5),
    "quarter size": scaled(0.25),
    "double size": scaled(2),
    "middle 95 %": cut(0.95),
    "middle 90 %": cut(0.9),
    "middle 80 %": cut(0.8),
    "corner 90 %": cut(0.9, 0, 0),
    "mirrored": ImageOps.mirror,
    "brighter x 1.3": lambda image: ImageEnhance.Brightness(image).enhance(1.3),
    "darker x 0.7": lambda image: ImageEnhance.Brightness(image).enhance(0.7),
    "contrast x 1.4": lambda image: ImageEnhance.Contrast(image).enhance(1.4),
    "grey": lambda image: image.convert("L").convert("RGB"),
    "white border 5 %": framed,
    "text on it": written_on,
    "turned 3 degrees": lambda image: image.rotate(3),
    "turned 90 degrees": lambda image: image.transpose(Image.Transpose.ROTATE_90),
}


@dataclass(frozen=True)
class Seen:
    """Pictures as the service sees them."""

    hashes: Hashes
    vectors: FloatArray
    others: dict[str, Mask]
    """Of other hash functions: bool (N, 64)."""


def seen(pictures: Sequence[Image.Image], encoder: Any) -> Seen:
    """Through the decoding, hashing and encoding that the service does."""
    decoded = [decoded_again(picture) for picture in pictures]
    hashes = [perceptual_hash(picture.pixels) & (2**64 - 1) for picture in decoded]
    vectors = [
        encoder.encode_prepared(np.stack([encoder.prepare(picture) for picture in decoded[start : start + 8]])).vectors
        for start in range(0, len(decoded), 8)
    ]
    return Seen(np.array(hashes, np.uint64), widened(np.concatenate(vectors)), other_hashes(pictures))


def decoded_again(picture: Image.Image) -> Any:
    file = BytesIO()
    picture.save(file, "PNG", compress_level=1)
    return decode_picture(file.getvalue(), at_least_px=512, limits=PictureLimits())


def widened(vectors: FloatArray) -> FloatArray:
    whole = np.zeros((len(vectors), DIMENSION), np.float32)
    whole[:, : vectors.shape[1]] = vectors
    return whole


def other_hashes(pictures: Sequence[Image.Image]) -> dict[str, Mask]:
    if find_spec("imagehash") is None:
        return {}
    imagehash = import_module("imagehash")
    return {
        f"imagehash {name}": np.stack([getattr(imagehash, name)(picture).hash.ravel() for picture in pictures])
        for name in ("phash", "dhash")
    }


def quality() -> None:
    """Recall by transformation, and pairs of different photographs that are taken for near-duplicates."""
    paths = sorted(path for path in PHOTOS.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    originals = [opened(path) for path in paths]
    encoder = load_encoder("offline", available_cores())
    own = seen(originals, encoder)
    found: dict[str, dict[str, float]] = {}
    for name, change in CHANGES.items():
        copies = seen([change(picture) for picture in originals], encoder)
        bits, turned = hash_bits(own.hashes, copies.hashes)
        cosines = np.einsum("ij,ij->i", own.vectors, copies.vectors)
        found[name] = {
            key: round(float(hits.mean()), 3)
            for key, hits in verdicts(Measured(bits, turned, cosines), own.others, copies.others).items()
        }
    one, other = np.tril_indices(len(originals), -1)
    bits, turned = hash_bits(own.hashes[one], own.hashes[other])
    measured = Measured(bits, turned, np.einsum("ij,ij->i", own.vectors[one], own.vectors[other]))
    apart = {name: hashes[one] for name, hashes in own.others.items()}
    together = {name: hashes[other] for name, hashes in own.others.items()}
    report(
        "Which changed copies are found, and what else is?",
        photographs=len(originals),
        folder=PHOTOS.name,
        rule=RULE.__dict__ if hasattr(RULE, "__dict__") else str(RULE),
        recall=found,
        unrelated_pairs=len(one),
        unrelated_found={key: int(hits.sum()) for key, hits in verdicts(measured, apart, together).items()},
        unrelated_within_bits={limit: int((bits <= limit).sum()) for limit in (8, 10, 12, 14, 16, 18, 20)},
        unrelated_cosines={
            str(share): round(float(np.quantile(measured.cosines, share)), 3) for share in (0.5, 0.99, 0.999, 0.9999, 1)
        },
    )


def verdicts(measured: Measured, own: dict[str, Mask], copies: dict[str, Mask]) -> dict[str, Mask]:
    """Which pairs each way takes for near-duplicates."""
    theirs = {name: (hashes != copies[name]).sum(axis=1) <= RULE.bits for name, hashes in own.items()}
    return {
        "hash": measured.bits <= RULE.bits,
        "vector": measured.cosines >= RULE.cosine,
        "rule": RULE.holds(measured),
        **theirs,
    }


def opened(path: Path) -> Image.Image:
    with Image.open(path) as file:
        image = ImageOps.exif_transpose(file).convert("RGB")
    image.thumbnail((LONG_SIDE_PX, LONG_SIDE_PX))
    return image


@dataclass(frozen=True)
class Mapped:
    """float16 vectors in a file."""

    rows: npt.NDArray[np.float16]
    has: Mask

    def take(self, rows: Rows) -> FloatArray:
        vectors: FloatArray = self.rows[rows].astype(np.float32)
        return vectors


def made_up(count: int, kind: str, folder: str) -> Images:
    """A library of made-up images, its vectors on the disk."""
    random = np.random.default_rng(1)
    source = SOURCES[kind]()
    rows = np.memmap(Path(folder, "vectors"), np.float16, "w+", shape=(count, DIMENSION))
    order = random.permutation(count)
    start = 0
    for cluster, size in enumerate(random.multinomial(count, source.weights())):
        rows[np.sort(order[start : start + size])] = source.sample(cluster, size, random).astype(np.float16)
        start += size
    hashes = random.integers(1, 2**64, count, np.uint64)
    copies = np.flatnonzero(random.random(count) < 0.02)
    hashes[copies] = hashes[random.integers(0, count, len(copies))]
    for _ in range(4):
        hashes[copies] ^= np.uint64(1) << random.integers(0, 64, len(copies), np.uint64)
    return Images(hashes, np.ones(count, bool), Mapped(rows, np.ones(count, bool)), NO_PAIRS)


def speed(count: int, kind: str) -> None:
    """How long all groups of a library take, with what memory, and what is missing from them."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        images = made_up(count, kind, folder)
        before = resource.getrusage(resource.RUSAGE_SELF)
        began = time.perf_counter()
        cores = available_cores()
        with ThreadpoolController().limit(limits=1), ThreadPoolExecutor(cores) as helpers:
            links = linked(images, RULE, np.arange(count), helpers=helpers)
        took_s = time.perf_counter() - began
        after = resource.getrusage(resource.RUSAGE_SELF)
        report(
            "How long do all groups of a library take?",
            images=count,
            vectors=kind,
            seconds=round(took_s, 1),
            processor_seconds=round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
            members=len(links.members),
            groups=len(np.unique(links.leaders)),
            most_memory_mb=round(after.ru_maxrss / 1000),
            **checked(images, links.members, links.leaders),
        )


def checked(images: Images, members: Rows, leaders: Rows) -> dict[str, Any]:
    """A sample of images beside every other one: leaders must be near no leader before them, members near theirs."""
    random = np.random.default_rng(2)
    count = len(images)
    following = np.zeros(count, bool)
    following[members] = True
    sample = random.choice(count, min(CHECKED, count), replace=False)
    missed = 0
    for place in sample[~following[sample]].tolist():
        before = np.flatnonzero(~following[:place])
        missed += int(RULE.holds(images.measured(np.full(len(before), place), before)).any()) if len(before) else 0
    wrong = int((~RULE.holds(images.measured(members, leaders))).sum())
    return {"checked": len(sample), "missed": missed, "members_outside_the_threshold": wrong}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks duplicates", description=__doc__)
    parser.add_argument("what", choices=("quality", "speed"))
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--vectors", choices=tuple(SOURCES), default="clustered")
    asked = parser.parse_args()
    if asked.what == "quality":
        quality()
    else:
        speed(asked.images, asked.vectors)


if __name__ == "__main__":
    main()
