"""Tiny random SigLIP models in the real format, through the libraries' own saving code; a second each, needs torch."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import BpeTrainer

IMAGE_PX = 50
"""Not a multiple of the patch, as 384 is not one of 14: the last 2 pixels are not seen."""
PATCH_PX = 16
TEXT_LENGTH = 12
PICTURE_CONFIG = {
    "model_type": "siglip_vision_model",
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "image_size": IMAGE_PX,
    "patch_size": PATCH_PX,
}
WORD_CONFIG = {
    "model_type": "siglip_text_model",
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": TEXT_LENGTH,
    "bos_token_id": 2,
    "eos_token_id": 1,
    "pad_token_id": 0,
}
PREPROCESSOR_CONFIG: dict[str, Any] = {
    "do_convert_rgb": None,
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.5, 0.45, 0.4],
    "image_processor_type": "SiglipImageProcessor",
    "image_std": [0.5, 0.25, 0.3],
    "processor_class": "SiglipProcessor",
    "resample": 2,
    "rescale_factor": 1 / 255,
    "size": {"height": IMAGE_PX, "width": IMAGE_PX},
}
"""Three unlike means and deviations, so that a mix-up of channels shows; real checkpoints have 0.5 throughout."""
TOKENIZER_CONFIG = {
    "tokenizer_class": "GemmaTokenizer",
    "add_bos_token": False,
    "add_eos_token": True,
    "bos_token": "<bos>",
    "eos_token": "<eos>",
    "pad_token": "<pad>",
    "unk_token": "<unk>",
    "padding_side": "right",
    "model_max_length": TEXT_LENGTH,
}
SPECIAL_TOKENS = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
CORPUS = ["a dog and a red truck at night", "A DOG AND A RED TRUCK", "this is a photo of a cat.", "two cats, one dog"]


def make_checkpoint(folder: Path, *, seed: int = 0, shard_size: str = "1GB", **picture_config: object) -> Path:
    """Writes every file of a checkpoint into `folder`; all weights, biases too, are random and matter.

    shard_size: "100KB" gives several weight files and an index. picture_config: beats PICTURE_CONFIG.
    """
    import torch  # noqa: PLC0415  only here: other helpers of this folder work without it
    from transformers import SiglipConfig, SiglipModel  # noqa: PLC0415

    tokenizer = make_tokenizer()
    config = SiglipConfig(
        vision_config=PICTURE_CONFIG | picture_config,
        text_config=WORD_CONFIG | {"vocab_size": tokenizer.get_vocab_size()},
    )
    torch.manual_seed(seed)
    model = SiglipModel(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.normal_(mean=1.0 if "norm" in name and name.endswith("weight") else 0.0, std=0.2)
        model.logit_scale.fill_(4.7)
        model.logit_bias.fill_(-16.5)
    model.save_pretrained(folder, max_shard_size=shard_size)
    tokenizer.save(str(folder / "tokenizer.json"))
    write_json(folder / "tokenizer_config.json", TOKENIZER_CONFIG)
    write_json(folder / "preprocessor_config.json", PREPROCESSOR_CONFIG)
    return folder


def make_tokenizer() -> Tokenizer:
    """A byte-pair tokenizer built like Gemma's, which tells upper from lower case, as Gemma's does."""
    tokenizer = Tokenizer(BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = BpeTrainer(vocab_size=400, special_tokens=[*SPECIAL_TOKENS, *bytes_], show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = TemplateProcessing(single=["$A", "<eos>"], special_tokens=[("<eos>", 1)])
    return tokenizer


def write_json(path: Path, values: object) -> None:
    path.write_text(json.dumps(values, indent=2), encoding="utf-8")


def change_json(path: Path, **values: object) -> None:
    """Sets these keys; the value None removes one."""
    stored = json.loads(path.read_text(encoding="utf-8")) | values
    write_json(path, {key: value for key, value in stored.items() if value is not None})


def plain_checkpoint(folder: Path, *, weight_bytes: int = 300_000) -> Path:
    """A checkpoint as published, without torch: every file is well formed, but the weights are nonsense."""
    folder.mkdir(parents=True)
    vision = {"patch_size": 16}
    write_json(folder / "config.json", {"model_type": "siglip", "text_config": {}, "vision_config": vision})
    write_json(folder / "preprocessor_config.json", PREPROCESSOR_CONFIG | {"size": {"height": 224, "width": 224}})
    make_tokenizer().save(str(folder / "tokenizer.json"))
    write_json(folder / "tokenizer_config.json", TOKENIZER_CONFIG)
    write_safetensors(folder / "model.safetensors", weight_bytes)
    return folder


def write_safetensors(path: Path, size: int) -> None:
    """One tensor of `size` bytes, another one for each name."""
    header = json.dumps({"weight": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    data = random.Random(path.name).randbytes(size)
    path.write_bytes(len(header).to_bytes(8, "little") + header + data)
