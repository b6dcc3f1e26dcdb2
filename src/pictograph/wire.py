"""The HTTP protocol's models: what the server sends is what the SDK returns.

Each row has one set of names of ours, with docstrings; the properties below them are the names that the published
`pictograph` clients read, so that those work against this server unmodified. They are sent, and ignored when read.
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, computed_field, model_validator
from pydantic_core import PydanticCustomError

from pictograph.naming import aliases_of, two_values
from pictograph.types import (
    MAX_DESCRIPTION,
    MAX_ENCODER,
    MAX_FOLDER_SENT,
    MAX_LABEL,
    MAX_NAMED,
    MAX_README,
    ImageState,
    OrganizationRole,
    Role,
    TagCategory,
    TagMatch,
)

API_PREFIX = "/api/v1/developer"
KEYS_PREFIX = "/api/v1/api-keys"
UPLOADS_PREFIX = "/api/v1/uploads"

Item = TypeVar("Item")
TagObject = dict[Literal["objects", "scenes", "attributes"], list[str]]
NO_CONTROLS = {"pattern": r"^[^\u0000-\u001f\u007f]*$"}
NO_SLASHES = {"pattern": r"^[^/\u0000-\u001f\u007f]+$"}
Name = Annotated[str, Field(min_length=1, max_length=MAX_NAMED, json_schema_extra=NO_SLASHES)]
DatasetReference = Annotated[str, Field(min_length=1, max_length=MAX_NAMED)]
FolderPath = Annotated[str, Field(max_length=MAX_FOLDER_SENT, json_schema_extra=NO_CONTROLS)]
WorkflowStatus = Literal["new", "annotate", "review", "complete"]


class Shown:
    """A value as it is shown: cut where it is long."""

    cut = reprlib.Repr()
    cut.maxstring, cut.maxother, cut.maxlist, cut.maxdict, cut.maxlevel = 80, 200, 3, 3, 3

    def __init__(self, value: object) -> None:
        self.value = value

    def __repr__(self) -> str:
        return str(self.cut.repr(self.value))


class Rest:
    """What is left out."""

    def __repr__(self) -> str:
        return "..."


class Wire(BaseModel):
    """Unknown keys are ignored, so that an older SDK reads a newer server. Shows itself in a line or two."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)
    brief: ClassVar[tuple[str, ...]] = ()
    """The fields that it shows itself by; none named: all that are not as usual."""

    def __repr_args__(self) -> Iterator[tuple[str | None, object]]:
        fields = type(self).model_fields
        shown = self.brief or [name for name, field in fields.items() if getattr(self, name) != field.default]
        yield from ((name, Shown(getattr(self, name))) for name in shown)
        if self.brief and len(shown) < len(fields):
            yield None, Rest()

    def __str__(self) -> str:
        return repr(self)


class Body(BaseModel):
    """What a request carries: unknown fields are refused, other names of known ones are taken (`naming.SYNONYMS`)."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
    MEANINGLESS: ClassVar[tuple[str, ...]] = ()
    """Fields that published clients send and that mean nothing here: the answer's `Pictograph-Ignored` names them."""

    @model_validator(mode="before")
    @classmethod
    def by_declared_names(cls, given: Any) -> Any:
        """The same with one name for each thing."""
        if not isinstance(given, dict):
            return given
        aliases = aliases_of(cls.model_fields)
        values = {name: value for name, value in given.items() if name not in aliases}
        for name, value in given.items():
            declared = aliases.get(name)
            if declared and values.setdefault(declared, value) != value:
                raise PydanticCustomError("two_values", "{why}", {"why": two_values(declared, name)})
        return values


class Pagination(Wire):
    """Where a page lies."""

    limit: int
    offset: int = 0
    """Rows that were passed over, from the cursor if there was one; not stable while the list changes."""
    total: int | None = None
    """How many there are in all, on whatever page. None where counting would cost more than the page: of a search by
    tag for some seconds after a start, until a large library's tags are in the server's memory."""
    total_is: Literal["exact", "estimate"] | None = None
    """What `total` is worth; None where there is none."""
    has_more: bool
    """Whether rows follow these."""
    next_cursor: str | None = None
    """Pass it as `cursor`, with the same question, for the next page: it neither skips nor repeats whatever comes or
    goes meanwhile. None on the last page."""


