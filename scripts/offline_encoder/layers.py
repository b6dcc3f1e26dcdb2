"""EfficientNet-Lite's layers with batch norm folded in, and what batch norm knows of their values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from .graph import Array


@dataclass(frozen=True)
class Channels:
    """What batch norm says of a tensor's channels over the training pictures: float32 (C,) each."""

    mean: Array
    """Before relu6."""
    deviation: Array
    """Before relu6."""
    expected: Array
    """The mean of what is passed on, after relu6 where there is one."""

    def plus(self, other: Channels) -> Channels:
        """Of the sum of two tensors, taken as independent."""
        return Channels(
            self.mean + other.mean, np.hypot(self.deviation, other.deviation), self.expected + other.expected
        )


@dataclass(frozen=True)
class Layer:
    """A convolution, its folded batch norm, and relu6 if `clipped`."""

    weight: Array
    bias: Array
    stride: int
    groups: int
    pads: list[int]
    clipped: bool
    channels: Channels

    @property
    def depthwise(self) -> bool:
        """True if each output channel sees one input channel."""
        return self.groups > 1

    @property
    def attributes(self) -> dict[str, Any]:
        """ONNX's words for the shape."""
        kernel = list(self.weight.shape[2:])
        return {"strides": [self.stride] * 2, "pads": self.pads, "group": self.groups, "kernel_shape": kernel}


def stem_of(network: Any) -> Layer:
    """The first layer."""
    return _folded(network._conv_stem, network._bn0, clipped=True)


def head_of(network: Any) -> Layer:
    """The layer whose mean over the picture is the feature vector."""
    return _folded(network._conv_head, network._bn1, clipped=True)


def layers_of(block: Any) -> Iterator[Layer]:
    """The layers of one inverted bottleneck."""
    if block._block_args.expand_ratio != 1:
        yield _folded(block._expand_conv, block._bn0, clipped=True)
    yield _folded(block._depthwise_conv, block._bn1, clipped=True)
    yield _folded(block._project_conv, block._bn2, clipped=False)


def has_shortcut(block: Any) -> bool:
    """True if the block adds its input to its output (the rule of efficientnet_lite_pytorch.MBConvBlock.forward)."""
    arguments = block._block_args
    return bool(block.id_skip and arguments.stride == 1 and arguments.input_filters == arguments.output_filters)


def as_array(tensor: Any) -> Array:
    """A torch tensor as float32."""
    return tensor.detach().numpy().astype(np.float32)


def _folded(convolution: Any, norm: Any, *, clipped: bool) -> Layer:
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return Layer(
        weight=as_array(convolution.weight * scale[:, None, None, None]),
        bias=as_array(norm.bias - norm.running_mean * scale),
        stride=convolution.stride[0],
        groups=convolution.groups,
        pads=_pads(convolution),
        clipped=clipped,
        channels=_channels(norm.bias.double(), norm.weight.double().abs(), clipped=clipped),
    )


def _pads(convolution: Any) -> list[int]:
    padding = getattr(convolution.static_padding, "padding", None)
    if padding is None:
        return [0, 0, 0, 0]
    left, right, top, bottom = padding
    return [top, left, bottom, right]


def _channels(mean: Any, deviation: Any, *, clipped: bool) -> Channels:
    """After batch norm a channel is about N(mean, deviation^2); E relu6(x) = E max(x, 0) - E max(x - 6, 0)."""
    expected = _mean_above(0.0, mean, deviation) - _mean_above(6.0, mean, deviation) if clipped else mean
    return Channels(as_array(mean), as_array(deviation), as_array(expected))


def _mean_above(threshold: float, mean: Any, deviation: Any) -> Any:
    """E max(x - t, 0) of a normal x: (m - t) Phi(z) + s phi(z) with z = (m - t) / s."""
    normal = torch.distributions.Normal(0.0, 1.0)
    z = (mean - threshold) / deviation
    return (mean - threshold) * normal.cdf(z) + deviation * normal.log_prob(z).exp()
