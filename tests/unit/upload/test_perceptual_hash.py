"""The hash of a picture hardly changes when the picture is saved again or in another size, and tells others apart."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from pictograph.upload.perceptual_hash import BITS, cosines, mirrored, perceptual_hash

from .pictures import saved


def scene(seed: int) -> Image.Image:
    """Soft shapes of about the spectrum that photographs have, the same for the same seed."""
    random = np.random.default_rng(seed)
    whole = np.zeros((384, 512, 3))
    for cells in (2, 4, 8, 16, 32):
        layer = Image.fromarray(random.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        whole += np.asarray(layer.resize((512, 384), Image.Resampling.BICUBIC), np.float64) / cells
    return Image.fromarray((255 * whole / whole.max()).astype(np.uint8))


def hash_of(image: Image.Image) -> int:
    return perceptual_hash(np.asarray(image.convert("RGB")))


def bits_apart(one: int, other: int) -> int:
    return ((one ^ other) & (2**BITS - 1)).bit_count()


@pytest.mark.parametrize("seed", range(8))
def test_saved_again_or_in_another_size_it_stays(seed: int) -> None:
    picture = scene(seed)
    own = hash_of(picture)
    for quality in (90, 60, 30):
        assert bits_apart(own, hash_of(Image.open(BytesIO(saved(picture, "JPEG", quality=quality))))) <= 4
    for size in ((256, 192), (160, 120), (1024, 768), (512, 300)):
        assert bits_apart(own, hash_of(picture.resize(size, Image.Resampling.LANCZOS))) <= 4
    assert -(2**63) <= own < 2**63


def test_other_pictures_differ_in_many_bits() -> None:
    hashes = [hash_of(scene(seed)) for seed in range(24)]
    apart = [bits_apart(one, other) for place, one in enumerate(hashes) for other in hashes[:place]]
    assert min(apart) >= 16
    assert 28 <= np.mean(apart) <= 36


def test_the_hash_of_the_mirror_image_is_known_from_the_hash() -> None:
    for seed in range(16):
        picture = scene(seed)
        told = mirrored(np.array([hash_of(picture) & (2**BITS - 1)], np.uint64))[0]
        assert bits_apart(int(told), hash_of(picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT))) <= 1


def test_a_plain_picture_has_no_bit_set() -> None:
    assert {hash_of(Image.new("RGB", (64, 48), (grey, grey, grey))) for grey in (0, 77, 255)} == {0}


def test_the_waves_are_those_of_the_orthonormal_transform() -> None:
    assert np.allclose(cosines() @ cosines().T, np.eye(32), atol=1e-12)
