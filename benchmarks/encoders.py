"""How fast is a SigLIP model here, what memory does it take, and how much of the bare network is left with preparation?

The architectures at full size with random weights (speed does not depend on their values), saved to a temporary folder
and loaded by the very code that serves. Forward: arrays are at hand, the network alone. Prepare: one thread squashes
and normalises decoded pictures. Pipeline: threads decode JPEG files and prepare them while another batch is in the
forward pass, as the worker has it. The two take turns, so that what else the machine does falls on both; the share by
processor time hardly feels it. One JSON line for each model, device and dtype, each measured in a process of its own.

python -m benchmarks.encoders                                    both models, CPU, and GPU if there is one
python -m benchmarks.encoders --model base-patch16-224 --images 64 --rounds 5 --dtype float32 bfloat16
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.common import Rate, measured, median, memory_mb, report
from benchmarks.ingest import bare_rate
from pictograph.encode.process import keep_blas_quiet
from pictograph.encode.protocol import Encoder, FloatArray
from pictograph.encode.siglip import CPU_BATCH, SiglipEncoder
from pictograph.ingest.pictures import WORKING_SIDE_PX
from pictograph.settings import available_cores
from pictograph.upload.decode import decode_picture
from pictograph.upload.limits import PictureLimits

ROUNDS = 3
PROBES = 32
"""Pictures that `prepare` is timed on."""


@dataclass(frozen=True)
class Architecture:
    """A published model's shape; sources: the SigLIP 2 paper (arXiv:2502.14786) and big_vision's `vit.py`."""

    width: int
    depth: int
    heads: int
    mlp: int
    patch_px: int
    side_px: int
    cpu_images: int
    """How many pictures a round is enough on a CPU."""

    @property
    def tower(self) -> dict[str, int]:
        """What both towers share."""
        return {
            "hidden_size": self.width,
            "num_hidden_layers": self.depth,
            "num_attention_heads": self.heads,
            "intermediate_size": self.mlp,
        }


MODELS = {
    "base-patch16-224": Architecture(768, 12, 12, 3072, 16, 224, cpu_images=16),
    "so400m-patch14-384": Architecture(1152, 27, 16, 4304, 14, 384, cpu_images=4),
}
GPU_IMAGES = 2048
GPU_BATCH = 32


def save_random(model: str, folder: Path) -> None:
    """A folder with random weights for the picture tower; the words' tower is one layer, and is not measured."""
    import torch  # noqa: PLC0415
    from transformers import SiglipConfig, SiglipModel  # noqa: PLC0415

    shape = MODELS[model]
    vision = shape.tower | {"patch_size": shape.patch_px, "image_size": shape.side_px}
    words = shape.tower | {"num_hidden_layers": 1, "vocab_size": 64, "bos_token_id": 2, "eos_token_id": 1}
    torch.manual_seed(0)
    SiglipModel(SiglipConfig(vision_config=vision, text_config=words)).save_pretrained(folder, max_shard_size="10GB")
    preprocessor = {
        "size": {"height": shape.side_px, "width": shape.side_px},
        "resample": 2,
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    (folder / "tokenizer.json").write_text("{}")


def photo_files(count: int) -> list[bytes]:
    """JPEG files of 1024 x 768, no two alike, with about as many bytes as photographs have."""
    return [photo_file(seed) for seed in range(count)]


def photo_file(seed: int) -> bytes:
    random = np.random.default_rng(seed)
    soft = Image.fromarray(random.integers(0, 256, (24, 32, 3), np.uint8)).resize((1024, 768), Image.Resampling.BICUBIC)
    grain = random.normal(0, 6, (768, 1024, 3))
    file = BytesIO()
    Image.fromarray(np.clip(np.asarray(soft) + grain, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=85)
    return file.getvalue()


def forward_rate(encoder: Encoder, prepared: FloatArray, images: int) -> Rate:
    """The network alone, batch after batch."""
    batches = -(-images // len(prepared))
    with measured(batches * len(prepared)) as rate:
        for _ in range(batches):
            encoder.encode_prepared(prepared)
    return rate


def prepare_rates(encoder: Encoder, files: Sequence[bytes]) -> tuple[float, float]:
    """Images/s of one thread: decoding a file, and preparing what was decoded."""
    side_px = max(WORKING_SIDE_PX, encoder.spec.input_px)
    started = time.perf_counter()
    pictures = [decode_picture(data, at_least_px=side_px, limits=PictureLimits()) for data in files]
    decoded = time.perf_counter()
    for picture in pictures:
        encoder.prepare(picture)
    return len(files) / (decoded - started), len(files) / (time.perf_counter() - decoded)


def prepared_batch(encoder: Encoder, files: Sequence[bytes]) -> FloatArray:
    with ThreadPoolExecutor(available_cores()) as threads:
        pictures = threads.map(lambda data: decode_picture(data, at_least_px=None, limits=PictureLimits()), files)
        return np.stack(list(threads.map(encoder.prepare, pictures)))


def measure(model: str, device: str, dtype: str | None, options: argparse.Namespace) -> None:
    """Prints the line of one model on one device; options.folder holds its random weights."""
    on_gpu = device != "cpu"
    batch = options.batch or (GPU_BATCH if on_gpu else CPU_BATCH)
    images = max(options.images or (GPU_IMAGES if on_gpu else MODELS[model].cpu_images), batch)
    started = time.perf_counter()
    encoder = SiglipEncoder.load(options.folder, device=device, dtype=dtype, threads=options.threads)
    loaded_s = time.perf_counter() - started
    keep_blas_quiet()
    files = photo_files(max(batch, PROBES))
    prepared = prepared_batch(encoder, files[:batch])
    uploads = (files * (images // len(files) + 1))[:images]
    decode, prepare = prepare_rates(encoder, files[:PROBES])
    encoder.encode_prepared(prepared)  # the first pass also sets things up
    forward, pipeline = [], []
    for _ in range(options.rounds):
        forward.append(forward_rate(encoder, prepared, images))
        pipeline.append(bare_rate(encoder, uploads, batch, options.threads))
    report(
        "images/s of a SigLIP model with random weights",
        model=model,
        device=device,
        dtype=encoder.dtype,
        dtype_chosen="by name" if dtype else "by the check at load",
        **hardware(device),
        batch=batch,
        images=images,
        rounds=options.rounds,
        threads=options.threads,
        load_s=round(loaded_s, 1),
        forward_images_per_s=median([rate.images_per_s for rate in forward]),
        forward_spread=spread(forward),
        decode_images_per_s_per_thread=round(decode, 1),
        prepare_images_per_s_per_thread=round(prepare, 1),
        pipeline_images_per_s=median([rate.images_per_s for rate in pipeline]),
        pipeline_spread=spread(pipeline),
        pipeline_share_of_forward=median(
            [whole.images_per_s / alone.images_per_s for whole, alone in zip(pipeline, forward, strict=True)]
        ),
        pipeline_share_of_forward_by_cpu=median(
            [alone.cpu_ms / whole.cpu_ms for whole, alone in zip(pipeline, forward, strict=True)]
        ),
        weights_mib=sum(path.stat().st_size for path in encoder.checkpoint.weights) >> 20,
        prepared_bytes_per_image=prepared[0].nbytes,
        memory_mib=memory_mb(os.getpid()),
        peak_rss_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
    )


def spread(rates: Sequence[Rate]) -> list[float]:
    """The slowest and the fastest round, images/s."""
    found = [rate.images_per_s for rate in rates]
    return [round(min(found), 3), round(max(found), 3)]


def hardware(device: str) -> dict[str, Any]:
    """What the network ran on, and what it took of a GPU's memory."""
    import torch  # noqa: PLC0415

    chosen = torch.device(device)
    facts: dict[str, Any] = {"torch": torch.__version__}
    if chosen.type == "cuda":
        facts["gpu"] = torch.cuda.get_device_name(chosen)
        facts["gpu_peak_mib"] = torch.cuda.max_memory_allocated(chosen) >> 20
    return facts


def devices() -> list[str]:
    import torch  # noqa: PLC0415

    return ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.encoders", description="Speed and memory of SigLIP.")
    parser.add_argument("--model", choices=MODELS, action="append", help="may be given twice; default: all")
    parser.add_argument("--device", choices=("cpu", "cuda"), action="append", help="default: what is here")
    parser.add_argument(
        "--dtype", choices=("float32", "bfloat16", "float16"), nargs="+", help="default: what the service would take"
    )
    parser.add_argument("--threads", type=int, default=available_cores(), help="for decoding and for the network, each")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--images", type=int, help="pictures to measure on")
    parser.add_argument("--batch", type=int, help="pictures that go through the network together")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> None:
    options = parsed(arguments)
    if options.folder:
        measure(options.model[-1], options.device[-1], options.dtype[-1] if options.dtype else None, options)
        return
    for model in options.model or MODELS:
        folder = Path(tempfile.mkdtemp()) / f"siglip2-{model}"
        try:
            save_random(model, folder)
            for device, dtype in product(options.device or devices(), options.dtype or [None]):
                passed = [*arguments, "--model", model, "--device", device, "--folder", str(folder)]
                passed += ["--dtype", dtype] if dtype else []
                subprocess.run([sys.executable, "-m", "benchmarks.encoders", *passed], check=True)
        finally:
            shutil.rmtree(folder.parent)


if __name__ == "__main__":
    main(sys.argv[1:])
