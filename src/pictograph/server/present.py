"""Rows of the database -> models of the wire."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Literal, TypeAlias
from uuid import UUID

import orjson
from fastapi import Request, Response

from pictograph import wire
from pictograph.bulk.arrow import Rows
from pictograph.bulk.door import Verdicts
from pictograph.bulk.export import Details, ExportPage, ExportRow
from pictograph.duplicates.service import Answer, Asked, Group
from pictograph.errors import WrongHost
from pictograph.search.asked_tags import TagNotes
from pictograph.search.engine import FacetAnswer, QueryAnswer
from pictograph.search.examples import formula_of
from pictograph.search.explain import Explanation
from pictograph.search.found import Found, Hit, Neighbour
from pictograph.search.orders import ORDERS, Order
from pictograph.search.query import Example
from pictograph.search.relevance import Relevance
from pictograph.server.hosts import url_of
from pictograph.server.present_relevance import percentiles, relevance
from pictograph.services import Services
from pictograph.spaces.registry import Space
from pictograph.spaces.reindex import Progress
from pictograph.store.collections import Collection
from pictograph.store.datasets import Dataset, DeletedDataset
from pictograph.store.duplicates import Member
from pictograph.store.history import Write
from pictograph.store.images import Image, KnownImage, Replacement, Tagging
from pictograph.store.keys import ApiKey, Caller
from pictograph.store.name_changes import NameChange
from pictograph.store.pages import EPOCH, MICROSECOND, Listed
from pictograph.store.saved_queries import SavedQuery
from pictograph.store.signing import PictureUrls
from pictograph.types import TAG_CATEGORIES, ImageState, Role

JsonRow: TypeAlias = dict[str, Any]


def pagination(
    total: int | None, next_cursor: str | None, *, limit: int, offset: int = 0, is_exact: bool = True
) -> wire.Pagination:
    """Where a page lies. is_exact: whether the total was counted, or estimated."""
    return wire.Pagination(
        limit=limit,
        offset=offset,
        total=total,
        total_is=None if total is None else "exact" if is_exact else "estimate",
        has_more=next_cursor is not None,
        next_cursor=next_cursor,
    )


def history(listed: Listed[Write], *, limit: int) -> wire.Page[wire.Write]:
    rows = [
        wire.Write(
            at=row.at,
            action=row.action,
            detail=row.detail,
            key_id=str(row.key_id) if row.key_id else None,
            key_name=row.key_name,
        )
        for row in listed.rows
    ]
    return wire.Page(data=rows, pagination=pagination(listed.total, listed.next_cursor, limit=limit))


def base_url(request: Request, public_url: str | None) -> str:
    """The public address of the settings, else the one that the caller used. Raises WrongHost if that is doubtful."""
    return (public_url or url_of(request)).rstrip("/")


async def urls_for(request: Request, services: Services, caller: Caller) -> PictureUrls:
    """What makes addresses of pictures: whole ones where it is certain which address leads here, else paths."""
    try:
        base = base_url(request, services.settings.public_url)
    except WrongHost:
        base = ""
    return await services.signing.urls(caller, base)


def similar_rows(rows: Sequence[Neighbour], urls: PictureUrls, said: Relevance | None = None) -> list[JsonRow]:
    """`wire.SimilarImage` of each, for `with_rows`. said: of their scores."""
    places = percentiles(said, [row.similarity for row in rows])
    return [
        {**search_row(row, urls), "similarity": row.similarity, "percentile": place}
        for row, place in zip(rows, places, strict=True)
    ]


def tagged_rows(rows: Sequence[Hit], urls: PictureUrls) -> list[JsonRow]:
    """`wire.TaggedImage` of each, for `with_rows`."""
    return [search_row(row, urls) for row in rows]


def search_row(row: Hit, urls: PictureUrls) -> JsonRow:
    """`wire.SearchRow` with all the names that it has for published clients; making the model takes twice as long."""
    image, dataset = str(row.id), row.dataset_id
    return {
        "image_id": image,
        "filename": row.filename,
        "folder_path": row.folder_path,
        "dataset_id": dataset,
        "tags": row.tags,
        "thumbnail_url": urls.thumbnail(image),
        "image_url": urls.original(image),
        "status": "new",
        "annotation_count": 0,
        "id": image,
        "image_auto_tags": row.tags,
        "virtual_folder_path": row.folder_path,
        "virtual_directory_path": row.folder_path,
        "project_id": dataset,
    }


def query_rows(answer: QueryAnswer, urls: PictureUrls) -> list[JsonRow]:
    """`wire.QueryRow` of each, for `with_rows`."""
    values = answer.values or [None] * len(answer.rows)
    order = ORDERS.get(answer.query.order)
    near = [row.similarity if isinstance(row, Neighbour) else None for row in answer.rows]
    places = percentiles(answer.relevance, [one for one in near if one is not None]) or [None] * len(near)
    return [
        {
            **search_row(row, urls),
            "score": row.score if isinstance(row, Neighbour) else None,
            "similarity": similarity,
            "percentile": place,
            "order_value": None if value is None or order is None else order_value(value, order),
        }
        for row, value, similarity, place in zip(answer.rows, values, near, places, strict=True)
    ]


def order_value(value: float, order: Order) -> float | str:
    """A fact as JSON has it; a time is ISO 8601."""
    if order.is_time:
        return (EPOCH + value * MICROSECOND).isoformat().replace("+00:00", "Z")
    return int(value) if value.is_integer() else value


def query_answer(answer: QueryAnswer) -> wire.QueryAnswer:
    """The answer without its rows."""
    query = answer.query
    return wire.QueryAnswer(
        results=[],
        count=len(answer.rows),
        examples=[used_example(example) for example in query.examples],
        formula=formula_of(query.examples),
        order_by=query.order,
        descending=query.descending,
        threshold=answer.threshold,
        relevance=relevance(answer.relevance, answer.threshold),
        top=query.top,
        folder_path=answer.folder_path,
        unknown_values=answer.unknown,
        cut_off=answer.cut_off,
        pagination=pagination(answer.total, answer.next_cursor, limit=query.limit, is_exact=answer.total_is_exact),
        **tag_notes(answer.notes),
        **search_facts(answer.found),
    )


def kind_of(example: Example) -> Literal["image", "text", "vector", "picture"]:
    if example.image_id is not None:
        return "image"
    if example.text is not None:
        return "text"
    return "vector" if example.vector is not None else "picture"


def used_example(example: Example) -> wire.UsedExample:
    box = None if example.box is None else wire.Box(**asdict(example.box))
    return wire.UsedExample(
        kind=kind_of(example),
        box=box,
        image_id=None if example.image_id is None else str(example.image_id),
        text=example.text,
        weight=example.weight,
        negative=example.negative,
    )


def with_rows(answer: wire.OfTags, rows: Sequence[JsonRow]) -> Response:
    """The answer, which was made without rows, with these."""
    return Response(orjson.dumps({**answer.model_dump(), "results": rows}), media_type="application/json")


def tag_notes(notes: TagNotes) -> dict[str, Any]:
    """What every answer says of the tags that were asked for: the fields of `wire.OfTags`."""
    return {
        "unknown_tags": notes.unknown,
        "unjudged_tags": notes.unjudged,
        "nearest_tags": notes.nearest,
        "undecided": notes.undecided.images,
        "undecided_waiting": notes.undecided.waiting,
    }


def search_facts(found: Found) -> dict[str, Any]:
    """What every answer of a search by likeness or words says of itself: the fields of `wire.SearchFacts`."""
    return {
        "plan": found.plan.name,
        "plan_reason": found.plan.reason,
        "scope_size": found.scope_size,
        "scanned": found.scanned,
        "exact": found.exact,
        "complete": found.complete,
        "took_ms": round(found.steps.total_ms, 3),
    }


def explanation(row: Explanation) -> wire.SearchExplanation:
    return wire.SearchExplanation(
        plan=row.plan.name,
        plan_reason=row.plan.reason,
        scope_size=row.scope_size,
        folder_path=row.folder_path,
        preparation=rounded(row.preparation),
        **tag_notes(row.notes),
        tried=[
            wire.TriedPlan(
                plan=item.plan,
                took_ms=round(item.took_ms, 3),
                steps=rounded(item.steps),
                rows=item.rows,
                scanned=item.scanned,
                complete=item.complete,
                recall=item.recall,
                fell_back=item.fell_back,
            )
            for item in row.tried
        ],
    )


def rounded(steps: dict[str, float]) -> dict[str, float]:
    return {name: round(ms, 3) for name, ms in steps.items()}


def reindex(progress: Progress, workers: int) -> wire.Reindex:
    running = progress.building is not None
    return wire.Reindex(
        state="needs_decision" if progress.needs_decision else "running" if running else "idle",
        active=space(progress.active),
        building=space(progress.building) if progress.building else None,
        previous=space(progress.previous) if progress.previous else None,
        pace=progress.building.pace if progress.building else None,
        workers=workers,
        images=progress.images,
        done=progress.done,
        failed=progress.failed,
        new_failures=progress.new_failures,
        left_behind=progress.left_behind,
        examples=[
            wire.FailedImage(image_id=str(row.id), filename=row.filename, reason=row.reason)
            for row in progress.examples
        ],
    )


def space(row: Space) -> wire.Space:
    return wire.Space(encoder=row.encoder, revision=row.revision, dimension=row.dimension, source=row.source)


def tag_counts(found: FacetAnswer) -> wire.TagCounts:
    labels = {
        category: [wire.TagCount(label=label, count=count) for label, count in found.facets.labels.get(category, ())]
        for category in TAG_CATEGORIES
    }
    return wire.TagCounts(
        objects=labels["objects"],
        scenes=labels["scenes"],
        attributes=labels["attributes"],
        images=found.facets.images,
        **tag_notes(found.notes),
    )


def duplicates(found: Answer, asked: Asked, urls: PictureUrls) -> wire.DuplicatesAnswer:
    finding = found.finding
    return wire.DuplicatesAnswer(
        data=[duplicate_group(group, found, asked, urls) for group in found.groups],
        pagination=pagination(found.total, found.next_cursor, limit=asked.limit),
        duplicates=found.duplicates,
        state=found.state,
        done=finding.done,
        total=finding.total,
        found_at=finding.found_at,
        images=finding.images,
        not_hashed=finding.not_hashed,
        not_embedded=finding.not_embedded,
        threshold=found.threshold,
        hash_distance=asked.hash_distance,
        threshold_is_measured=found.is_calibrated,
    )


def duplicate_group(group: Group, found: Answer, asked: Asked, urls: PictureUrls) -> wire.DuplicateGroup:
    first, *others = (duplicate_image(member, found, asked, urls) for member in group.members)
    return wire.DuplicateGroup(
        id=str(group.id),
        size=group.size,
        representative=first,
        because=group.members[0].reason or "older",
        others=others,
        left_out=group.size - len(group.members),
    )


def duplicate_image(row: Member, found: Answer, asked: Asked, urls: PictureUrls) -> wire.DuplicateImage:
    similarity = None if row.cosine is None else min(1.0, max(0.0, 1 - found.stretch * (1 - row.cosine)))
    return wire.DuplicateImage(
        image_id=str(row.id),
        filename=row.filename,
        folder_path=row.folder_path,
        dataset_id=str(row.dataset_id),
        found_by=found_by(row, similarity, found.threshold, asked.hash_distance),
        hash_distance=row.bits,
        mirrored=row.mirrored,
        similarity=similarity,
        keep=row.is_kept,
        width=row.width or None,
        height=row.height or None,
        file_size=row.file_size,
        content_type=row.content_type,
        sharpness=row.sharpness,
        created_at=row.created_at,
        thumbnail_url=urls.thumbnail(row.id),
        image_url=urls.original(row.id),
    )


def found_by(
    row: Member, similarity: float | None, threshold: float, hash_distance: int
) -> Literal["representative", "bytes", "hash", "vector", "both"]:
    """What says that the image is a near-duplicate of its representative."""
    if row.representative:
        return "representative"
    if row.same_bytes:
        return "bytes"
    if row.bits is not None and row.bits <= hash_distance:
        return "hash"
    return "vector" if similarity is not None and similarity >= threshold - 1e-6 else "both"


def dataset(row: Dataset) -> wire.Dataset:
    return wire.Dataset(
        id=str(row.id),
        organization_id=str(row.organization_id),
        name=row.name,
        description=row.description,
        description_is_cut=row.description_is_cut,
        image_count=row.image_count,
        archived_image_count=row.archived_image_count,
        total_size=row.total_size,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def collection(row: Collection) -> wire.Collection:
    return wire.Collection(
        id=str(row.id),
        name=row.name,
        image_count=row.image_count,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def saved_query(row: SavedQuery) -> wire.SavedQuery:
    return wire.SavedQuery(
        id=str(row.id),
        name=row.name,
        query=json.loads(row.question),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def deleted_dataset(row: DeletedDataset) -> wire.DeletedDataset:
    return wire.DeletedDataset(id=str(row.id), name=row.name, images_deleted=row.images_deleted)


def progress(dataset_id: str, counts: dict[ImageState, int], replacing: tuple[int, int]) -> wire.Progress:
    return wire.Progress(
        dataset_id=dataset_id,
        total=sum(counts.values()),
        received=counts[ImageState.RECEIVED],
        embedded=counts[ImageState.EMBEDDED],
        tagged=counts[ImageState.TAGGED],
        failed=counts[ImageState.FAILED],
        replacing=replacing[0],
        replacing_failed=replacing[1],
    )


def image(
    row: Image, urls: PictureUrls, tagging: Tagging | None = None, replacement: Replacement | None = None
) -> wire.Image:
    return wire.Image(
        id=str(row.id),
        dataset_id=str(row.dataset_id),
        filename=row.filename,
        folder_path=row.folder_path,
        state=ImageState(row.state),
        reason=row.reason,
        content_type=row.content_type,
        width=row.width or None,
        height=row.height or None,
        file_size=row.file_size,
        has_bytes=row.has_bytes,
        sha256=row.sha256.hex() if row.has_bytes else None,
        image_auto_tags=row.tags,
        tag_scores=tagging.scores if tagging else None,
        tagger=tagging.tagger if tagging else None,
        replacement=replacing_bytes(replacement) if replacement else None,
        image_url=urls.original(row.id),
        thumbnail_url=urls.thumbnail(row.id),
        is_archived=row.archived_at is not None,
        created_at=row.created_at,
        updated_at=row.updated_at,
        **facts(row),
    )


def facts(row: Image | Details) -> dict[str, Any]:
    """What the picture tells of itself: the fields of `wire.Image` from `taken_at` to `facts_known`."""
    return {
        "taken_at": row.taken_at,
        "camera": row.camera,
        "sharpness": row.sharpness,
        "brightness": row.brightness,
        "contrast": row.contrast,
        "average_color": None if row.average_color is None else f"#{row.average_color:06x}",
        "perceptual_hash": None if row.perceptual_hash is None else f"{row.perceptual_hash % 2**64:016x}",
        "facts_known": row.facts_known,
    }


def known_image(row: KnownImage) -> wire.KnownImage:
    return wire.KnownImage(
        position=row.position,
        id=str(row.id),
        folder_path=row.folder_path,
        filename=row.filename,
        sha256=row.sha256.hex() if row.has_bytes else None,
        file_size=row.file_size,
        state=ImageState(row.state),
        is_archived=row.is_archived,
        next_sha256=row.next_sha256.hex() if row.next_sha256 else None,
        next_file_size=row.next_file_size,
    )


def export_page(page: ExportPage, blob_store: UUID | None) -> wire.ExportPage:
    return wire.ExportPage(
        rows=[exported(row) for row in page.rows],
        next_cursor=page.next_cursor,
        started_at=page.started_at,
        total=page.total,
        total_is=page.total_is,
        left_out=page.left_out,
        changed=page.changed,
        vanished=page.vanished,
        cut_off=page.cut_off,
        blob_store=str(blob_store) if blob_store else None,
    )


def exported(row: ExportRow) -> wire.ExportedImage:
    image = row.image
    return wire.ExportedImage(
        image_id=str(image.id),
        dataset_id=str(image.dataset_id),
        dataset_name=image.dataset_name,
        folder_path=image.folder_path,
        filename=image.filename,
        original_filename=image.original_filename,
        original_folder_path=image.original_folder_path,
        state=ImageState(image.state),
        content_type=image.content_type,
        width=image.width,
        height=image.height,
        file_size=image.file_size,
        has_bytes=image.has_bytes,
        sha256=image.sha256.hex() if image.has_bytes else None,
        tags=image.tags,
        **facts(image),
        created_at=image.created_at,
        updated_at=image.updated_at,
        score=row.score,
        similarity=row.similarity,
    )


def imported(verdicts: Verdicts, rows: Rows) -> wire.ImportedVectors:
    return wire.ImportedVectors(
        imported=len(verdicts.new),
        skipped=len(verdicts.skipped),
        restored=len(verdicts.restored),
        replaced=len(verdicts.replaced),
        different=[
            wire.DifferentVector(
                row=one.row,
                image_id=str(one.image),
                folder_path=rows.folder_paths[one.row],
                filename=rows.filenames[one.row],
                reason=one.reason,
            )
            for one in verdicts.different
        ],
    )


def replacing_bytes(row: Replacement) -> wire.Replacement:
    return wire.Replacement(
        state="waiting" if row.sha256 else "failed",
        sha256=row.sha256.hex() if row.sha256 else None,
        reason=row.reason,
        created_at=row.created_at,
    )


def name_change(row: NameChange) -> wire.NameChange:
    return wire.NameChange(
        kind=row.kind,
        object_id=row.object_id,
        dataset_id=str(row.dataset_id) if row.dataset_id else None,
        original=row.original,
        becomes=row.becomes,
        created_at=row.created_at,
    )


def api_key(row: ApiKey) -> wire.ApiKey:
    return wire.ApiKey(
        id=str(row.id),
        organization_id=str(row.organization_id),
        name=row.name,
        key_prefix=row.key_prefix,
        **role(row.role),
        is_active=row.works,
        created_at=row.created_at,
        last_used_at=row.last_used_at,
        expires_at=row.expires_at,
        created_by=str(row.created_by) if row.created_by else None,
        revoked_by=str(row.revoked_by) if row.revoked_by else None,
    )


def role(role: Role) -> dict[str, Any]:
    """The role as published clients can read it, and beside it what they do not know of."""
    return {"role": "owner", "installation": True} if role == "installation" else {"role": role}
