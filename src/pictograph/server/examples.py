"""Examples in `/openapi.json`: one for every parameter, body and answer, made of a value for each name.

A model's example is made of those of its fields, so a new model needs none of its own, and a new field one line here if
neither its default nor its type says enough; tests/server/test_openapi.py names the line that is missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

Schema = Mapping[str, Any]

IMAGE: Final = "0198c0de-7e1f-7a3b-9c55-2f4f6a1b8d20"
DATASET: Final = "0198c0de-1b2c-7d3e-8f4a-5b6c7d8e9f01"
ORGANIZATION: Final = "0198c0de-0a0b-7c0d-8e0f-101112131415"
KEY: Final = "0198c0de-3333-7444-8555-666677778888"
SHA256: Final = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
MOMENT: Final = "2026-11-01T12:00:00Z"
SIGNATURE: Final = "4f1c9b6e0d2a8c7f5e3b1a9d8c7f6e5d"
PICTURE: Final = f"http://127.0.0.1:8765/api/v1/pictures/{IMAGE}"
SIGNED: Final = f"expires=1793577600&key={KEY}&signature={SIGNATURE}"
TAGS: Final = {"objects": ["car"], "scenes": ["street"], "attributes": ["daylight"]}
CURSOR: Final = "eyJ2IjoxfQ"
BYTES_OF_A_PICTURE: Final = "(the bytes of the picture)"

BY_NAME: Final[Mapping[str, Any]] = {
    "action": "uploaded",
    "against": "train",
    "against_folder": "/night",
    "annotation_types": ["bbox"],
    "api_key": f"pk_live_{'0123456789abcdef' * 4}",
    "archived_images": 0,
    "at": MOMENT,
    "attributes": ["daylight"],
    "average_color": "#8a7f6c",
    "because": "larger",
    "becomes": "café.jpg",
    "blob_store": None,
    "box": "120,40,300,200",
    "brightness": 0.47,
    "camera": "Canon EOS R5",
    "cannot_update": 0,
    "category": "objects",
    "changed": 2,
    "code": "not_found",
    "collection": "dogs",
    "complete": True,
    "content_type": "image/jpeg",
    "contrast": 0.21,
    "count": 1,
    "created_by": None,
    "cut_off": False,
    "current_threshold": 0.5,
    "cursor": CURSOR,
    "dataset": "street",
    "dataset_id": DATASET,
    "dataset_name": "street",
    "dataset_names": ["street"],
    "decision": "keep",
    "default_threshold": 0.5,
    "description": "Dashboard cameras, 2026",
    "detail": "There is no image with this id.",
    "dimension": 384,
    "directory_path": "/night",
    "done": 118,
    "duplicates": 1,
    "embedded": 2,
    "encoder": "offline",
    "exact": True,
    "expires": 1_793_577_600,
    "facts_known": True,
    "failed": 0,
    "file": BYTES_OF_A_PICTURE,
    "file_size": 184_320,
    "filename": "crossing.jpg",
    "fingerprint": "offline@8c1f",
    "formula": "similarity",
    "folder_path": "/night",
    "formats": ["jpeg", "png"],
    "found_at": MOMENT,
    "free_bytes": 64_000_000_000,
    "gained": 12,
    "group": "vehicles",
    "hash_distance": 3,
    "height": 1080,
    "holds": "files and database",
    "id": IMAGE,
    "idempotency-key": "5f0c2c6d4e8a4b1f",
    "image_auto_tags": TAGS,
    "image_count": 120,
    "image_id": IMAGE,
    "image_ids": [IMAGE],
    "image_url": f"{PICTURE}/original?{SIGNED}",
    "images": 120,
    "images_deleted": 120,
    "imported": 5000,
    "index": "It has 120 images.",
    "is_active": True,
    "key": KEY,
    "key_id": KEY,
    "key_name": "ci",
    "key_prefix": "pk_live_0123",
    "label": "dog",
    "left_out": 0,
    "limit": 50,
    "lost": 3,
    "lowest_threshold": 0.2,
    "max_aspect": 2.0,
    "max_brightness": 0.8,
    "max_contrast": 0.4,
    "max_file_size": 10_000_000,
    "max_height": 4096,
    "max_sharpness": 1.2,
    "max_width": 4096,
    "message": "There is no image with this id.",
    "mime_type": "image/jpeg",
    "min_aspect": 1.0,
    "min_brightness": 0.2,
    "min_confidence_lt": 0.5,
    "min_contrast": 0.1,
    "min_file_size": 1000,
    "min_height": 480,
    "min_sharpness": 0.3,
    "min_width": 640,
    "name": "street",
    "nearest_tags": {},
    "new_failures": 0,
    "new_name": "street at night",
    "next_cursor": None,
    "not_attributes": ["blurry"],
    "not_objects": ["person"],
    "not_scenes": ["indoor"],
    "not_embedded": 0,
    "not_hashed": 0,
    "object_id": IMAGE,
    "objects": ["car"],
    "organization_id": ORGANIZATION,
    "order_by": "relevance",
    "original": "cafe\u0301.jpg",
    "original_filename": None,
    "original_folder_path": None,
    "pace": 1.0,
    "path": "night/crossing.jpg",
    "percentile": None,
    "perceptual_hash": "b1c6d2f00e8f3a55",
    "plan": "exact",
    "plan_reason": "The scope has few images: every vector is compared.",
    "position": 0,
    "preparation": {"reference": 0.4},
    "previous_threshold": 0.5,
    "project_id": DATASET,
    "prompts": ["a photo of a dog"],
    "query": "large cars",
    "query_image_id": IMAGE,
    "queue": 0,
    "readme": "",
    "recall": 1.0,
    "received": 0,
    "remaining": 0,
    "replaced": 0,
    "request_id": "0198c0dea1b2",
    "restored": 0,
    "revision": "8c1f",
    "revoked": KEY,
    "revoked_by": None,
    "role": "member",
    "row": 0,
    "rows": 50,
    "scanned": 120,
    "scenes": ["street"],
    "scope_size": 120,
    "score": 0.62,
    "sha256": SHA256,
    "sharpness": 0.62,
    "signature": SIGNATURE,
    "similarity": 0.83,
    "size": 2,
    "skipped": 0,
    "source": "offline",
    "spaces": 1,
    "started_at": MOMENT,
    "states": ["tagged"],
    "steps": {"candidates": 1.1, "rows": 0.6},
    "tag_scores": {"objects/car": 0.93},
    "tagged": 118,
    "tagger": "taxonomy-1+offline-2",
    "tags": TAGS,
    "taken_at": "2026-10-31T18:20:11Z",
    "taken_before": None,
    "taken_from": MOMENT,
    "taken_back": False,
    "text": "a dog on a beach",
    "threshold": 0.6,
    "thumbnail_url": f"{PICTURE}/thumbnail?{SIGNED}",
    "token": "q3vJ0mX1",
    "took_ms": 2.1,
    "total": 1,
    "total_bytes": 256_000_000_000,
    "total_is": "exact",
    "total_size": 22_118_400,
    "unchanged": 0,
    "undecided": 3,
    "undecided_waiting": 0,
    "unknown_values": 0,
    "updated": 2000,
    "upload_url": "http://127.0.0.1:8765/api/v1/uploads/q3vJ0mX1",
    "uploaded_before": "2026-12-01",
    "uploaded_from": "2026-11-01",
    "vanished": 0,
    "version": "1.0.0",
    "virtual_directory_path": "/night",
    "virtual_folder_path": "/night",
    "width": 1920,
    "workers": 1,
}
"""A value for each name of a parameter or field, wherever it stands."""
BY_MODEL: Final[Mapping[str, Any]] = {
    "ApiKey.id": KEY,
    "ApiKey.name": "ci",
    "ApiKeyCreate": {"name": "ci", "role": "member"},
    "CreatedApiKey.name": "ci",
    "Dataset.id": DATASET,
    "Dataset.images": None,
    "DatasetUpdate": {"new_name": "street at night"},
    "DeletedDataset.id": DATASET,
    "ExportAsked": {"query": {"filter": {"dataset_names": ["street"], "objects": ["car"]}}, "limit": 1000},
    "FailedImage.reason": "Decoding it takes more memory than one picture may.",
    "Image.reason": None,
    "Image.replacement": None,
    "Image.tags": [],
    "KnownImage.next_sha256": None,
    "KnownImage.next_file_size": None,
    "Label.name": "dog",
    "LabelBody": {"label": "dog", "category": "objects"},
    "Label.exclusive_with": [],
    "Label.parents": ["animal"],
    "Pagination.limit": 50,
    "QueryAnswer.examples": [{"kind": "image", "image_id": IMAGE, "text": None, "weight": 1.0, "negative": False}],
    "QueryAnswer.folder_path": "/",
    "QueryAnswer.top": None,
    "QueryAsked": {
        "examples": [{"image_id": IMAGE}, {"text": "at night", "weight": 0.5}, {"image_id": DATASET, "negative": True}],
        "filter": {"dataset_names": ["street"], "objects": ["car"]},
        "limit": 50,
    },
    "QueryRow.order_value": None,
    "Reindex.building": None,
    "Reindex.examples": [],
    "Reindex.previous": None,
    "Reindex.state": "idle",
    "DifferentVector.reason": "another vector",
    "SavedQueryRun": {"limit": 50},
    "TriedPlan.fell_back": None,
    "Relevance": {
        "best": 0.83,
        "just_below": 2,
        "just_below_is": "exact",
        "just_below_from": 0.55,
        "auto": None,
        "fits_from": None,
        "nothing_fits": None,
        "nothing_fits_because": None,
        "scale": None,
    },
    "Replacement.reason": None,
    "TagCount.label": "car",
    "TagCounts.objects": [{"label": "car", "count": 42}],
    "TagCounts.scenes": [{"label": "street", "count": 60}],
    "TagCounts.attributes": [{"label": "daylight", "count": 51}],
    "TagChange.label": "puppy",
    "TagUpdate.reason": None,
    "ThresholdBody": {"label": "dog", "threshold": 0.4, "category": "objects"},
    "Write.detail": None,
    "ZipAsked": {"query": {"filter": {"dataset_names": ["street"], "objects": ["car"]}}},
}
"""Where a model, or a field of one, needs another value than its name has elsewhere."""
JSON_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}


class NoExample(LookupError):
    """No value is known for a parameter or field; its text is `Model.field`."""


class Examples:
    """Makes examples for the schemas of one document."""

    def __init__(self, schemas: Mapping[str, Schema]) -> None:
        """schemas: the document's `components.schemas`."""
        self.schemas = schemas

    def of(self, schema: Schema, name: str, model: str = "", *, asked: bool = False) -> Any:
        """A value of this schema, which is called `name` in `model`. Raises NoExample.

        asked: it is sent, so what need not be sent is left out unless it has a value of its own here.
        """
        known = next((table[key] for table, key in keys_of(model, name) if key in table), NoExample)
        if known is not NoExample and self.fits(known, schema):
            return known
        if "$ref" in schema:
            return self.of_model(schema["$ref"].rpartition("/")[2], asked=asked)
        stated = stated_in(schema)
        if stated is not NoExample:
            return stated
        parts = [part for key in ("anyOf", "oneOf", "allOf") for part in schema.get(key, ())]
        if parts:
            return self.of(next((part for part in parts if part.get("type") != "null"), parts[0]), name, model)
        return self.of_type(schema, name, model)

    def of_model(self, model: str, *, asked: bool = False) -> Any:
        """A value of a named schema."""
        if model in BY_MODEL:
            return BY_MODEL[model]
        schema = self.schemas[model]
        if "properties" not in schema:
            return self.of(schema, "", model)
        needed = schema.get("required", ())
        chosen = {
            name: field
            for name, field in schema["properties"].items()
            if not asked or name in needed or f"{model}.{name}" in BY_MODEL
        }
        return {name: self.of(field, name, model, asked=asked) for name, field in chosen.items()}

    def of_type(self, schema: Schema, name: str, model: str) -> Any:
        """A value of which only the type is known."""
        kind, kind_of_text = schema.get("type"), schema.get("format")
        if kind == "array":
            return [self.of(schema.get("items", {}), name, model)]
        if kind == "object" and schema.get("properties"):
            return {field: self.of(part, field, model) for field, part in schema["properties"].items()}
        plain = {"boolean": False, "object": {}, "date-time": MOMENT, "uuid": IMAGE, "binary": BYTES_OF_A_PICTURE}
        for key in (kind_of_text, kind):
            if key in plain:
                return plain[key]
        raise NoExample(f"{model}.{name}" if model else name)

    def fits(self, value: Any, schema: Schema) -> bool:
        """Whether the value, and each item of a list, is of the schema's type; models are looked into no further."""
        if "$ref" in schema:
            target = self.schemas[schema["$ref"].rpartition("/")[2]]
            return self.fits(value, target) and (value in target["enum"] if "enum" in target else True)
        parts = [part for key in ("anyOf", "oneOf") for part in schema.get(key, ())]
        if parts:
            return any(self.fits(value, part) for part in parts)
        if "enum" in schema or "const" in schema:
            return value in schema.get("enum", [schema.get("const")])
        if isinstance(value, list) and not all(self.fits(item, schema.get("items", {})) for item in value):
            return False
        kinds = JSON_TYPES.get(schema.get("type", ""), (object,))
        return isinstance(value, kinds) and (not isinstance(value, bool) or bool in kinds or object in kinds)


def keys_of(model: str, name: str) -> Iterator[tuple[Mapping[str, Any], str]]:
    yield BY_MODEL, f"{model}.{name}"
    yield BY_NAME, name


def stated_in(schema: Schema) -> Any:
    """The value that the schema itself gives: an example, its default, or the first of those it allows."""
    for values in (schema.get("examples"), schema.get("enum")):
        if values:
            return values[0]
    for key in ("const", "default"):
        if schema.get(key) is not None:
            return schema[key]
    return NoExample