class SearchRow(Wire):
    """One found image."""

    brief: ClassVar[tuple[str, ...]] = ("image_id", "filename", "folder_path", "tags")

    image_id: str
    """UUID of the image."""
    filename: str
    """Its name within its folder."""
    folder_path: str
    """`/`, or `/a/b`."""
    dataset_id: str
    """UUID of the dataset it is in."""
    tags: TagObject
    """Its automatic tags, best first: `{"objects": ["car"], "scenes": [], "attributes": []}`."""
    status: WorkflowStatus = "new"
    """Annotation workflow; this service does not annotate, so it is always `new`."""
    annotation_count: int = 0
    """Always 0: this service does not annotate."""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def id(self) -> str:
        """`image_id`, as the published clients call it."""
        return self.image_id

    @computed_field  # type: ignore[prop-decorator]
    @property
    def image_auto_tags(self) -> TagObject:
        """`tags`, as the published clients call them."""
        return self.tags

    @computed_field  # type: ignore[prop-decorator]
    @property
    def virtual_folder_path(self) -> str:
        """`folder_path`, as clients before 1.69.43 call it."""
        return self.folder_path

    @computed_field  # type: ignore[prop-decorator]
    @property
    def virtual_directory_path(self) -> str:
        """`folder_path`, as clients since 1.69.43 call it."""
        return self.folder_path

    @computed_field  # type: ignore[prop-decorator]
    @property
    def project_id(self) -> str:
        """`dataset_id`, as the first clients call it."""
        return self.dataset_id


class SimilarImage(SearchRow):
    """One image that looks like the reference, or shows what the words say."""

    brief: ClassVar[tuple[str, ...]] = ("similarity", "image_id", "filename", "folder_path", "tags")

    similarity: Annotated[float, Field(ge=0, le=1)]
    """Cosine of the two embeddings, 0 to 1. Between pictures, about 0.6 and above is visually related. Between words
    and a picture the scale is another one, and lower: compare such rows with each other only."""


class TaggedImage(SearchRow):
    """One image that carries the tags."""


class OfTags(Wire):
    """What an answer says of the tags that were asked for."""

    unknown_tags: list[str] = []
    """Asked for, but not in the taxonomy: no image can carry them."""
    unjudged_tags: list[str] = []
    """Asked for and in the taxonomy, but the running encoder cannot judge them, and no image found carries them."""
    nearest_tags: dict[str, list[str]] = {}
    """For some of both, tags that are near and that are judged: `{"nighttime": ["attributes/dark"]}`."""


class SearchFacts(OfTags):
    """How an answer was found, and what it is worth."""

    plan: str
    """`exact`: vectors were compared in SQL. `codes`: short codes in memory, then the best by their vectors."""
    plan_reason: str
    """Why that plan, for people; says so if another was tried first and fell short."""
    scope_size: int
    """Findable images in the scope, the reference too if it lies there."""
    scanned: int
    """Images whose vector or code was compared; tags ruled the others out."""
    exact: bool
    """True if the rows are the true nearest: nothing was estimated. False: by codes, which may miss some."""
    complete: bool
    """True if every image of the scope was considered: by its vector, its code or its tags. Both plans do that."""
    took_ms: float
    """Milliseconds in the service, from the question to the rows; HTTP is not in it."""
    pagination: Pagination
    """Where the page lies. Its `total` is there if this page has every row; else the rows are not counted."""


class TextAnswer(SearchFacts):
    """Answer of `GET /search/by-text`."""

    results: list[SimilarImage]
    """By falling similarity to the words; ties by image id."""
    count: int
    text: str
    threshold: float


