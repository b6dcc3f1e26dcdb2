"""How long does the first worker of a SigLIP space make its calibration, and what memory does it keep afterwards?

Both towers at full size with random weights, as in `benchmarks.encoders`; the shipped background pictures and every
prompt of the taxonomy. Making the model and saving it (gigabytes) happens in a process of its own.

python -m benchmarks.calibration --model base-patch16-224
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from benchmarks.common import memory_mb, report
from benchmarks.encoders import MODELS, save_random
from pictograph.encode.siglip import SiglipEncoder
from pictograph.tagging.calibration import prompts_of
from pictograph.tagging.library.taggers import make_calibration
from pictograph.tagging.taxonomy import load_taxonomy

VOCABULARY = 256_000
TEXT_LENGTH = 64


def save_whole(model: str, folder: Path) -> None:
    """A folder with random weights for both towers; every text is one unknown word, which takes as long as any."""
    import torch  # noqa: PLC0415
    from transformers import SiglipConfig, SiglipModel  # noqa: PLC0415

    save_random(model, folder)
    shape = MODELS[model]
    vision = shape.tower | {"patch_size": shape.patch_px, "image_size": shape.side_px}
    words = shape.tower | {"vocab_size": VOCABULARY, "max_position_embeddings": TEXT_LENGTH}
    words |= {"bos_token_id": 2, "eos_token_id": 1}
    with torch.no_grad():
        SiglipModel(SiglipConfig(vision_config=vision, text_config=words)).save_pretrained(
            folder, max_shard_size="10GB"
        )
    tokenizer = Tokenizer(WordLevel({"<pad>": 0, "<eos>": 1, "<unk>": 3}, unk_token="<unk>"))
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"pad_token": "<pad>", "eos_token": "<eos>", "add_eos_token": True}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def measure(model: str, folder: Path) -> None:
    """Prints the line of one model."""
    taxonomy = load_taxonomy()
    encoder = SiglipEncoder.load(folder)
    before_mib = memory_mb(os.getpid())
    started = time.perf_counter()
    calibration = asyncio.run(make_calibration(encoder, taxonomy))
    whole_s = time.perf_counter() - started
    after_mib = memory_mb(os.getpid())
    started = time.perf_counter()
    asyncio.run(make_calibration(encoder, taxonomy, calibration.background))
    report(
        "seconds to make the calibration of a SigLIP space, random weights",
        model=model,
        pictures=len(calibration.background),
        prompts=len(prompts_of(taxonomy)),
        whole_s=round(whole_s, 1),
        prompts_alone_again_s=round(time.perf_counter() - started, 1),
        memory_before_mib=before_mib,
        memory_after_mib=after_mib,
    )


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calibration", description="How long calibration takes.")
    parser.add_argument("--model", choices=MODELS, default="base-patch16-224")
    parser.add_argument("--step", choices=("save", "measure"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.step == "save":
        save_whole(options.model, options.folder)
    elif options.step == "measure":
        measure(options.model, options.folder)
    else:
        folder = Path(tempfile.mkdtemp()) / f"siglip2-{options.model}"
        try:
            for step in ("save", "measure"):
                passed = ["--model", options.model, "--step", step, "--folder", str(folder)]
                subprocess.run([sys.executable, "-m", "benchmarks.calibration", *passed], check=True)
        finally:
            shutil.rmtree(folder.parent)


if __name__ == "__main__":
    main(sys.argv[1:])
