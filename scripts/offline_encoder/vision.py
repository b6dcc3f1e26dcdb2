"""EfficientNet-Lite as ONNX, in float32 or in 8 bits, written from the torch module's own weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import onnx
from onnx import TensorProto, helper

from .graph import Array, Graph, rounded
from .layers import Channels, Layer, as_array, has_shortcut, head_of, layers_of, stem_of

FEATURES, CLASSES = 1280, 1000
ACTIVATION_SPREAD = 4.0
"""An 8-bit activation covers mean +- this many deviations of every channel (4 and 6 measured alike, 3 and 8 worse)."""
MOST_BIAS = 2**30
"""A channel whose weights are all but zero would need a bias beyond int32; its step is made coarser instead."""
PIXEL_CENTRE, PIXEL_STEP = 127, np.float32(1 / 128)
"""EfficientNet-Lite's own (x - 127) / 128; the usual ImageNet mean and deviation cost it 9 points of accuracy."""
PIXELS = Channels(np.zeros(3, np.float32), np.ones(3, np.float32), np.zeros(3, np.float32))
PLANES_FIRST = [0, 3, 1, 2]


@dataclass(frozen=True)
class Signal:
    """A tensor on its way through the network."""

    name: str
    channels: Channels
    step: np.float32 | None = None
    """What one of its 8-bit steps is worth; None in float32."""


class Writer(Protocol):
    """Writes the network's parts in one arithmetic."""

    graph: Graph

    def source(self, name: str) -> Signal: ...

    def convolve(self, signal: Signal, layer: Layer) -> Signal: ...

    def add(self, one: Signal, other: Signal) -> Signal: ...


class FloatWriter:
    """Writes layers in float32."""

    def __init__(self) -> None:
        self.graph = Graph()

    def source(self, name: str) -> Signal:
        centred = self.graph.node("Sub", name, self.graph.constant(np.float32(PIXEL_CENTRE)))
        scaled = self.graph.node("Mul", centred, self.graph.constant(PIXEL_STEP))
        return Signal(self.graph.node("Transpose", scaled, perm=PLANES_FIRST), PIXELS)

    def convolve(self, signal: Signal, layer: Layer) -> Signal:
        weight, bias = self.graph.constant(layer.weight), self.graph.constant(layer.bias)
        name = self.graph.node("Conv", signal.name, weight, bias, **layer.attributes)
        if layer.clipped:
            name = self.graph.node("Clip", name, *(self.graph.constant(np.float32(limit)) for limit in (0, 6)))
        return Signal(name, layer.channels)

    def add(self, one: Signal, other: Signal) -> Signal:
        return Signal(self.graph.node("Add", one.name, other.name), one.channels.plus(other.channels))


class EightBitWriter:
    """Writes layers in 8 bits: uint8 activations, int8 weights with a step per output channel, QDQ form.

    Nothing is measured on pictures: the ranges come from batch norm, and so does the shift that rounding the weights
    causes, which is taken off the biases (Nagel et al., arXiv:1906.04721, 4.2). Relu6 needs no node of its own: uint8
    with zero point 0 and a top of at most 6 cannot hold anything else.
    """

    def __init__(self) -> None:
        self.graph = Graph()

    def source(self, name: str) -> Signal:
        # One step is one grey level, so nothing is lost, and what the network runs on is the picture's own bytes.
        same = self.graph.constant(np.float32(1)), self.graph.constant(np.uint8(0))
        grey = self.graph.node("QuantizeLinear", name, *same)
        grey = self.graph.node("Transpose", grey, perm=PLANES_FIRST)
        ends = self.graph.constant(PIXEL_STEP), self.graph.constant(np.uint8(PIXEL_CENTRE))
        return Signal(self.graph.node("DequantizeLinear", grey, *ends), PIXELS, PIXEL_STEP)

    def convolve(self, signal: Signal, layer: Layer) -> Signal:
        if signal.step is None:
            raise ValueError(f"{signal.name} was not written by this writer")
        step = weight_step(layer, signal.step)
        stored = rounded(layer.weight, np.expand_dims(step, (1, 2, 3)))
        bias_step = (signal.step * step).astype(np.float32)
        bias = np.rint((layer.bias - rounding_shift(layer, stored, step, signal)) / bias_step).astype(np.int32)
        constants = self._constant(stored, step), self._constant(bias, bias_step)
        name = self.graph.node("Conv", signal.name, *constants, **layer.attributes)
        low, high = value_range(layer.channels)
        if layer.clipped:
            low, high = 0.0, min(6.0, high)
        return self._quantised(name, layer.channels, low, high)

    def add(self, one: Signal, other: Signal) -> Signal:
        total = one.channels.plus(other.channels)
        return self._quantised(self.graph.node("Add", one.name, other.name), total, *value_range(total))

    def _quantised(self, name: str, channels: Channels, low: float, high: float) -> Signal:
        step = np.float32((high - low) / 255)
        ends = self.graph.constant(step), self.graph.constant(np.uint8(np.rint(-low / step)))
        narrow = self.graph.node("QuantizeLinear", name, *ends)
        return Signal(self.graph.node("DequantizeLinear", narrow, *ends), channels, step)

    def _constant(self, stored: Array, step: Array) -> str:
        inputs = (stored, step, np.zeros(step.shape, stored.dtype))
        return self.graph.node("DequantizeLinear", *(self.graph.constant(value) for value in inputs), axis=0)