class SimilarAnswer(SearchFacts):
    """Answer of `GET /search/similar`."""

    results: list[SimilarImage]
    """By falling similarity; ties by image id. The reference is never among them."""
    count: int
    threshold: float
    query_image_id: str
    folder_path: str
    """The scope that was searched: this folder and everything below it."""


class TriedPlan(Wire):
    """One way to answer a question, carried out."""

    plan: str
    estimated_ms: float
    """What the planner expected."""
    took_ms: float
    """What it took, the count of the scope and the vector not included."""
    steps: dict[str, float]
    """Milliseconds of each step, in order. Rows are fetched within `scan` and `rerank`."""
    rows: int
    scanned: int
    """Images whose vector or code was compared."""
    complete: bool
    """Whether every image of the scope was considered."""
    recall: float
    """Share of the rows of the exact answer that it found; 1 for the exact scan itself."""
    fell_back: str | None
    """Why it ended as an exact scan, if it did."""


class SearchExplanation(OfTags):
    """Answer of `GET /search/explain`: the decision, and what every way to answer gives."""

    plan: str
    """The way that this search takes."""
    plan_reason: str
    estimated_ms: float
    scope_size: int
    """Findable images in the scope."""
    folder_path: str
    """The scope: this folder and everything below it."""
    preparation: dict[str, float]
    """Milliseconds of what comes before any plan: `reference`, or `words` and `datasets`; then `count`."""
    tried: list[TriedPlan]
    """Every way that is open, `exact` first."""


class TagFilters(Wire):
    """What a tag search was asked for."""

    objects: list[str] | None = None
    scenes: list[str] | None = None
    attributes: list[str] | None = None
    dataset_name: str | None = None
    folder_path: str | None = None
    match: TagMatch = "any"


class TagAnswer(OfTags):
    """Answer of `GET /search/by-tags`."""

    results: list[TaggedImage]
    """Newest first; ties by image id."""
    count: int
    filters: TagFilters
    pagination: Pagination


class TagCount(Wire):
    """A tag, and how many images carry it."""

    label: str
    """Its name within its category."""
    count: int
    """Images that carry it, archived ones not counted."""


class TagCounts(OfTags):
    """Answer of `GET /search/tags`: each category's tags, the most frequent first, then by name."""

    objects: list[TagCount]
    """What is to be seen."""
    scenes: list[TagCount]
    """Where, and under which circumstances."""
    attributes: list[TagCount]
    """What kind of picture it is."""
    images: int
    """Images that were counted, with tags or without: of the scope, or those of it that carry the tags asked for."""


class Label(Wire):
    """One label of the taxonomy."""

    category: TagCategory
    """`objects`, `scenes` or `attributes`."""
    name: str
    """Unique in its category."""
    group: str
    """A heading for people."""
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
    """Lower scores are not kept, so no lower threshold can be set."""
    is_judged: bool
    """False if the running tagger never gives it."""


class Taxonomy(Wire):
    """Answer of `GET /tags`."""

    version: str
    """Of the labels."""
    tagger: str | None = None
    """What judges them now, `taxonomy-1+offline-2`; None if the encoder brings no tagger."""
    labels: list[Label]
    """Category by category, kin together."""


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
    """Images any of whose tags would be others."""
    others: list[TagChange]
    """Tags that change along, because a label implies them or never stands beside them."""
    gained_examples: list[TagExample]
    """Some that would get it, those next to the threshold first."""
    lost_examples: list[TagExample]
    """Some that would lose it, those next to the threshold first."""
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
    """Images of your organization whose tags are others now."""
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
    """What the tags are brought to."""
    updated: int
    """Tagged again by this call."""
    remaining: int
    """Tagged by another version, still to be done."""
    cannot_update: int
    """Tagged by another version, or by none, with too little kept to be tagged again."""
    reason: str | None = None
    """Why some cannot be updated, and what helps."""
    next_cursor: str | None = None
    """Pass it as `cursor` to go on; None at the end."""


