"""The numbers of `docs/taxonomy.md`: how well the offline tagger does on a folder of ImageNet photographs.

    python scripts/build_taxonomy_evaluate.py PHOTOS

PHOTOS: files named by WordNet id, `n02504458_African_elephant.JPEG`. Objects are held against that id, attributes
against synthetic degradations of the same photographs. Prints; writes nothing.
"""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

sys.path.insert(0, str(Path(__file__).parent))

from build_taxonomy_classes import CLASS_WNIDS

from pictograph.encode.offline import OfflineEncoder
from pictograph.encode.protocol import Encoded, FloatArray
from pictograph.tag.assign import Assigner, Tagged
from pictograph.tag.measures import MEASURE_NAMES, measure_picture
from pictograph.tag.offline import OfflineTagger
from pictograph.tag.taxonomy import load_taxonomy
from pictograph.types import DIMENSION, TAG_CATEGORIES
from pictograph.upload.decode import decode_picture
from pictograph.upload.limits import PictureLimits
from pictograph.upload.picture import Picture, PictureFacts

Pixels: TypeAlias = npt.NDArray[np.uint8]
Change: TypeAlias = Callable[[Pixels], Pixels]


def gaussian(sigma: float) -> Change:
    return lambda pixels: np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(sigma)))


def motion(length: int, degrees: float = 0) -> Change:
    """Smeared along the rows of the picture turned by `degrees`."""

    def smear(pixels: Pixels) -> Pixels:
        turned = np.asarray(Image.fromarray(pixels).rotate(degrees, Image.Resampling.BICUBIC)).astype(np.float32)
        padded = np.pad(turned, ((0, 0), (length // 2, length - 1 - length // 2), (0, 0)), "edge")
        sums = np.cumsum(np.pad(padded, ((0, 0), (1, 0), (0, 0))), axis=1)
        return ((sums[:, length:] - sums[:, :-length]) / length).astype(np.uint8)

    return smear


def exposure(stops: float) -> Change:
    return lambda pixels: (np.clip((pixels / 255.0) ** 2.2 * 2.0**stops, 0, 1) ** (1 / 2.2) * 255 + 0.5).astype(
        np.uint8
    )


def contrast(factor: float) -> Change:
    return lambda pixels: np.clip((pixels - pixels.mean()) * factor + pixels.mean(), 0, 255).astype(np.uint8)


def noise(deviation: float) -> Change:
    random = np.random.default_rng(0)
    return lambda pixels: np.clip(pixels + random.normal(0, deviation, pixels.shape), 0, 255).astype(np.uint8)


def jpeg(quality: int) -> Change:
    def compress(pixels: Pixels) -> Pixels:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
        return np.asarray(Image.open(buffer))

    return compress


def saturation(factor: float) -> Change:
    def change(pixels: Pixels) -> Pixels:
        grey = np.asarray(Image.fromarray(pixels).convert("L").convert("RGB")).astype(np.float32)
        return np.clip(grey + (pixels - grey) * factor, 0, 255).astype(np.uint8)

    return change


def toned(pixels: Pixels) -> Pixels:
    return (saturation(0)(pixels) * np.array([1.0, 0.82, 0.6])).astype(np.uint8)


def both(first: Change, second: Change) -> Change:
    return lambda pixels: second(first(pixels))


CHANGES: dict[str, Change] = {
    "as they are": lambda pixels: pixels,
    "blur 1 px": gaussian(1),
    "blur 2 px": gaussian(2),
    "blur 4 px": gaussian(4),
    "motion 9 px": motion(9),
    "motion 15 px": motion(15),
    "motion 15 px, 45 degrees": motion(15, 45),
    "blur 2 px + noise 5": both(gaussian(2), noise(5)),
    "blur 2 px + noise 10": both(gaussian(2), noise(10)),
    "blur 2 px, -3 EV": both(gaussian(2), exposure(-3)),
    "-3 EV": exposure(-3),
    "-4 EV": exposure(-4),
    "+2 EV": exposure(2),
    "+3 EV": exposure(3),
    "contrast x 0.4": contrast(0.4),
    "contrast x 2": contrast(2),
    "grey": saturation(0),
    "saturation x 0.4": saturation(0.4),
    "saturation x 1.8": saturation(1.8),
    "sepia": toned,
    "noise 10": noise(10),
    "noise 20": noise(20),
    "JPEG 20": jpeg(20),
}
EXPECTED = {
    "blurry": [name for name in CHANGES if name.startswith(("blur", "motion"))],
    "dark": ["-3 EV", "-4 EV"],
    "underexposed": ["-3 EV", "-4 EV"],
    "low-light": ["-3 EV", "-4 EV"],
    "bright": ["+2 EV", "+3 EV"],
    "overexposed": ["+2 EV", "+3 EV"],
    "low-contrast": ["contrast x 0.4"],
    "high-contrast": ["contrast x 2"],
    "grayscale": ["grey"],
    "sepia": ["sepia"],
    "muted-colors": ["saturation x 0.4"],
    "colorful": ["saturation x 1.8"],
    "noisy": ["noise 10", "noise 20"],
}
"""Attribute -> the changes that should bring it."""

MEASURE_OF = {
    "blurry": ("sharpness", -1),
    "dark": ("luminance_p95", -1),
    "underexposed": ("luminance_p95", -1),
    "low-light": ("luminance_p95", -1),
    "bright": ("luminance_p50", 1),
    "overexposed": ("clipped_white", 1),
    "low-contrast": ("luminance_spread", -1),
    "high-contrast": ("contrast_rms", 1),
    "grayscale": ("chroma", -1),
    "sepia": ("hue_focus", 1),
    "muted-colors": ("colourfulness", -1),
    "colorful": ("colourfulness", 1),
    "noisy": ("noise", 1),
}
"""Attribute -> its leading measure, whose area under the ROC curve is printed, and the sign of it."""


def main(folder: Path) -> None:
    """Prints three Markdown tables and the cost."""
    encoder = OfflineEncoder.load(threads=2)
    paths = sorted(path for path in folder.iterdir() if path.name.split("_")[0] in CLASS_WNIDS)
    pictures = [
        decode_picture(path.read_bytes(), at_least_px=encoder.spec.input_px, limits=PictureLimits()) for path in paths
    ]
    truth = [CLASS_WNIDS.index(path.name.split("_")[0]) for path in paths]
    evidence = np.concatenate(
        [encoder.encode_prepared(encoder.prepare(picture)[np.newaxis]).evidence for picture in pictures]
    )
    tagger = OfflineTagger()
    measures = measures_of(pictures)
    vectors = np.zeros((len(paths), DIMENSION), dtype=np.float32)
    results = Assigner(load_taxonomy()).tagged(tagger.scores(Encoded(vectors, evidence), measures))
    print(
        f"{len(paths)} photographs, {os.cpu_count()} cores, encoder revision {encoder.spec.revision}, {tagger.version}"
    )
    print_cost(pictures)
    print_objects(truth, results)
    print_counts(results)
    print_attributes(pictures, tagger)


def measures_of(pictures: Sequence[Picture]) -> FloatArray:
    return np.stack([measure_picture(picture) for picture in pictures])


def print_cost(pictures: Sequence[Picture]) -> None:
    chosen = [picture for picture in pictures if picture.pixels.size == 500 * 375 * 3]
    times = []
    for picture in chosen * 3:
        start = time.perf_counter()
        measure_picture(picture)
        times.append(1000 * (time.perf_counter() - start))
    if times:
        print(f"\nmeasures: {np.median(times):.2f} ms median, {min(times):.2f} ms best, a picture of 500 x 375")


def print_objects(truth: Sequence[int], results: Sequence[Tagged]) -> None:
    labels = [label for label in load_taxonomy().labels if label.category == "objects"]
    print("\n| objects at score >= | precision | recall |\n| --- | --- | --- |")
    for threshold in (0.3, 0.4, 0.5, 0.7, 0.9):
        right = given = true = 0
        for index, result in zip(truth, results, strict=True):
            wanted = {label.key for label in labels if index in label.imagenet_classes}
            found = {label.key for label in labels if result.scores.get(label.key, 0) >= threshold}
            right, given, true = right + len(wanted & found), given + len(found), true + len(wanted)
        print(f"| {threshold} | {right / max(given, 1):.3f} | {right / max(true, 1):.3f} |")


def print_counts(results: Sequence[Tagged]) -> None:
    print("\n| category | tags per photograph | photographs with any |\n| --- | --- | --- |")
    for category in TAG_CATEGORIES:
        counts = [len(result.tags[category]) for result in results]
        print(f"| {category} | {np.mean(counts):.2f} | {np.mean([count > 0 for count in counts]):.0%} |")
    print(f"\nscores kept per photograph: {np.mean([len(result.scores) for result in results]):.1f}")


def print_attributes(pictures: Sequence[Picture], tagger: OfflineTagger) -> None:
    measures = {
        name: measures_of([changed(picture, change) for picture in pictures]) for name, change in CHANGES.items()
    }
    untouched = measures["as they are"]
    print("\n| attribute | photographs as they are | changed: share tagged (area under the ROC curve of the measure) |")
    print("| --- | --- | --- |")
    for attribute, changes in EXPECTED.items():
        measure, sign = MEASURE_OF[attribute]
        column = MEASURE_NAMES.index(measure)
        cells = [
            f"{name}: {share(tagger, attribute, measures[name]):.0%} "
            f"({roc_area(sign * measures[name][:, column], sign * untouched[:, column]):.3f})"
            for name in changes
        ]
        print(f"| {attribute} ({measure}) | {share(tagger, attribute, untouched):.1%} | {', '.join(cells)} |")


def changed(picture: Picture, change: Change) -> Picture:
    pixels = np.ascontiguousarray(change(picture.pixels))
    return Picture(pixels, PictureFacts("PNG", "image/png", pixels.shape[1], pixels.shape[0]))


def share(tagger: OfflineTagger, attribute: str, measures: FloatArray) -> float:
    count = len(measures)
    unseen = Encoded(np.zeros((count, DIMENSION), np.float32), np.zeros((count, 1000), np.float32))
    scores = tagger.scores(unseen, measures)
    return float((scores[:, load_taxonomy().index_of[f"attributes/{attribute}"]] >= 0.5).mean())


def roc_area(positive: FloatArray, negative: FloatArray) -> float:
    """How often a changed photograph has the larger value than an unchanged one; ties count half."""
    greater = (positive[:, np.newaxis] > negative).mean()
    return float(greater + (positive[:, np.newaxis] == negative).mean() / 2)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python scripts/build_taxonomy_evaluate.py PHOTOS")
    main(Path(sys.argv[1]))
