"""Names of images as paths: below the export's folder, the same on every system, and nobody else's."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pictograph.placing import MAX_BYTES, Places, safe_name


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("a.jpg", "a.jpg"),
        ("..", "._"),
        (".", "_"),
        ("con", "_con"),
        ("CON.tar.gz", "_CON.tar.gz"),
        ("nul .jpg", "_nul .jpg"),
        ("com1.png", "_com1.png"),
        ("console.jpg", "console.jpg"),
        ("a:b|c?.jpg", "a_b_c_.jpg"),
        ("a\\..\\b.jpg", "a_.._b.jpg"),
        ("ends in a dot.", "ends in a dot_"),
        ("photo\u202egpj.exe", "photo_gpj.exe"),
        ("👩\u200d🚀.png", "👩\u200d🚀.png"),
        ("é" * 200 + ".jpeg", "é" * 117 + ".jpeg"),
    ],
)
def test_a_name_becomes_one_that_every_file_system_takes(name: str, safe: str) -> None:
    assert safe_name(name) == safe


@given(st.text(min_size=1, max_size=255))
def test_whatever_the_name_it_is_one_segment_and_not_too_long(name: str) -> None:
    safe = safe_name(name)
    assert safe not in ("", ".", "..")
    assert not set(safe) & set('/\\<>:"|?*\x00')
    assert len(safe.encode()) <= MAX_BYTES + 1
    assert safe[-1] not in ". "
    assert safe_name(safe) == safe


def test_no_two_images_get_one_path_on_a_file_system_that_takes_capitals_for_small_letters() -> None:
    places = Places()
    asked = [
        ("d", "/x", "a.jpg"),
        ("d", "/x", "A.jpg"),
        ("d", "/X", "a.jpg"),
        ("d", "/", "x"),
        ("d", "/x", "a (2).jpg"),
    ]
    found = [places.of(str(number), *names) for number, names in enumerate(asked)]
    assert [it.path for it in found] == ["d/x/a.jpg", "d/x/A (2).jpg", "d/X (2)/a.jpg", "d/x (3)", "d/x/a (2) (2).jpg"]
    assert [it.renamed for it in found] == [False, True, True, True, True]
    assert [places.of(str(number), *names) for number, names in enumerate(asked)] == found


def test_an_image_that_got_another_name_gets_another_path_and_its_own_is_free() -> None:
    places = Places()
    places.of("1", "d", "/", "a.jpg")
    assert places.of("1", "d", "/", "b.jpg").path == "d/b.jpg"
    assert places.of("2", "d", "/", "a.jpg").path == "d/a.jpg"


def test_a_path_of_the_export_itself_is_no_images() -> None:
    places = Places()
    places.reserve("manifest.jsonl")
    assert places.of("1", "manifest.jsonl", "/", "a.jpg").path == "manifest (2).jsonl/a.jpg"


def test_spellings_of_unicode_are_one_name_unless_the_original_one_is_wanted() -> None:
    composed = "é.jpg"
    apart = unicodedata.normalize("NFD", composed)
    places = Places()
    assert [places.of(str(n), "d", "/", name).path for n, name in enumerate((composed, apart))] == [
        "d/é.jpg",
        f"d/{unicodedata.normalize('NFD', 'é')} (2).jpg",
    ]
    exact = Places(one_spelling=False)
    assert [exact.of(str(n), "d", "/", name).renamed for n, name in enumerate((composed, apart))] == [False, False]


def test_ten_thousand_names_that_become_one_take_no_longer_than_as_many_others() -> None:
    places, asked = Places(), 0
    places._database.set_trace_callback(lambda _statement: None)
    hidden = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    statements = [0]

    def count(_text: str) -> None:
        statements[0] += 1

    places._database.set_trace_callback(count)
    for a in hidden:
        for b in hidden:
            for c in hidden:
                places.of(f"{asked}", "d", "/", f"{a}{b}{c}.jpg")
                asked += 1
    assert statements[0] < 12 * asked