class Dataset(Wire):
    """A named set of images."""

    brief: ClassVar[tuple[str, ...]] = ("name", "image_count", "total_size", "id")

    id: str
    """UUID."""
    organization_id: str
    """UUID of its organization."""
    name: str
    """Unique in its organization."""
    description: str | None = None
    """Free text."""
    description_is_cut: bool = False
    """True in a list if only its first 10,000 characters are here; `GET /datasets/{dataset}` has all of it."""
    image_count: int = 0
    """Images in it, archived ones not counted."""
    archived_image_count: int = 0
    """Archived images in it."""
    total_size: int = 0
    """Bytes of all its files."""
    created_at: datetime
    """When it was made, UTC."""
    updated_at: datetime | None = None
    """When its name or description last changed, UTC."""
    annotation_types: list[str] = ["bbox"]
    """For the published clients; this service does not annotate."""
    classes: list[dict[str, Any]] = []
    """For the published clients; this service does not annotate."""
    completed_image_count: int = 0
    """For the published clients; this service does not annotate."""
    is_public: bool = False
    """Always False: only keys of the organization see a dataset."""
    is_archived: bool = False
    """Always False: only images can be archived."""
    storage_class: str = "standard"
    """For the published clients."""
    images: list[Image] | None = None
    """Where `include_images` asked for them: the first of its images, newest first."""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def archived_images(self) -> int:
        """`archived_image_count`, as the first clients call it."""
        return self.archived_image_count


class DeletedDataset(Wire):
    """What went with a dataset."""

    id: str
    name: str
    deleted: bool = True
    images_deleted: int
    """Images that were in it. Files that nothing else uses are removed in the hour after."""


class Retried(Wire):
    """What is processed once more."""

    images: int


class NameChange(Wire):
    """A name that differed from its NFC spelling, and what it became."""

    kind: Literal["dataset", "folder", "image", "api_key"]
    """What has the name."""
    object_id: str
    """UUID, or the number of a folder."""
    dataset_id: str | None = None
    """UUID of the dataset it is in, or is."""
    original: str
    """What it was."""
    becomes: str
    """What it is: NFC, with ` (2)` where an older one had that name."""
    created_at: datetime
    """When it was changed, UTC."""


class Progress(Wire):
    """How far the images of a dataset have come."""

    dataset_id: str
    """UUID of the dataset."""
    total: int
    """All images, archived ones included."""
    received: int
    """Stored and waiting to be processed."""
    embedded: int
    """Found by likeness; without tags."""
    tagged: int
    """Found by likeness and by tag."""
    failed: int
    """Could not be processed: `images.list(state="failed")` says which and why."""

    replacing: int = 0
    """Of all these, those that answer with their old bytes until the new ones are ready."""
    replacing_failed: int = 0
    """Of all these, those that keep their old bytes because the new ones failed: their `replacement` says why."""

    @property
    def done(self) -> bool:
        """True when nothing waits any more."""
        return self.received == 0 and self.replacing == 0


class Replacement(Wire):
    """New bytes for an image: the old ones answer until these are ready."""

    state: Literal["waiting", "failed"]
    """`failed`: the old bytes stay."""
    sha256: str | None = None
    """Of the new bytes; None once they failed."""
    reason: str | None = None
    """Why they failed."""
    created_at: datetime
    """When they came, UTC."""


