"""SigLIP on tiny random checkpoints in the real format; the numbers are checked against a numpy implementation."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from pictograph.encode.batching import encode_isolating
from pictograph.encode.checksums import SIDECAR
from pictograph.encode.protocol import Encoded, FloatArray
from pictograph.encode.registry import describe_encoder, load_encoder, models_folder
from pictograph.encode.siglip import CPU_BATCH, TEXT_BATCH, SiglipEncoder
from pictograph.encode.tokens import SiglipTokenizer
from pictograph.errors import BadImage, ConfigurationError
from pictograph.types import DIMENSION
from pictograph.upload.picture import Picture, PictureFacts
from support.checkpoints import IMAGE_PX, PREPROCESSOR_CONFIG, TEXT_LENGTH, change_json, make_checkpoint

torch = pytest.importorskip("torch", reason="needs torch, of the extra siglip")
pytest.importorskip("transformers", reason="needs transformers, of the extra siglip")

from support.siglip_reference import Reference  # noqa: E402  needs safetensors, which comes with transformers

ONE_DEVICE = 1e-5
"""float32 on one device: only the order of additions differs."""
PARITY = 1e-4
"""float32 against numpy in float64."""
SIZES = [(300, 400), (64, 900), (1, 1), (33, 20), (IMAGE_PX, IMAGE_PX), (500, 3)]
TEXTS = ["a dog", "", "a red truck at night", "a photo of two cats, " * 9, "ünïcödé 🚗", "This is a photo of a dog."]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("models") / "siglip2-tiny-patch16-50")


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """The checkpoint again, to be spoiled."""
    return Path(shutil.copytree(folder, tmp_path / folder.name, ignore=shutil.ignore_patterns(SIDECAR)))


@pytest.fixture(scope="module")
def encoder(folder: Path) -> SiglipEncoder:
    return SiglipEncoder.load(folder, device="cpu", threads=2, dtype="float32")


@pytest.fixture(scope="module")
def reference(folder: Path) -> Reference:
    return Reference.open(folder)


def synthetic(height: int, width: int, seed: int) -> Picture:
    """A soft coloured pattern, another one for each seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 7, 3), np.uint8)
    image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    return Picture(np.ascontiguousarray(image), PictureFacts("PNG", "image/png", width, height))


PICTURES = [synthetic(*size, seed) for seed, size in enumerate(SIZES)]


def encoded(encoder: SiglipEncoder, pictures: list[Picture]) -> Encoded:
    return encoder.encode_prepared(np.stack([encoder.prepare(picture) for picture in pictures]))


def reference_vectors(reference: Reference, pictures: list[Picture]) -> npt.NDArray[np.float64]:
    return np.stack([reference.picture_vector(reference.pixels(picture.pixels)) for picture in pictures])


# The numbers


def test_pictures_agree_with_the_published_formulas(encoder: SiglipEncoder, reference: Reference) -> None:
    ours = encoded(encoder, PICTURES).vectors[:, : encoder.spec.dimension]
    assert np.abs(ours - reference_vectors(reference, PICTURES)).max() < PARITY


def test_texts_agree_with_the_published_formulas(encoder: SiglipEncoder, reference: Reference) -> None:
    tokens = SiglipTokenizer(encoder.checkpoint.folder, TEXT_LENGTH).tokens(TEXTS)
    expected = np.stack([reference.word_vector(row) for row in tokens])
    assert np.abs(encoder.encode_texts(TEXTS)[:, : encoder.spec.dimension] - expected).max() < PARITY


@pytest.mark.parametrize("resample", [2, 3])
def test_preparation_is_what_the_preprocessor_file_says(copy: Path, resample: int) -> None:
    change_json(copy / "preprocessor_config.json", resample=resample)
    encoder, reference = SiglipEncoder.load(copy, device="cpu"), Reference.open(copy)
    for picture in PICTURES:
        prepared = encoder.prepare(picture)
        assert prepared.shape == (3, IMAGE_PX, IMAGE_PX)
        assert prepared.dtype == np.float32
        assert prepared.flags.c_contiguous
        assert np.abs(prepared.transpose(1, 2, 0) - reference.pixels(picture.pixels)).max() < ONE_DEVICE


