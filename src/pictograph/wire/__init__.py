"""The HTTP protocol's models: what the server sends is what the SDK returns.

A room for each subject. Each model has one set of names of ours, with docstrings; `compat` holds the other names that
the published `pictograph` clients read and send, so that those work against this server unmodified.
"""

from __future__ import annotations

from pictograph.wire.base import (
    API_PREFIX,
    KEYS_PREFIX,
    PICTURES_PREFIX,
    UPLOADS_PREFIX,
    Body,
    Data,
    Page,
    Pagination,
    TagObject,
    Wire,
    WorkflowStatus,
)
from pictograph.wire.collections import (
    Collection,
    CollectionChange,
    CollectionCreate,
    CollectionImages,
    CollectionRename,
)
from pictograph.wire.datasets import Dataset, DatasetCreate, DatasetUpdate, DeletedDataset, Progress, Retried
from pictograph.wire.duplicates import (
    DuplicateDecided,
    DuplicateDecision,
    DuplicateGroup,
    DuplicateImage,
    DuplicatesAnswer,
)
from pictograph.wire.export import ExportedImage, ExportPage
from pictograph.wire.history import NameChange, Write
from pictograph.wire.images import (
    DeletedImage,
    Image,
    KnownImage,
    PlaceInDataset,
    RegisterRequest,
    Replacement,
    StoredBytes,
    UploadUrl,
    UploadUrlRequest,
    WhichExistRequest,
)
from pictograph.wire.keys import ApiKey, ApiKeyCreate, ApiKeys, CreatedApiKey, RevokedKey
from pictograph.wire.reindex import FailedImage, ForgottenSpaces, Reindex, ReindexStart, Space
from pictograph.wire.saved_queries import SavedQuery, SavedQueryRun
from pictograph.wire.search import (
    Box,
    Example,
    OfTags,
    PictureAnswer,
    QueryAnswer,
    QueryRow,
    Relevance,
    ScoreScale,
    SearchExplanation,
    SearchFacts,
    SearchRow,
    SimilarAnswer,
    SimilarImage,
    TagAnswer,
    TagCount,
    TagCounts,
    TagFilters,
    TaggedImage,
    TextAnswer,
    TriedPlan,
    UsedExample,
)
from pictograph.wire.service import ErrorAnswer, ErrorBody, Health, Room
from pictograph.wire.tags import (
    Label,
    LabelBody,
    TagChange,
    TagExample,
    TagUpdate,
    Taxonomy,
    ThresholdBody,
    ThresholdChange,
    ThresholdPreview,
)
from pictograph.wire.vectors import DifferentVector, ImportedVectors
