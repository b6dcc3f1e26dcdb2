"""SigLIP's two towers again, in plain numpy from the published definitions, to check the ones that torch runs.

Written from "Sigmoid Loss for Language Image Pre-Training" (arXiv:2303.15343) and google-research/big_vision:
`models/vit.py` (patch embedding, pre-norm blocks, `MAPHead`), `models/proj/image_text/text_transformer.py` (last-token
pooling, head). Reads the safetensors files with numpy alone; neither torch nor transformers takes part.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from safetensors.numpy import load_file

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Reference:
    """One checkpoint's weights, widened to float64."""

    weights: dict[str, Array]
    vision: dict[str, Any]
    text: dict[str, Any]
    preprocessor: dict[str, Any]

    @classmethod
    def open(cls, folder: Path) -> Reference:
        config = json.loads((folder / "config.json").read_text())
        stored = {name: value for path in folder.glob("*.safetensors") for name, value in load_file(path).items()}
        return cls(
            weights={name: value.astype(np.float64) for name, value in stored.items()},
            vision=config["vision_config"],
            text=config["text_config"],
            preprocessor=json.loads((folder / "preprocessor_config.json").read_text()),
        )

    def pixels(self, picture: npt.NDArray[np.uint8]) -> Array:
        """(H, W, 3) uint8 -> (S, S, 3): squashed by Pillow, then (value / 255 - mean) / deviation."""
        side = self.preprocessor["size"]["height"]
        squashed = Image.fromarray(picture).resize((side, side), self.preprocessor["resample"])
        values = np.asarray(squashed).astype(np.float64) * self.preprocessor["rescale_factor"]
        return (values - self.preprocessor["image_mean"]) / self.preprocessor["image_std"]

    def picture_vector(self, pixels: Array) -> Array:
        """(S, S, 3) -> unit vector."""
        heads = self.vision["num_attention_heads"]
        tokens = self._patches(pixels)
        for layer in range(self.vision["num_hidden_layers"]):
            tokens = self._block(f"vision_model.encoder.layers.{layer}", tokens, heads)
        pooled = self._attention_pooling(self._norm("vision_model.post_layernorm", tokens), heads)
        return pooled / np.linalg.norm(pooled)

    def word_vector(self, tokens: npt.NDArray[np.int64]) -> Array:
        """(L,) token numbers, padding included -> unit vector."""
        embeddings = "text_model.embeddings"
        values = self.weights[f"{embeddings}.token_embedding.weight"][tokens]
        values = values + self.weights[f"{embeddings}.position_embedding.weight"][: len(tokens)]
        for layer in range(self.text["num_hidden_layers"]):
            values = self._block(f"text_model.encoder.layers.{layer}", values, self.text["num_attention_heads"])
        last = self._norm("text_model.final_layer_norm", values)[-1]
        projected = self._linear("text_model.head", last)
        return projected / np.linalg.norm(projected)

    def _patches(self, pixels: Array) -> Array:
        """A linear map of each whole patch, row by row; pixels beyond the last whole patch are not seen."""
        size = self.vision["patch_size"]
        count = pixels.shape[0] // size
        kernel = self.weights["vision_model.embeddings.patch_embedding.weight"]  # (D, 3, size, size)
        rows = [
            np.einsum("hwc,dchw->d", pixels[y : y + size, x : x + size], kernel)
            for y in range(0, count * size, size)
            for x in range(0, count * size, size)
        ]
        bias = self.weights["vision_model.embeddings.patch_embedding.bias"]
        return np.stack(rows) + bias + self.weights["vision_model.embeddings.position_embedding.weight"]

    def _block(self, name: str, tokens: Array, heads: int) -> Array:
        normed = self._norm(f"{name}.layer_norm1", tokens)
        projections = [self._linear(f"{name}.self_attn.{part}_proj", normed) for part in "qkv"]
        tokens = tokens + self._linear(f"{name}.self_attn.out_proj", attention(*projections, heads))
        return tokens + self._mlp(f"{name}.mlp", self._norm(f"{name}.layer_norm2", tokens))

    def _attention_pooling(self, tokens: Array, heads: int) -> Array:
        """One learned query looks at all tokens; then an MLP beside a residual (`MAPHead`)."""
        name = "vision_model.head"
        matrices = np.split(self.weights[f"{name}.attention.in_proj_weight"], 3)
        biases = np.split(self.weights[f"{name}.attention.in_proj_bias"], 3)
        sources = (self.weights[f"{name}.probe"][0], tokens, tokens)
        query, key, value = (s @ m.T + b for s, m, b in zip(sources, matrices, biases, strict=True))
        seen = self._linear(f"{name}.attention.out_proj", attention(query, key, value, heads))
        return (seen + self._mlp(f"{name}.mlp", self._norm(f"{name}.layernorm", seen)))[0]

    def _mlp(self, name: str, values: Array) -> Array:
        return self._linear(f"{name}.fc2", gelu_tanh(self._linear(f"{name}.fc1", values)))

    def _linear(self, name: str, values: Array) -> Array:
        return values @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def _norm(self, name: str, values: Array) -> Array:
        centred = values - values.mean(axis=-1, keepdims=True)
        unit = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-6)
        return unit * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]


def attention(query: Array, key: Array, value: Array, heads: int) -> Array:
    """(Q, D), (T, D), (T, D) -> (Q, D): softmax(q k / sqrt(D / heads)) v in each head; nothing is masked."""
    split = [part.reshape(len(part), heads, -1).transpose(1, 0, 2) for part in (query, key, value)]
    scores = split[0] @ split[1].transpose(0, 2, 1) / np.sqrt(split[0].shape[-1])
    shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
    mixed = (shares / shares.sum(axis=-1, keepdims=True)) @ split[2]
    return mixed.transpose(1, 0, 2).reshape(query.shape)


def gelu_tanh(values: Array) -> Array:
    """Source: arXiv:1606.08415, section 2."""
    return 0.5 * values * (1 + np.tanh(np.sqrt(2 / np.pi) * (values + 0.044715 * values**3)))