@pytest.mark.parametrize(("dtype", "least_cosine"), [("bfloat16", 0.999), ("float16", 0.9999)])
def test_16_bits_stay_close_to_the_published_formulas(
    encoder: SiglipEncoder, reference: Reference, dtype: str, least_cosine: float
) -> None:
    from transformers import SiglipVisionModel  # noqa: PLC0415

    from pictograph.encode.towers import Tower  # noqa: PLC0415

    # What a GPU computes in, here on the CPU: the conversions are the same, the speed is not.
    tower = Tower(SiglipVisionModel, encoder.checkpoint, torch.device("cpu"), getattr(torch, dtype))
    prepared = np.stack([encoder.prepare(picture) for picture in PICTURES])
    vectors = tower.unit_vectors(pixel_values=tower.on_device(prepared))
    assert vectors.dtype == np.float32
    assert (vectors * reference_vectors(reference, PICTURES)).sum(axis=1).min() > least_cosine


def test_the_scale_and_the_bias_of_the_logits_come_from_the_weights(encoder: SiglipEncoder) -> None:
    assert encoder.logit_scale == pytest.approx(np.exp(4.7), rel=1e-6)
    assert encoder.logit_bias == pytest.approx(-16.5)


def test_the_tokens_are_those_that_transformers_makes(encoder: SiglipEncoder) -> None:
    from transformers import AutoTokenizer  # noqa: PLC0415

    theirs = AutoTokenizer.from_pretrained(encoder.checkpoint.folder, local_files_only=True)
    lowered = [text.lower() for text in TEXTS]
    expected = theirs(lowered, padding="max_length", max_length=TEXT_LENGTH, truncation=True)["input_ids"]
    assert SiglipTokenizer(encoder.checkpoint.folder, TEXT_LENGTH).tokens(TEXTS).tolist() == expected


def test_upper_case_makes_no_difference(encoder: SiglipEncoder) -> None:
    assert (encoder.encode_texts(["A DOG"]) == encoder.encode_texts(["a dog"])).all()


def test_a_text_is_padded_to_the_models_length_and_that_matters(encoder: SiglipEncoder, reference: Reference) -> None:
    tokens = SiglipTokenizer(encoder.checkpoint.folder, TEXT_LENGTH).tokens(["a dog"])[0]
    assert len(tokens) == TEXT_LENGTH
    words = tokens[tokens != 0]
    assert 0 < len(words) < TEXT_LENGTH
    padded = np.concatenate([words, np.zeros(TEXT_LENGTH - len(words), np.int64)])
    ours = encoder.encode_texts(["a dog"])[0, : encoder.spec.dimension]
    assert np.abs(ours - reference.word_vector(padded)).max() < PARITY
    assert ours @ reference.word_vector(words) < 0.9


def test_the_end_mark_survives_a_text_that_is_too_long(encoder: SiglipEncoder) -> None:
    assert SiglipTokenizer(encoder.checkpoint.folder, TEXT_LENGTH).tokens(["dog " * 100])[0, -1] == 1


# The protocol


def test_the_spec_names_model_and_revision(encoder: SiglipEncoder, folder: Path) -> None:
    spec = encoder.spec
    assert (spec.name, spec.dimension, spec.input_px, spec.has_text) == (folder.name, 48, IMAGE_PX, True)
    assert re.fullmatch(r"[0-9a-f]{12}", spec.revision)