def value_range(channels: Channels) -> tuple[float, float]:
    """The range that holds nearly every value of every channel, and 0."""
    reach = ACTIVATION_SPREAD * channels.deviation
    return min(0.0, float((channels.mean - reach).min())), max(0.0, float((channels.mean + reach).max()))


def weight_step(layer: Layer, input_step: np.float32) -> Array:
    """float32 (outputs,): the finest step with which neither a sum of two products nor the bias overflows."""
    least_for_bias = np.abs(layer.bias) / input_step / MOST_BIAS
    return np.maximum(_largest_sum(layer) / 127, least_for_bias).astype(np.float32)


def _largest_sum(layer: Layer) -> Array:
    """float32 (outputs,): the largest weight, or sum of two neighbouring ones, of each output channel.

    Without VNNI, x86 multiplies u8 by s8 and adds two neighbours in 16 bits: 255 (a + b) must stay below 2^15, so
    |a + b| <= 128. That is what "reduced range" (7-bit weights) is for; looking at the pairs costs less accuracy.
    Depthwise kernels widen first, so there each weight counts alone. In a k x k kernel the order of the inputs is the
    run time's affair, so any two may meet.
    """
    weight = layer.weight.reshape(len(layer.weight), -1)  # [outputs, inputs * k * k]
    largest = np.abs(weight).max(axis=1)
    if layer.depthwise:
        return largest
    if layer.weight.shape[2:] != (1, 1):
        return 2 * largest
    even = np.pad(weight, ((0, 0), (0, weight.shape[1] % 2)))
    return np.maximum(largest, np.abs(even[:, 0::2] + even[:, 1::2]).max(axis=1))


def rounding_shift(layer: Layer, stored: Array, step: Array, signal: Signal) -> Array:
    """float32 (outputs,): what rounding the weights adds to each channel on average."""
    error = (np.expand_dims(step, (1, 2, 3)) * stored - layer.weight).sum(axis=(2, 3))  # [outputs, inputs / groups]
    expected = signal.channels.expected
    return error[:, 0] * expected if layer.depthwise else error @ expected


def vision_model(network: Any, writer: Writer, input_px: int) -> onnx.ModelProto:
    """pixels float32 (N, S, S, 3), 0 to 255 -> features (N, 1280), probabilities (N, 1000), both float32."""
    signal = writer.convolve(writer.source("pixels"), stem_of(network))
    for block in network._blocks:
        start = signal
        for layer in layers_of(block):
            signal = writer.convolve(signal, layer)
        if has_shortcut(block):
            signal = writer.add(signal, start)
    signal = writer.convolve(signal, head_of(network))
    _classify(writer.graph, signal.name, network._fc)
    return writer.graph.model(
        "efficientnet_lite",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["N", input_px, input_px, 3])],
        [
            helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", FEATURES]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", CLASSES]),
        ],
    )


def _classify(graph: Graph, activations: str, classifier: Any) -> None:
    pooled = graph.node("GlobalAveragePool", activations)
    features = graph.node("Flatten", pooled, output="features", axis=1)
    matrix = graph.eight_bit_matrix(as_array(classifier.weight).T, axis=1)
    scores = graph.node("Add", graph.node("MatMul", features, matrix), graph.constant(as_array(classifier.bias)))
    graph.node("Softmax", scores, output="probabilities", axis=1)
