"""The taxonomy of automatic tags, their thresholds, and bringing tags up to date."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pictograph.types import MAX_LABEL, TagCategory
from pictograph.wire.base import Body, Wire


class Label(Wire):
    """One label of the taxonomy."""

    category: TagCategory
    """`objects`, `scenes` or `attributes`."""
    name: str
    """Unique in its category."""
    group: str
    """A heading under which people find it."""
    parents: list[str]
    """Labels of the same category that it implies."""
    exclusive_with: list[str]
    """`scenes/outdoor`: labels that never stand beside it; of such a set an image keeps the best."""
    prompts: list[str]
    """Captions by which taggers that read words judge it."""
    threshold: float
    """The score, 0 to 1, from which it is given now."""
    default_threshold: float
    """The taxonomy's own threshold."""
    lowest_threshold: float
    """Lower scores are not stored, so no lower threshold can be set."""
    is_judged: bool
    """False if the running tagger never gives it."""


class Taxonomy(Wire):
    """Answer of `GET /tags`."""

    version: str
    """Of the labels."""
    tagger: str | None = None
    """What judges them now, `taxonomy-1+offline-2`; None if the encoder brings no tagger."""
    labels: list[Label]
    """Category by category, related labels together."""


class TagExample(Wire):
    """An image that would get a tag, or lose it."""

    image_id: str
    """UUID of the image."""
    dataset_id: str
    """UUID of the dataset it is in."""
    filename: str
    """Its name within its folder."""
    folder_path: str
    """`/`, or `/a/b`."""
    score: float
    """Of the label in question."""


class TagChange(Wire):
    """How many images would get another tag, or lose it, because a label does."""

    category: TagCategory
    """Of the other tag."""
    label: str
    """The other tag."""
    gained: int
    """Images that would get it."""
    lost: int
    """Images that would lose it."""


class ThresholdPreview(Wire):
    """Answer of `GET /tags/preview`; of your organization's images, archived ones not counted."""

    category: TagCategory
    """Of the label."""
    label: str
    """The label whose threshold would change."""
    threshold: float
    """The one in question."""
    current_threshold: float
    """The one in force."""
    gained: int
    """Images that would get the tag."""
    lost: int
    """Images that would lose it."""
    images: int
    """Images whose tags would change."""
    others: list[TagChange]
    """Other tags that change, because a label implies them or never stands beside them."""
    gained_examples: list[TagExample]
    """Some images that would gain it, those nearest to the threshold first."""
    lost_examples: list[TagExample]
    """Some images that would lose it, those nearest to the threshold first."""
    is_judged: bool = True
    """False if the running tagger cannot judge the label: then no image gets it, whatever the threshold."""


class ThresholdChange(Wire):
    """Answer of `POST /tags/apply` and `POST /tags/reset`."""

    category: TagCategory
    """Of the label."""
    label: str
    """The label whose threshold changed."""
    threshold: float
    """The one in force from now on."""
    previous_threshold: float
    """The one before."""
    images: int
    """Images of your organization whose tags changed."""
    is_judged: bool = True
    """False if the running tagger cannot judge the label: then no image gets it, whatever the threshold."""


class LabelBody(Body):
    """Body of `POST /tags/reset`."""

    label: Annotated[str, Field(max_length=MAX_LABEL)]
    """Its name, or `objects/dog`."""
    category: TagCategory | None = None
    """Needed if several categories have the name."""


class ThresholdBody(LabelBody):
    """Body of `POST /tags/apply`."""

    threshold: Annotated[float, Field(allow_inf_nan=False)]
    """From the label's lowest threshold to 1."""


class TagUpdate(Wire):
    """Answer of `POST /tags/update`. It counts contents: images with the same bytes are one."""

    tagger: str
    """The version that the tags have after the update."""
    updated: int
    """Tagged again by this call."""
    remaining: int
    """Tagged by another version, not yet updated."""
    cannot_update: int
    """Tagged by another version, or by none, with too little stored to be tagged again."""
    reason: str | None = None
    """Why some cannot be updated, and what helps."""
    next_cursor: str | None = None
    """Pass it as `cursor` to go on; None at the end."""
