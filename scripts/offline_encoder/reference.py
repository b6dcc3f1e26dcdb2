"""The same encoder a second time, in torch and float32 from the original packages: it makes the golden vectors.

It shares no forward pass with what ships: the networks are the packages' own modules, not the graphs written here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer
from torch.nn.functional import normalize
from transformers import BertModel

from .graph import Array

TEXTS = ("sports car", "a dog on the beach", "Elephant", "musical instrument", "")


def text_encoder(model_folder: Path) -> Any:
    """A function from texts to float32 (N, 384) unit rows, by transformers' own BertModel."""
    tokenizer = Tokenizer.from_file(str(model_folder / "tokenizer.json"))
    tokenizer.no_padding()
    network = BertModel.from_pretrained(model_folder).eval()

    @torch.no_grad()
    def encode(texts: Sequence[str]) -> Array:
        rows = []
        for text in texts:  # one by one: no padding, so no mask can be got wrong
            hidden = network(input_ids=torch.tensor([tokenizer.encode(text).ids])).last_hidden_state
            rows.append(normalize(hidden[0].mean(dim=0), dim=0))
        return torch.stack(rows).numpy()

    return encode


def synthetic_pictures() -> Array:
    """uint8 (4, 300, 400, 3): waves, a sphere, stripes and a checkerboard, from formulas alone."""
    y, x = np.mgrid[0:300, 0:400].astype(np.float64)
    distance = np.hypot(x - 200, y - 150) / 110
    light = np.clip(1 - distance**2, 0, 1) ** 0.5
    sphere = np.stack([40 + 215 * light, 60 + 90 * light, 90 - 60 * light], axis=-1)
    waves = np.stack([127 + 120 * np.sin(x / 31), 127 + 120 * np.sin(y / 23), 127 + 120 * np.sin((x + y) / 47)], -1)
    stripes = np.repeat((255 * (((x + 0.5 * y) // 20) % 2))[..., None], 3, axis=-1)
    board = np.stack([200 * (((x // 40) + (y // 40)) % 2), 60 + 0 * x, 230 - y * 0.5], axis=-1)
    return np.stack([waves, sphere, stripes, board]).clip(0, 255).astype(np.uint8)


@torch.no_grad()
def golden(network: Any, encode_texts: Any, space: dict[str, Array], recipe: dict[str, Any]) -> dict[str, Array]:
    """Pictures and texts with the vectors the reference gives them."""
    pictures = synthetic_pictures()
    pixels = torch.stack([_prepared(picture, recipe["input_px"]) for picture in pictures])
    features = network.extract_features(pixels).mean(dim=(2, 3))
    probabilities = network._fc(features).softmax(dim=1)
    return {
        "pictures": pictures,
        "probabilities": probabilities.numpy(),
        "vectors": _joint(features, probabilities, space, recipe).numpy(),
        "texts": np.array(TEXTS),
        "text_vectors": encode_texts(TEXTS),
    }


def _prepared(picture: Array, side: int) -> Any:
    height, width = picture.shape[:2]
    crop = int(side / (side + 32) * min(height, width))
    top, left = (height - crop + 1) // 2, (width - crop + 1) // 2
    image = Image.fromarray(picture).crop((left, top, left + crop, top + crop)).resize((side, side), Image.BICUBIC)
    return (torch.from_numpy(np.array(image)).permute(2, 0, 1).float() - 127) / 128


def _joint(features: Any, probabilities: Any, space: dict[str, Array], recipe: dict[str, Any]) -> Any:
    mean, projection, class_rows = (torch.from_numpy(space[name]).float() for name in ("mean", "projection", "classes"))
    top = probabilities.topk(recipe["classes_mixed"], dim=1)
    content = normalize(torch.einsum("nk,nkw->nw", top.values, class_rows[top.indices]), dim=1)
    looks = normalize((features - mean) @ projection.T, dim=1)
    share, common = recipe["picture_share"], recipe["common_share"]
    own = torch.cat([share**0.5 * looks, (1 - share) ** 0.5 * content], dim=1)
    return torch.cat([(1 - common) ** 0.5 * own, torch.full((len(own), 1), common**0.5)], dim=1)
