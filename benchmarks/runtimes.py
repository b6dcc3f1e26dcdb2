"""Which runtime and precision is fastest for SigLIP's pictures on this CPU, and how far is each from torch float32?

The architecture at full size with random weights. Each runtime lives in a process of its own; they take turns, round
after round, so that what else the machine does falls on all of them. Beside images/s: the least cosine to torch's
float32 vectors on the same pictures, and the peak memory. One JSON line. It needs more than the service does:

pip install ".[siglip]" onnx onnxscript openvino
python -m benchmarks.runtimes --model base-patch16-224
python -m benchmarks.runtimes --model so400m-patch14-384 --images 1 --batch 1 --pictures 2 --threads 1

On a busy machine threads wait for each other: with one of them, the processor time tells what images/s cannot.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import median, report
from benchmarks.encoders import MODELS, photo_files, prepared_batch, save_random
from pictograph.encode.checkpoint import Checkpoint
from pictograph.encode.protocol import FloatArray
from pictograph.encode.siglip import SiglipEncoder
from pictograph.settings import available_cores

Forward = Callable[[FloatArray], FloatArray]
ROUNDS = 5
PICTURES = 16
EXACT = "torch-float32"


def torch_forward(folder: Path, dtype: str, threads: int) -> Forward:
    import torch  # noqa: PLC0415

    from pictograph.encode.towers import PictureTower, use_threads  # noqa: PLC0415

    use_threads(threads)
    return PictureTower(Checkpoint.read(folder), torch.device("cpu"), getattr(torch, dtype)).vectors


def exported(folder: Path) -> Path:
    """The picture tower as an ONNX file in float32, written once; the vectors get unit length in the graph."""
    import torch  # noqa: PLC0415
    from transformers import SiglipVisionModel  # noqa: PLC0415

    class UnitVectors(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.tower = SiglipVisionModel.from_pretrained(folder, dtype=torch.float32).eval()

        def forward(self, pixel_values: Any) -> Any:
            return torch.nn.functional.normalize(self.tower(pixel_values=pixel_values).pooler_output, dim=-1)

    side_px = Checkpoint.read(folder).spec().input_px
    path = folder / "picture.onnx"
    torch.onnx.export(
        UnitVectors(), (torch.zeros(2, 3, side_px, side_px),), path, dynamo=True, external_data=True,
        input_names=["pixel_values"], output_names=["image_embeds"],
        dynamic_shapes={"pixel_values": {0: torch.export.Dim("batch")}},
    )  # fmt: skip
    return path


def quantized(path: Path) -> Path:
    from onnxruntime.quantization import QuantType, quantize_dynamic  # noqa: PLC0415

    target = path.with_name("picture-int8.onnx")
    quantize_dynamic(path, target, weight_type=QuantType.QInt8, per_channel=True, use_external_data_format=True)
    return target


def onnxruntime_forward(path: Path, threads: int) -> Forward:
    import onnxruntime  # noqa: PLC0415

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda pixels: session.run(None, {"pixel_values": pixels})[0]


def openvino_forward(path: Path, precision: str, threads: int) -> Forward:
    import openvino  # noqa: PLC0415

    settings = {
        "INFERENCE_PRECISION_HINT": precision,
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
    }
    compiled = openvino.Core().compile_model(path, "CPU", settings)
    return lambda pixels: np.asarray(compiled(pixels)[0], np.float32)


RUNTIMES: dict[str, Callable[[Path, int], Forward]] = {
    EXACT: lambda folder, threads: torch_forward(folder, "float32", threads),
    "torch-bfloat16": lambda folder, threads: torch_forward(folder, "bfloat16", threads),
    "onnxruntime-float32": lambda folder, threads: onnxruntime_forward(folder / "picture.onnx", threads),
    "onnxruntime-int8": lambda folder, threads: onnxruntime_forward(folder / "picture-int8.onnx", threads),
    "openvino-float32": lambda folder, threads: openvino_forward(folder / "picture.onnx", "f32", threads),
    "openvino-bfloat16": lambda folder, threads: openvino_forward(folder / "picture.onnx", "bf16", threads),
}


def prepare_files(folder: Path, names: Sequence[str]) -> None:
    """Exports what the chosen runtimes read; in a process of its own, for exporting takes much memory."""
    if any(not name.startswith("torch") for name in names):
        path = exported(folder)
        if "onnxruntime-int8" in names:
            quantized(path)


def serve(name: str, folder: Path, pixels: FloatArray, options: argparse.Namespace, pipe: Connection) -> None:
    """Answers first with the vectors of all pictures, then each request for a round with its seconds, wall and CPU."""
    forward, batch = RUNTIMES[name](folder, options.threads), options.batch
    pipe.send(np.concatenate([forward(pixels[start : start + batch]) for start in range(0, len(pixels), batch)]))
    while pipe.recv():
        started, used = time.perf_counter(), time.process_time()
        for start in range(0, options.images, batch):
            forward(pixels[start % len(pixels) :][:batch])
        pipe.send((time.perf_counter() - started, time.process_time() - used))
    pipe.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10)


def measure(names: Sequence[str], folder: Path, pixels: FloatArray, options: argparse.Namespace) -> dict[str, Any]:
    """Per runtime: images/s, processor seconds for an image, least cosine to torch float32, peak memory."""
    processes = multiprocessing.get_context("spawn")
    pipes: dict[str, Connection] = {}
    vectors: dict[str, FloatArray] = {}
    for name in names:
        pipes[name], theirs = processes.Pipe()
        processes.Process(target=serve, args=(name, folder, pixels, options, theirs), daemon=True).start()
        vectors[name] = pipes[name].recv()  # one after the other, so that loading disturbs nobody
    rounds: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for _ in range(options.rounds):
        for name, pipe in pipes.items():
            pipe.send(True)
            rounds[name].append(pipe.recv())
    found = {}
    for name, pipe in pipes.items():
        pipe.send(False)
        rates = [options.images / wall_s for wall_s, _ in rounds[name]]
        found[name] = {
            "images_per_s": median(rates),
            "spread": [round(min(rates), 3), round(max(rates), 3)],
            "cpu_s_per_image": median([cpu_s / options.images for _, cpu_s in rounds[name]]),
            "least_cosine": round(float((vectors[name] * vectors[EXACT]).sum(axis=1).min()), 6),
            "peak_mib": pipe.recv(),
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.runtimes")
    parser.add_argument("--model", choices=MODELS, default="base-patch16-224")
    parser.add_argument("--runtime", choices=RUNTIMES, nargs="+", default=list(RUNTIMES))
    parser.add_argument("--pictures", type=int, default=PICTURES, help="pictures whose vectors are compared")
    parser.add_argument("--images", type=int, default=24, help="pictures in a round, of each runtime")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--threads", type=int, default=available_cores())
    options = parser.parse_args()
    names = [EXACT, *(name for name in options.runtime if name != EXACT)]
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / f"siglip2-{options.model}"
        for step, arguments in ((save_random, (options.model, folder)), (prepare_files, (folder, names))):
            process = multiprocessing.get_context("spawn").Process(target=step, args=arguments)
            process.start()
            process.join()
            if process.exitcode:
                raise SystemExit(process.exitcode)
        pixels = prepared_batch(SiglipEncoder(Checkpoint.read(folder), device="cpu"), photo_files(options.pictures))
        report(
            "images/s of SigLIP's picture tower on this CPU, by runtime and precision",
            model=options.model,
            batch=options.batch,
            images=options.images,
            pictures_compared=options.pictures,
            rounds=options.rounds,
            threads=options.threads,
            runtimes=measure(names, folder, pixels, options),
        )


if __name__ == "__main__":
    main()
