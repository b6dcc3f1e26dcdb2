"""Other names, and constant fields, that the published `pictograph` clients read and send.

Each class is the base of one of our models, and repeats the fields for which it has other names. Other names are sent,
and ignored when read. This service does not annotate, so the fields about annotation never change.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Field, computed_field

from pictograph.types import MAX_README
from pictograph.wire.base import Body, TagObject, Wire, WorkflowStatus

AnnotationTypes = Annotated[list[Annotated[str, Field(max_length=100)]], Field(max_length=100)]
AnnotationClasses = Annotated[list[dict[str, Any]], Field(max_length=10_000)]


class RowNames(Wire):
    """Of a found image."""

    image_id: str
    folder_path: str
    dataset_id: str
    tags: TagObject
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


class ImageNames(Wire):
    """Of an image."""

    id: str
    folder_path: str
    content_type: str
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


class DatasetNames(Wire):
    """Of a dataset."""

    archived_image_count: int = 0
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

    @computed_field  # type: ignore[prop-decorator]
    @property
    def archived_images(self) -> int:
        """`archived_image_count`, as the first clients call it."""
        return self.archived_image_count


class DatasetCreateFields(Body):
    """Sent with a new dataset."""

    MEANINGLESS: ClassVar[tuple[str, ...]] = ("annotation_types", "classes", "readme")

    annotation_types: AnnotationTypes | None = None
    """Means nothing: this service does not annotate."""
    classes: AnnotationClasses | None = None
    """Means nothing: this service does not annotate."""
    readme: Annotated[str, Field(max_length=MAX_README)] | None = None
    """Means nothing: `description` is kept."""


class DatasetUpdateFields(DatasetCreateFields):
    """Sent with a change of a dataset."""

    MEANINGLESS: ClassVar[tuple[str, ...]] = ("annotation_types", "classes", "classes_base", "readme")

    classes_base: AnnotationClasses | None = None
    """Means nothing: this service does not annotate."""


class UploadUrlFields(Body):
    """Sent before the bytes of a file."""

    MEANINGLESS: ClassVar[tuple[str, ...]] = ("content_type",)

    content_type: Annotated[str, Field(max_length=255)] | None = None
    """Means nothing: the format is read from the bytes."""


class RegisterFields(UploadUrlFields):
    """Sent after the bytes of a file."""

    MEANINGLESS: ClassVar[tuple[str, ...]] = ("content_type", "file_size", "width", "height")

    file_size: int | None = None
    """Means nothing: the bytes are counted."""
    width: int | None = None
    """Means nothing: the picture is measured."""
    height: int | None = None
    """Means nothing: the picture is measured."""