class Image(Wire):
    """One image, with all that is known of it apart from its bytes."""

    brief: ClassVar[tuple[str, ...]] = ("id", "filename", "folder_path", "state", "width", "height", "reason")

    id: str
    """UUID."""
    dataset_id: str
    """UUID of the dataset it is in."""
    filename: str
    """Its name within its folder."""
    folder_path: str
    """`/`, or `/a/b`."""
    state: ImageState
    """`received`, `embedded`, `tagged` or `failed`."""
    reason: str | None = None
    """Why it failed, if it did."""
    content_type: str
    """By content, not by name: `image/jpeg`."""
    width: int
    """Pixels across, upright."""
    height: int
    """Pixels down, upright."""
    file_size: int
    """Bytes of the file."""
    sha256: str
    """Of the file's bytes, 64 hexadecimal digits."""
    image_auto_tags: TagObject
    """Its automatic tags, best first."""
    tag_scores: dict[str, float] | None = None
    """In an answer about one image: `{"objects/car": 0.93}`, every label near or above its threshold."""
    tagger: str | None = None
    """In an answer about one image: which taxonomy and method gave its tags, `taxonomy-1+offline-2`."""
    replacement: Replacement | None = None
    """In an answer about one image: new bytes that are not ready yet, or that failed; then the old ones stay."""
    image_url: str
    """Address of its bytes; needs the key."""
    thumbnail_url: str
    """Address of a small JPEG of it; needs the key."""
    is_archived: bool = False
    """True if no search finds it."""
    created_at: datetime
    """When it was accepted, UTC."""
    updated_at: datetime | None = None
    """When its state last changed, UTC."""
    status: WorkflowStatus = "new"
    """Annotation workflow; this service does not annotate."""
    annotation_count: int = 0
    """Always 0: this service does not annotate."""
    tags: list[str] = []
    """Tags given by people, in the published clients' words; automatic ones are in `image_auto_tags`."""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def image_id(self) -> str:
        """`id`, as search rows call it."""
        return self.id

    @computed_field  # type: ignore[prop-decorator]
    @property
    def directory_path(self) -> str:
        """`folder_path`, as clients since 1.69.43 call it."""
        return self.folder_path

    @computed_field  # type: ignore[prop-decorator]
    @property
    def virtual_folder_path(self) -> str:
        """`folder_path`, as the first clients call it."""
        return self.folder_path

    @computed_field  # type: ignore[prop-decorator]
    @property
    def mime_type(self) -> str:
        """`content_type`, as the first clients call it."""
        return self.content_type


class UploadUrl(Wire):
    """Where to PUT the bytes of one file."""

    upload_url: str
    """Valid for an hour; it needs no key, so treat it as one."""


class PlaceInDataset(Body):
    """A folder and a filename."""

    directory_path: Annotated[str, Field(max_length=MAX_FOLDER_SENT)] = "/"
    """Exactly this folder. What no folder can be called is not there."""
    filename: Annotated[str, Field(max_length=MAX_NAMED)]
    """Exactly this name. What no file can be called is not there."""


class WhichExistRequest(Body):
    """Body of `POST /images/which-exist`."""

    dataset: DatasetReference
    """Name or UUID."""
    files: Annotated[list[PlaceInDataset], Field(max_length=1000)]
    """At most 1000 places."""


class KnownImage(Wire):
    """What there is at a place that was asked for."""

    position: int
    """Of the place in the question, from 0."""
    id: str
    """UUID of the image."""
    folder_path: str
    """`/`, or `/a/b`."""
    filename: str
    """Its name within its folder."""
    sha256: str
    """Of the file's bytes, 64 hexadecimal digits."""
    file_size: int
    """Bytes of the file."""
    state: ImageState
    """`received`, `embedded`, `tagged` or `failed`."""
    is_archived: bool
    """True if no search finds it; `restore` brings it back."""
    next_sha256: str | None = None
    """Of the bytes that replace these as soon as a worker has finished them; null if none wait."""
    next_file_size: int | None = None
    """Their number."""


class UploadUrlRequest(Body):
    """Body of `POST /images/upload-url`."""

    MEANINGLESS: ClassVar[tuple[str, ...]] = ("content_type",)

    dataset: DatasetReference
    """Name or UUID."""
    filename: Name
    """At most 255 characters."""
    directory_path: FolderPath = "/"
    """At most 1024 characters."""
    replace: bool = False
    """An image that has the place keeps its id, labels and corrections, and gets these bytes."""
    content_type: Annotated[str, Field(max_length=255)] | None = None
    """Means nothing: the format is read from the bytes."""


