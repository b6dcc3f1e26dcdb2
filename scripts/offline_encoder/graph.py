"""A small hand for writing ONNX graphs: every node and constant is placed by us, so a build repeats byte for byte."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

Array = npt.NDArray[Any]
OPSET = 17
"""The oldest that has LayerNormalization; every ONNX Runtime since 1.11 runs it."""
IR_VERSION = 8


class Graph:
    """Collects nodes and constants; names are counted, so they are the same in every build."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._constant_names: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def constant(self, value: Array) -> str:
        """The name of a constant holding `value`; equal values share one."""
        key = (value.dtype.str, value.shape, value.tobytes())
        if key not in self._constant_names:
            name = f"c{len(self.constants)}"
            self.constants.append(numpy_helper.from_array(np.asarray(value, order="C"), name))
            self._constant_names[key] = name
        return self._constant_names[key]

    def node(self, operation: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Adds one node with one output and gives that output's name."""
        name = output or f"{operation.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(operation, list(inputs), [name], **attributes))
        return name

    def eight_bit_matrix(self, matrix: Array, *, axis: int) -> str:
        """A float32 matrix stored in 8 bits, one scale for each index of `axis`.

        Cast and Mul of constants are folded when the session starts, so that the network runs in float32 and only the
        file is small (DequantizeLinear would not be folded, and would run on every call).
        """
        stored, scale = eight_bits(matrix, axis=axis)
        shape = [1] * matrix.ndim
        shape[axis] = -1
        wide = self.node("Cast", self.constant(stored), to=TensorProto.FLOAT)
        return self.node("Mul", wide, self.constant(scale.reshape(shape)))

    def model(self, name: str, inputs: list[Any], outputs: list[Any]) -> onnx.ModelProto:
        """The finished, checked model."""
        graph = helper.make_graph(self.nodes, name, inputs, outputs, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        model.producer_name = "pictograph"
        onnx.checker.check_model(model, full_check=True)
        return model


def eight_bits(matrix: Array, *, axis: int, levels: int = 127) -> tuple[Array, Array]:
    """`matrix` as int8 in [-levels, levels] and its float32 scales, one for each index of `axis`."""
    others = tuple(i for i in range(matrix.ndim) if i != axis)
    scale = np.maximum(np.abs(matrix).max(axis=others) / levels, 1e-12).astype(np.float32)
    return rounded(matrix, np.expand_dims(scale, others)), scale


def rounded(matrix: Array, scale: Array) -> Array:
    """`matrix` in int8 steps of `scale`."""
    return np.rint(matrix / scale).clip(-127, 127).astype(np.int8)
