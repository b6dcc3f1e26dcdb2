"""`/tags`: the taxonomy, its thresholds, and bringing tags up to date."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from pictograph import wire
from pictograph.server import present_tags as present
from pictograph.server.access import KeyFirst, Operator, ServicesDep, Viewer, reads, runs
from pictograph.server.answers import answer_of
from pictograph.server.idempotency import in_steps
from pictograph.server.inputs import Cursor
from pictograph.tagging.library.retag import parse_place
from pictograph.types import MAX_LABEL, MAX_NAMED, TagCategory

router = APIRouter(prefix=f"{wire.API_PREFIX}/tags", tags=["tags"], route_class=KeyFirst)

Category = Annotated[TagCategory | None, Query(description="Needed if several categories have the label.")]


@router.get("", dependencies=[Depends(reads)], response_model=wire.Taxonomy)
async def taxonomy(services: ServicesDep) -> Response:
    """Lists every label an image can get, with its threshold, and whether the running tagger can judge it."""
    thresholds, tagger = await services.thresholds.chosen(), await services.retag.tagger()
    return await answer_of(lambda: present.taxonomy(services.taxonomy, thresholds, tagger))


@router.get("/preview")
async def preview(
    services: ServicesDep,
    caller: Viewer,
    label: Annotated[str, Query(max_length=MAX_LABEL, description="Its name, or `objects/dog`.")],
    threshold: Annotated[
        float | None, Query(allow_inf_nan=False, description="Absent: the taxonomy's own, as `reset` sets it.")
    ] = None,
    category: Category = None,
    dataset_name: Annotated[
        str | None, Query(max_length=MAX_NAMED, description="Name or UUID; absent: the whole organization.")
    ] = None,
) -> wire.ThresholdPreview:
    """Shows what another threshold would change in your organization's images; changes nothing."""
    found = await services.thresholds.preview(
        caller.organization_id, label, threshold, category=category, dataset=dataset_name
    )
    return present.threshold_preview(found, await services.retag.tagger())


@router.post("/apply")
async def apply(services: ServicesDep, caller: Operator, body: wire.ThresholdBody) -> wire.ThresholdChange:
    """Sets a label's threshold and changes the tags that depend on it, for the whole installation, all or nothing."""
    applied = await services.thresholds.apply(
        caller.organization_id, body.label, body.threshold, category=body.category
    )
    return present.threshold_change(applied, await services.retag.tagger())


@router.post("/reset")
async def reset(services: ServicesDep, caller: Operator, body: wire.LabelBody) -> wire.ThresholdChange:
    """As `apply`, back to the taxonomy's own threshold."""
    applied = await services.thresholds.apply(caller.organization_id, body.label, None, category=body.category)
    return present.threshold_change(applied, await services.retag.tagger())


@router.post("/update", dependencies=[Depends(runs)])
@in_steps
async def update(
    services: ServicesDep,
    limit: Annotated[int, Query(ge=1, le=20_000, description="Most contents to tag again by this call.")] = 2000,
    cursor: Cursor = None,
) -> wire.TagUpdate:
    """Updates tags that another version gave, from what is stored. Call it until there is no cursor.

    409 if the library's encoder brings no tagger.
    """
    return present.tag_update(await services.retag.step(limit, parse_place(cursor) if cursor is not None else None))
