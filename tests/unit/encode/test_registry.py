from __future__ import annotations

import subprocess
import sys

import pytest

from pictograph.encode.registry import ENCODERS, FOR_TESTS, load_encoder
from pictograph.errors import ConfigurationError
from pictograph_search import install_command


def test_noop_is_loaded_by_its_name() -> None:
    assert load_encoder("noop").spec.name == "noop"


def test_an_unknown_name_is_told_the_choices() -> None:
    with pytest.raises(ConfigurationError, match="nonsense") as caught:
        load_encoder("nonsense")
    for name in ENCODERS.keys() - FOR_TESTS:
        assert name in caught.value.message


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("siglip2", "siglip2-so400m-patch14-384"),
        ("google/siglip2-base-patch16-224", "siglip2-base-patch16-224"),
        ("nonsense", "siglip2-so400m-patch14-384"),
    ],
)
def test_a_model_that_is_not_there_is_told_how_it_comes(name: str, wanted: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_encoder(name)
    for way in (f"pictograph model pull {wanted}", "pictograph model unbundle FILE"):
        assert way in caught.value.message


@pytest.mark.parametrize("threads", [0, -3])
def test_threads_must_be_at_least_one(threads: int) -> None:
    with pytest.raises(ConfigurationError, match="thread"):
        load_encoder("noop", threads)


def test_a_missing_package_is_named_with_the_command_that_installs_it() -> None:
    program = (
        "import sys; sys.modules['onnxruntime'] = None\n"
        "from pictograph.encode.registry import load_encoder\n"
        "from pictograph.errors import ConfigurationError\n"
        "try: load_encoder('offline')\n"
        "except ConfigurationError as error: print(error)\n"
    )
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert "onnxruntime" in printed
    assert install_command("server") in printed


def test_naming_the_encoders_loads_no_runtime() -> None:
    program = (
        "import sys, pictograph.encode.registry; print([m for m in ('onnxruntime', 'tokenizers') if m in sys.modules])"
    )
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"


@pytest.mark.parametrize("name", ["a" * 300, "a/" * 3000, "a\x00b", "~nobody-of-that-name/x"])
def test_a_name_that_no_folder_can_have_is_no_encoder(name: str) -> None:
    with pytest.raises(ConfigurationError, match="There is no encoder"):
        load_encoder(name)


def test_the_encoder_of_the_tests_is_not_offered_to_people() -> None:
    with pytest.raises(ConfigurationError, match=r"Choose one of: offline") as refused:
        load_encoder("siglip9")
    assert "noop" not in refused.value.message