def test_vectors_are_unit_rows_and_the_evidence_is_empty(encoder: SiglipEncoder) -> None:
    result = encoded(encoder, PICTURES)
    texts = encoder.encode_texts(TEXTS)
    assert result.evidence.shape == (len(PICTURES), 0)
    for vectors in (result.vectors, texts):
        assert vectors.shape == (len(PICTURES), DIMENSION)
        assert vectors.dtype == np.float32
        assert np.abs(np.linalg.norm(vectors, axis=1) - 1).max() < ONE_DEVICE


def test_padding_to_1152_keeps_every_cosine(encoder: SiglipEncoder, reference: Reference) -> None:
    ours, theirs = encoded(encoder, PICTURES).vectors, reference_vectors(reference, PICTURES)
    assert not ours[:, encoder.spec.dimension :].any()
    assert np.abs(ours @ ours.T - theirs @ theirs.T).max() < PARITY


def test_a_batch_gives_what_each_picture_gives_alone_in_the_order_given(encoder: SiglipEncoder) -> None:
    pictures = [synthetic(60, 80, seed) for seed in range(2 * CPU_BATCH + 1)]
    together = encoded(encoder, pictures).vectors
    alone = np.concatenate([encoded(encoder, [picture]).vectors for picture in pictures])
    assert np.abs(together - alone).max() < ONE_DEVICE
    assert (together @ alone.T).argmax(axis=1).tolist() == list(range(len(pictures)))


def test_many_texts_give_what_each_gives_alone_in_the_order_given(encoder: SiglipEncoder) -> None:
    texts = [f"a photo of {number} dogs" for number in range(TEXT_BATCH + 2)]
    together = encoder.encode_texts(texts)
    alone = np.concatenate([encoder.encode_texts([text]) for text in texts])
    assert np.abs(together - alone).max() < ONE_DEVICE
    assert encoder.encode_texts([]).shape == (0, DIMENSION)


def test_a_bad_picture_in_a_batch_fails_alone(encoder: SiglipEncoder) -> None:
    prepared: list[FloatArray] = [encoder.prepare(synthetic(60, 80, seed)) for seed in range(6)]
    prepared[2] = np.full_like(prepared[2], np.inf)
    prepared[4] = prepared[4][:, :20]
    outcomes = encode_isolating(encoder, prepared, max_batch=6)
    assert [isinstance(outcome, Encoded) for outcome in outcomes] == [True, True, False, True, False, True]
    assert isinstance(outcomes[2], BadImage)


# Loading


def test_a_sharded_checkpoint_gives_the_same_vectors(encoder: SiglipEncoder, tmp_path: Path) -> None:
    shards = make_checkpoint(tmp_path / "shards", shard_size="100KB")
    assert not (shards / "model.safetensors").exists()
    again = SiglipEncoder.load(shards, device="cpu", dtype="float32")
    assert np.abs(encoded(again, PICTURES).vectors - encoded(encoder, PICTURES).vectors).max() < ONE_DEVICE
    assert np.abs(again.encode_texts(TEXTS) - encoder.encode_texts(TEXTS)).max() < ONE_DEVICE