class RegisterRequest(UploadUrlRequest):
    """Body of `POST /images/register`, after the bytes were PUT."""

    MEANINGLESS: ClassVar[tuple[str, ...]] = ("content_type", "file_size", "width", "height")

    file_size: int | None = None
    """Means nothing: the bytes are counted."""
    width: int | None = None
    """Means nothing: the picture is measured."""
    height: int | None = None
    """Means nothing: the picture is measured."""


class DatasetCreate(Body):
    """Body of `POST /datasets/`."""

    MEANINGLESS: ClassVar[tuple[str, ...]] = ("annotation_types", "classes", "readme")

    name: Name
    """Unique in its organization; at most 255 characters, no slash."""
    description: Annotated[str, Field(max_length=MAX_DESCRIPTION)] | None = None
    """Free text."""
    annotation_types: Annotated[list[Annotated[str, Field(max_length=100)]], Field(max_length=100)] | None = None
    """Means nothing: this service does not annotate."""
    classes: Annotated[list[dict[str, Any]], Field(max_length=10_000)] | None = None
    """Means nothing: this service does not annotate."""
    readme: Annotated[str, Field(max_length=MAX_README)] | None = None
    """Means nothing: `description` is kept."""


class DatasetUpdate(Body):
    """Body of `PATCH /datasets/{dataset}`: only what changes."""

    MEANINGLESS: ClassVar[tuple[str, ...]] = ("annotation_types", "classes", "classes_base", "readme")

    new_name: Name | None = None
    """At most 255 characters, no slash."""
    description: Annotated[str, Field(max_length=MAX_DESCRIPTION)] | None = None
    """Free text."""
    annotation_types: Annotated[list[Annotated[str, Field(max_length=100)]], Field(max_length=100)] | None = None
    """Means nothing: this service does not annotate."""
    classes: Annotated[list[dict[str, Any]], Field(max_length=10_000)] | None = None
    """Means nothing: this service does not annotate."""
    classes_base: Annotated[list[dict[str, Any]], Field(max_length=10_000)] | None = None
    """Means nothing: this service does not annotate."""
    readme: Annotated[str, Field(max_length=MAX_README)] | None = None
    """Means nothing: `description` is kept."""


class ApiKey(Wire):
    """A key without its secret."""

    brief: ClassVar[tuple[str, ...]] = ("name", "role", "key_prefix", "is_active", "id")

    id: str
    organization_id: str
    name: str
    """What it is for, in words."""
    key_prefix: str
    """Its first 12 characters, to tell keys apart."""
    role: OrganizationRole
    """`viewer` reads, `member` uploads, `admin` deletes datasets and makes keys, which an `owner`'s are safe from."""
    installation: bool = False
    """True if it may act on the whole installation too (encoder, thresholds): its role is `installation`."""
    is_active: bool
    """False once it is revoked or its time is over."""
    rate_limit: int = 0
    """Requests an hour; 0 = no limit."""
    created_at: datetime
    last_used_at: datetime | None = None
    """To the minute."""
    expires_at: datetime | None = None
    """When it stops working; None: never."""
    created_by: str | None = None
    """Id of the key that made it; None if the service itself did."""
    revoked_by: str | None = None
    """Id of the key that revoked it."""


class Write(Wire):
    """One write of an image, a dataset or the installation: who, what and when."""

    at: datetime
    action: str
    """Of an image `uploaded`, `archived`, `restored`, `replacing` (other bytes were sent), `replaced` (they are
    its own now), `moved` or `retried`; of a dataset
    `created`, `renamed` or `described`; of the installation `threshold changed`, `reindex started`,
    `reindex cancelled`, `failures accepted`, `encoder changed` or `encoder forgotten`."""
    detail: str | None = None
    """Of an act on the installation: the encoder, or `objects/dog: default -> 0.4`."""
    key_id: str | None = None
    """The API key that asked for it; None where the service itself wrote, or before keys were noted."""
    key_name: str | None = None
    """The name of that key."""


class ApiKeys(Wire):
    """Answer of `GET /api/v1/api-keys/`."""

    api_keys: list[ApiKey]
    """Oldest first."""
    pagination: Pagination


