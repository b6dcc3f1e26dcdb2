"""MiniLM (BERT, 6 layers, 384 wide) as ONNX with 8-bit stored weights, written from its safetensors file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper
from safetensors.numpy import load_file

from .graph import Array, Graph

LAYERS, HEADS, WIDTH = 6, 12, 384
HEAD_WIDTH = WIDTH // HEADS
EPSILON = 1e-12
MAX_TOKENS = 128
"""Queries are short: only these positions of the 512 are shipped."""


def text_model(weights_file: Path) -> onnx.ModelProto:
    """ids, mask int64 (N, T), T <= 128 -> vectors float32 (N, 384): mean over the unmasked tokens, unit length."""
    weights = load_file(weights_file)
    graph = Graph()
    hidden = _embedded(graph, weights)  # [N, T, 384]
    mask = graph.node("Cast", "mask", to=TensorProto.FLOAT)
    forbidden = _mul(graph, _sub(graph, mask, 1.0), 1e9)  # 0 where a token may be looked at, -1e9 elsewhere
    forbidden = graph.node("Unsqueeze", forbidden, graph.constant(np.array([1, 2])))  # [N, 1, 1, T]
    for index in range(LAYERS):
        hidden = _layer(graph, weights, f"encoder.layer.{index}.", hidden, forbidden)
    _pooled(graph, hidden, mask)
    return graph.model(
        "minilm",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["N", "T"]) for name in ("ids", "mask")],
        [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["N", WIDTH])],
    )


def _embedded(graph: Graph, weights: dict[str, Array]) -> str:
    """Words stay in 8 bits even in memory: only the rows looked up are widened."""
    words, scales = _word_rows(graph, weights["embeddings.word_embeddings.weight"])
    wide = graph.node("Cast", graph.node("Gather", words, "ids"), to=TensorProto.FLOAT)
    words = graph.node("Mul", wide, graph.node("Gather", scales, "ids"))
    positions = weights["embeddings.position_embeddings.weight"][:MAX_TOKENS]
    positions = positions + weights["embeddings.token_type_embeddings.weight"][0]
    length = graph.node("Slice", graph.node("Shape", "ids"), *(graph.constant(np.array([end])) for end in (1, 2)))
    zero = graph.constant(np.array([0]))
    present = graph.node("Slice", graph.constant(positions.astype(np.float32)), zero, length, zero)
    return _norm(graph, weights, "embeddings.LayerNorm", _add(graph, words, present))


def _word_rows(graph: Graph, table: Array) -> tuple[str, str]:
    scale = np.maximum(np.abs(table).max(axis=1, keepdims=True) / 127, 1e-12).astype(np.float32)
    return graph.constant(np.rint(table / scale).astype(np.int8)), graph.constant(scale)


def _layer(graph: Graph, weights: dict[str, Array], prefix: str, hidden: str, forbidden: str) -> str:
    """One transformer layer, norm after each half (BERT, arXiv:1810.04805)."""
    attended = _attention(graph, weights, prefix + "attention.self.", hidden, forbidden)
    attended = _linear(graph, weights, prefix + "attention.output.dense", attended)
    hidden = _norm(graph, weights, prefix + "attention.output.LayerNorm", _add(graph, attended, hidden))
    inner = _gelu(graph, _linear(graph, weights, prefix + "intermediate.dense", hidden))
    inner = _linear(graph, weights, prefix + "output.dense", inner)
    return _norm(graph, weights, prefix + "output.LayerNorm", _add(graph, inner, hidden))


def _attention(graph: Graph, weights: dict[str, Array], prefix: str, hidden: str, forbidden: str) -> str:
    query = _heads(graph, _linear(graph, weights, prefix + "query", hidden), [0, 2, 1, 3])
    key = _heads(graph, _linear(graph, weights, prefix + "key", hidden), [0, 2, 3, 1])
    value = _heads(graph, _linear(graph, weights, prefix + "value", hidden), [0, 2, 1, 3])
    scores = _mul(graph, graph.node("MatMul", query, key), HEAD_WIDTH**-0.5)  # [N, heads, T, T]
    shares = graph.node("Softmax", _add(graph, scores, forbidden), axis=-1)
    mixed = graph.node("Transpose", graph.node("MatMul", shares, value), perm=[0, 2, 1, 3])
    return graph.node("Reshape", mixed, graph.constant(np.array([0, 0, WIDTH])))


def _heads(graph: Graph, flat: str, order: list[int]) -> str:
    split = graph.node("Reshape", flat, graph.constant(np.array([0, 0, HEADS, HEAD_WIDTH])))
    return graph.node("Transpose", split, perm=order)


def _linear(graph: Graph, weights: dict[str, Array], name: str, value: str) -> str:
    matrix = graph.eight_bit_matrix(weights[name + ".weight"].T, axis=1)
    return _add(graph, graph.node("MatMul", value, matrix), graph.constant(weights[name + ".bias"]))


def _norm(graph: Graph, weights: dict[str, Array], name: str, value: str) -> str:
    scale, shift = graph.constant(weights[name + ".weight"]), graph.constant(weights[name + ".bias"])
    return graph.node("LayerNormalization", value, scale, shift, axis=-1, epsilon=EPSILON)


def _gelu(graph: Graph, value: str) -> str:
    erf = graph.node("Erf", _mul(graph, value, 0.5**0.5))
    one_more = _add(graph, erf, graph.constant(np.float32(1.0)))
    return graph.node("Mul", _mul(graph, value, 0.5), one_more)


def _pooled(graph: Graph, hidden: str, mask: str) -> None:
    last, middle = np.array([2]), np.array([1])
    kept = graph.node("Mul", hidden, graph.node("Unsqueeze", mask, graph.constant(last)))
    # The sum points where the mean does: dividing by the count would be undone by the unit length.
    total = graph.node("ReduceSum", kept, graph.constant(middle), keepdims=0)
    graph.node("Div", total, graph.node("ReduceL2", total, axes=[1], keepdims=1), output="vectors")


def _add(graph: Graph, one: str, other: str) -> str:
    return graph.node("Add", one, other)


def _sub(graph: Graph, one: str, number: float) -> str:
    return graph.node("Sub", one, graph.constant(np.float32(number)))


def _mul(graph: Graph, one: str, number: float) -> str:
    return graph.node("Mul", one, graph.constant(np.float32(number)))