def test_the_words_network_is_not_in_memory_before_the_first_text(folder: Path) -> None:
    program = f"""
import gc, numpy, torch
from pathlib import Path
from pictograph.encode.siglip import SiglipEncoder
from transformers import SiglipTextModel, SiglipVisionModel
def held(kind): return sum(isinstance(thing, kind) for thing in gc.get_objects() if isinstance(thing, torch.nn.Module))
encoder = SiglipEncoder.load(Path({str(folder)!r}), device="cpu", threads=1)
encoder.encode_prepared(numpy.zeros((1, 3, {IMAGE_PX}, {IMAGE_PX}), numpy.float32))
print(held(SiglipVisionModel), held(SiglipTextModel), sum(type(o).__name__ == "Tokenizer" for o in gc.get_objects()))
encoder.encode_texts(["a dog"])
print(held(SiglipVisionModel), held(SiglipTextModel))
words = SiglipEncoder(encoder.checkpoint, device="cpu")
del encoder
words.encode_texts(["a dog"])
gc.collect()
print(held(SiglipVisionModel), held(SiglipTextModel))
"""
    quiet = ["-W", "ignore"]  # looking at every object touches torch's deprecated ones; what loading prints still shows
    done = subprocess.run([sys.executable, *quiet, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:3] == ["1 0 0", "1 1", "0 1"]
    assert done.stderr == ""


def test_nothing_is_asked_of_the_network(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise AssertionError("a socket was opened")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    encoder = SiglipEncoder.load(copy, device="cpu")
    encoded(encoder, PICTURES)
    encoder.encode_texts(TEXTS)
    for name in ("google/siglip2-so400m-patch14-384", "google/never-heard-of"):
        with pytest.raises(ConfigurationError):
            load_encoder(name)


def test_the_revision_follows_what_decides_a_vector(copy: Path) -> None:
    def revision() -> str:
        return describe_encoder(str(copy)).revision

    first = revision()
    change_json(copy / "config.json", transformers_version="99.0")
    assert revision() == first
    change_json(copy / "preprocessor_config.json", image_mean=[0.4, 0.4, 0.4])
    second = revision()
    weights = bytearray((copy / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (copy / "model.safetensors").write_bytes(weights)
    assert len({first, second, revision()}) == 3
    assert SiglipEncoder.load(copy, device="cpu").spec == describe_encoder(str(copy))


def test_a_model_is_found_by_path_and_by_name(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    by_path = load_encoder(str(folder), threads=1).spec
    models_folder().mkdir(parents=True)
    (models_folder() / folder.name).symlink_to(folder)
    assert by_path == load_encoder(folder.name, threads=1).spec == describe_encoder(f"google/{folder.name}")
    monkeypatch.chdir(folder.parent)
    assert describe_encoder(f"./{folder.name}") == by_path


def test_a_snapshot_in_the_hubs_cache_is_called_by_its_repository(folder: Path, tmp_path: Path) -> None:
    snapshot = tmp_path / "models--google--siglip2-base-patch16-224" / "snapshots" / "75de2d55ec2d"
    shutil.copytree(folder, snapshot)
    assert describe_encoder(str(snapshot)).name == "siglip2-base-patch16-224"


def test_an_unknown_model_is_told_the_choices_and_how_to_get_it(folder: Path) -> None:
    models_folder().mkdir(parents=True)
    (models_folder() / folder.name).symlink_to(folder)
    with pytest.raises(ConfigurationError) as caught:
        load_encoder("siglip2")
    for hint in ("offline", folder.name, str(models_folder()), "pictograph model pull siglip2-so400m-patch14-384"):
        assert hint in caught.value.message


# What can be wrong with a folder


FILES = ["config.json", "preprocessor_config.json", "tokenizer.json", "model.safetensors"]


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(ConfigurationError, match=re.escape(name) + " is missing"):
        SiglipEncoder.load(copy, device="cpu")


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    shards = make_checkpoint(tmp_path / "shards", shard_size="100KB")
    lost = sorted(shards.glob("model-*.safetensors"))[1]
    lost.unlink()
    with pytest.raises(ConfigurationError, match=lost.name + " is missing"):
        SiglipEncoder.load(shards, device="cpu")


@pytest.mark.parametrize("name", FILES[:2])
@pytest.mark.parametrize("text", ["{", "[]", "\udcff"])
def test_a_damaged_settings_file_is_named(copy: Path, name: str, text: str) -> None:
    (copy / name).write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ConfigurationError, match=re.escape(name)):
        SiglipEncoder.load(copy, device="cpu")


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"model": {}}'])
def test_a_damaged_tokenizer_is_said_at_the_first_text(copy: Path, text: str) -> None:
    (copy / "tokenizer.json").write_text(text)
    encoder = SiglipEncoder.load(copy, device="cpu")
    with pytest.raises(ConfigurationError, match="tokenizer"):
        encoder.encode_texts(["a dog"])


@pytest.mark.parametrize("keep_bytes", [0, 5, 4000, 500_000])
def test_cut_off_weights_are_a_configuration_error(copy: Path, keep_bytes: int) -> None:
    weights = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(weights[:keep_bytes])
    with pytest.raises(ConfigurationError, match=re.escape(str(copy))):
        SiglipEncoder.load(copy, device="cpu")


def test_weights_of_another_model_are_a_configuration_error(copy: Path, tmp_path: Path) -> None:
    deeper = make_checkpoint(tmp_path / "deeper", num_hidden_layers=2)
    shutil.copy(deeper / "model.safetensors", copy / "model.safetensors")
    with pytest.raises(ConfigurationError, match=r"lack 'encoder\.layers\.2|lack 'vision_model\.encoder\.layers\.2"):
        SiglipEncoder.load(copy, device="cpu")


def test_weights_of_another_width_are_a_configuration_error(copy: Path, tmp_path: Path) -> None:
    wider = make_checkpoint(tmp_path / "wider", intermediate_size=96)
    shutil.copy(wider / "model.safetensors", copy / "model.safetensors")
    with pytest.raises(ConfigurationError, match="cannot be loaded"):
        SiglipEncoder.load(copy, device="cpu")


def test_a_naflex_checkpoint_is_refused_with_the_model_to_take(copy: Path) -> None:
    change_json(copy / "config.json", model_type="siglip2")
    with pytest.raises(ConfigurationError, match=r"naflex.*siglip2-so400m-patch14-384"):
        SiglipEncoder.load(copy, device="cpu")


@pytest.mark.parametrize("model_type", ["clip", "siglip_vision_model", None])
def test_another_kind_of_model_is_refused(copy: Path, model_type: str | None) -> None:
    change_json(copy / "config.json", model_type=model_type)
    with pytest.raises(ConfigurationError, match=f"model_type is {model_type!r}"):
        SiglipEncoder.load(copy, device="cpu")


WRONG_SETTINGS: list[dict[str, object]] = [
    {"do_resize": False},
    {"do_center_crop": True},
    {"size": {"shortest_edge": 50}},
    {"size": {"height": 50, "width": 60}},
    {"size": {"height": 64, "width": 64}},
    {"resample": None},
    {"resample": 99},
    {"image_mean": None},
    {"image_std": [0.5, 0.5, 0]},
    {"image_mean": [0.5]},
]


@pytest.mark.parametrize("settings", WRONG_SETTINGS, ids=json.dumps)
def test_preprocessing_that_is_no_squash_is_refused(copy: Path, settings: dict[str, object]) -> None:
    change_json(copy / "preprocessor_config.json", **settings)
    with pytest.raises(ConfigurationError, match=r"preprocessor_config\.json"):
        SiglipEncoder.load(copy, device="cpu")


def test_settings_inside_the_processors_file_are_read_too(copy: Path, folder: Path) -> None:
    (copy / "preprocessor_config.json").unlink()
    (copy / "processor_config.json").write_text(json.dumps({"image_processor": PREPROCESSOR_CONFIG}))
    assert describe_encoder(str(copy)) == describe_encoder(str(folder))


@pytest.mark.parametrize("device", ["nonsense", "cuda:99"])
def test_a_device_that_is_not_there_is_a_configuration_error(folder: Path, device: str) -> None:
    with pytest.raises(ConfigurationError, match=device):
        SiglipEncoder.load(folder, device=device)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_same_vectors_as_the_cpu(encoder: SiglipEncoder, folder: Path) -> None:
    on_gpu = SiglipEncoder.load(folder, device="cuda")
    cosines = (encoded(on_gpu, PICTURES).vectors * encoded(encoder, PICTURES).vectors).sum(axis=1)
    assert cosines.min() > 0.999  # 16 bits
    assert np.abs(on_gpu.encode_texts(TEXTS) - encoder.encode_texts(TEXTS)).max() < 1e-3
