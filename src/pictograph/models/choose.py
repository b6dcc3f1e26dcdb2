"""What `--encoder auto` means on this machine: the best encoder that would run, and why. Never asks the network."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Final

from pictograph.models.installed import installed_models
from pictograph.models.names import WITH_GPU, WITHOUT_GPU
from pictograph_search import command_name, install_command

OFFLINE: Final = "offline"
LARGE: Final = "so400m"
RUNTIME: Final = ("torch", "transformers", "safetensors")
GPU_DRIVERS: Final = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/kfd", "/dev/dxg")
"""Where Linux shows that of NVIDIA, of AMD, and of Windows below it."""
NO_SIZES: Final[Mapping[str, int]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Choice:
    """The encoder to take."""

    name: str
    """As `--encoder` takes it."""
    why: str
    """One plain sentence."""
    hint: str | None
    """The one command that would change it for the better; None if this is the best there is."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What the choice depends on."""

    has_gpu: bool
    """torch sees one; False where nobody looked, because no model is installed."""
    runtime_installed: bool
    """torch, transformers and safetensors are there."""
    installed: Sequence[str]
    """Names of the models that can be used, as far as seen without reading their weights."""
    sizes: Mapping[str, int]
    """Bytes of each."""

    def choice(self) -> Choice:
        """`choose_encoder` with these facts."""
        return choose_encoder(self.has_gpu, self.runtime_installed, self.installed, self.sizes)


def detect() -> Machine:
    """Looks at this machine. torch is imported only if a model is installed and a GPU's driver is there."""
    models = [model for model in installed_models() if model.fault is None]
    sizes = {model.name: model.size for model in models}
    runtime = runtime_installed()
    return Machine(bool(models) and runtime and sees_gpu(), runtime, tuple(sizes), sizes)


def choose_encoder(
    has_gpu: bool, runtime_installed: bool, installed: Sequence[str], sizes: Mapping[str, int] = NO_SIZES
) -> Choice:
    """What `auto` takes. installed: names of models. sizes: their bytes, to tell large from small; may lack some."""
    if not installed:
        hint = pull_command() if runtime_installed else f"{install_command('siglip')} && {pull_command()}"
        return Choice(OFFLINE, "No SigLIP model is installed, so the offline (demo) encoder is taken.", hint)
    if not runtime_installed:
        why = f"{installed[0]} is installed, but torch or transformers is not, so the offline (demo) encoder is taken."
        return Choice(OFFLINE, why, install_command("siglip"))
    by_size = sorted(installed, key=lambda name: (sizes.get(name, 0), name))
    return _with_gpu(by_size) if has_gpu else _without_gpu(by_size)


def runtime_installed() -> bool:
    """Returns whether SigLIP can run here; imports nothing."""
    return all(find_spec(package) is not None for package in RUNTIME)


def sees_gpu() -> bool:
    """Returns whether torch sees a GPU. Where no driver shows, torch, which takes seconds, is not asked."""
    if not runtime_installed() or (sys.platform == "linux" and not any(Path(name).exists() for name in GPU_DRIVERS)):
        return False
    import torch  # noqa: PLC0415

    return bool(torch.cuda.is_available())


def model_to_pull() -> Choice:
    """Returns which model `pictograph model pull` fetches if none is named."""
    if not runtime_installed():
        why = "torch or transformers is not installed here, so the small model is taken, which runs without a GPU too."
        return Choice(WITHOUT_GPU, why, install_command("siglip"))
    if sees_gpu():
        return Choice(WITH_GPU, "torch sees a GPU here, so the large model is taken.", None)
    return Choice(
        WITHOUT_GPU, "torch sees no GPU here, so the small model is taken: so400m needs 19 times the work.", None
    )


def pull_command(name: str = "") -> str:
    """Returns what to type to fetch a model."""
    return f"{command_name()} model pull {name}".rstrip()


def _with_gpu(by_size: Sequence[str]) -> Choice:
    if WITH_GPU in by_size:
        return Choice(WITH_GPU, "torch sees a GPU, and the large model is installed.", None)
    if large := [name for name in by_size if LARGE in name]:
        return Choice(large[-1], "torch sees a GPU, and this is the largest model installed.", None)
    why = "torch sees a GPU, and this is the largest model installed; this GPU can run so400m."
    return Choice(by_size[-1], why, pull_command(WITH_GPU))


def _without_gpu(by_size: Sequence[str]) -> Choice:
    if WITHOUT_GPU in by_size:
        return Choice(WITHOUT_GPU, "torch sees no GPU, and the model for machines without one is installed.", None)
    why = "torch sees no GPU, and this is the smallest model installed."
    return Choice(by_size[0], why, pull_command(WITHOUT_GPU) if LARGE in by_size[0] else None)