class CreatedApiKey(Wire):
    """A new key; the secret is shown this once."""

    brief: ClassVar[tuple[str, ...]] = ("name", "role", "key_prefix", "key_id")

    key_id: str
    api_key: str
    """The secret: `pk_live_` and 64 hexadecimal digits."""
    key_prefix: str
    name: str
    role: OrganizationRole
    installation: bool = False
    """True if it may act on the whole installation too (encoder, thresholds)."""
    rate_limit: int = 0
    created_at: datetime
    expires_at: datetime | None = None
    """When it stops working; None: never."""


class ApiKeyCreate(Body):
    """Body of `POST /api/v1/api-keys/`."""

    name: Name
    """What it is for; at most 255 characters."""
    role: Role = "member"
    expires_at: AwareDatetime | None = None
    """When it is to stop working, with a time zone: `2027-01-01T00:00:00Z`. Absent: never."""
    organization_id: Annotated[str, Field(max_length=MAX_NAMED)] | None = None
    """Your own organization's id or name, which is also what is meant when it is absent."""
    rate_limit: Literal[0] | None = None
    """0 or absent: this service counts no requests per hour, so it promises no such limit."""


class Room(Wire):
    """A disk of the service's machine."""

    holds: str
    """`files`, `database`, or `files and database`."""
    free_bytes: int
    total_bytes: int


class Health(Wire):
    """Answer of `/health` and `/ready`."""

    status: Literal["ok", "not_ready"]
    version: str
    encoder: str | None = None
    """Which encoder's vectors searches compare."""
    queue: int | None = None
    """Images that wait for a worker or are with one."""
    workers: int | None = None
    """Worker processes that this service runs."""
    problems: list[str] = []
    """What keeps the service from being ready."""
    warnings: list[str] = []
    """What will soon keep it from being ready: disks that are nearly full."""
    storage: list[Room] = []
    """The disks on the service's machine that the library lies on."""


class Space(Wire):
    """An encoder at one revision, and what it made of the library."""

    encoder: str
    revision: str
    dimension: int
    source: str
    """What `encoder` says when a reindex to it is started: a name, or a folder on the server."""


class FailedImage(Wire):
    """One that the new encoder could not take, though the old one could."""

    image_id: str
    filename: str
    reason: str


class Reindex(Wire):
    """Where the library is on its way to another encoder."""

    state: Literal["idle", "running", "needs_decision"]
    """`needs_decision`: all that is left failed in the new encoder alone; accept that, start again, or cancel."""
    active: Space
    """What searches ask."""
    building: Space | None
    """What is filled beside it."""
    previous: Space | None
    """What searches asked before; still there to go back to."""
    pace: float | None
    """Share of the time that workers spend on it."""
    workers: int
    """Worker processes of this service that fill it."""
    images: int
    done: int
    failed: int
    """Images of the new space that could not be encoded, for whatever reason."""
    new_failures: int
    """Those of them that the active space has: they would be lost."""
    examples: list[FailedImage]
    """Some of your new failures."""


class ReindexStart(Body):
    """What to move the library to."""

    encoder: Annotated[str, Field(min_length=1, max_length=MAX_ENCODER)]
    """As for `pictograph serve --encoder`: a name, or a folder on the server."""
    pace: float = Field(1.0, gt=0, le=1)
    """Share of the time that its workers work."""


class ForgottenSpaces(Wire):
    """What was deleted."""

    spaces: int


class ErrorBody(Wire):
    """What went wrong."""

    code: str
    """Stable: test for this."""
    message: str
    """What went wrong and what to do, for people."""
    request_id: str | None = None
    details: dict[str, Any] = {}


class ErrorAnswer(Wire):
    """Every answer that is not a success has this shape."""

    error: ErrorBody
    detail: str
    """The message again, where older clients look for it."""


class Data(Wire, Generic[Item]):
    """One thing."""

    data: Item


class Page(Wire, Generic[Item]):
    """Some of many."""

    data: list[Item]
    pagination: Pagination
