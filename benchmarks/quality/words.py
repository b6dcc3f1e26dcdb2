"""Do words rank pictures? Groups of things by one word, and classes by their own name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.quality.metrics import average_precision, ranks, share
from benchmarks.quality.related import WordnetTree
from pictograph.encode.offline_assets import ImageClass
from pictograph.encode.protocol import Encoder, FloatArray

GROUPS = """
bird,lizard,snake,reptile,dog,terrier,monkey,bear,fox,cat,elephant,rabbit,fish,insect,mammal,animal,car,truck,boat,
train,vehicle,building,bridge,house,clothing,hat,coat,garment,furniture,food,vegetable,fruit,guitar,computer,ball,
machine,container,musical instrument,wind instrument"""
"""The words that are asked for."""


def words(
    encoder: Encoder,
    vectors: FloatArray,
    truth: Sequence[int],
    tree: WordnetTree,
    image_classes: Sequence[ImageClass],
) -> dict[str, Any]:
    """Mean average precision of group words, and how often a class's name finds its own photograph first.

    truth: the ImageNet class of each photograph.
    """
    asked = GROUPS.replace("\n", "").split(",")
    wanted = {word: holding for word in asked if (holding := tree.holds(word, truth)).any()}
    scores = vectors @ encoder.encode_texts(list(wanted)).T
    precisions = [average_precision(scores[:, i], holding) for i, holding in enumerate(wanted.values())]
    names = encoder.encode_texts([image_classes[index].name for index in truth])
    ahead = ranks(names @ vectors.T, np.arange(len(truth)))  # [query, photo]
    return {
        "groups": len(wanted),
        "group_map": round(float(np.mean(precisions)), 3) if precisions else None,
        "name_r1": share(ahead < 1),
        "name_r5": share(ahead < 5),
    }
