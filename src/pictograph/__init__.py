"""Pictograph: find the images of a vision dataset by likeness, by tag, by words.

    >>> from pictograph import Client
    >>> client = Client()                                        # doctest: +SKIP
    >>> client.search.by_tag(objects=["car"], limit=10)          # doctest: +SKIP

Names are loaded when first used, so that neither the worker pays for the SDK nor the SDK for the worker. The
distribution is `pictograph-search`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pictograph.version import __version__

__distribution__ = "pictograph-search"

if TYPE_CHECKING:
    from pictograph.client import (
        AsyncClient,
        Client,
        Example,
        ExportReport,
        ImportReport,
        ListPage,
        SearchResults,
        TaggedResults,
    )
    from pictograph.errors import (
        ApiError,
        AuthError,
        BadImage,
        BadSignature,
        BlobMissing,
        ConfigurationError,
        ConflictError,
        ConnectionFailed,
        DatabaseAway,
        DatabaseBusy,
        DatabaseDamaged,
        DatabaseIncomplete,
        DatabaseOutOfMemory,
        DatabaseReadOnly,
        DatabaseRefused,
        DatabaseStopping,
        EmbeddingFailed,
        EmbeddingPending,
        ForbiddenError,
        HeadTooLarge,
        IdempotencyConflict,
        LockTimeout,
        MethodNotAllowed,
        ModelDamaged,
        NoBytes,
        NotFoundError,
        NotSupported,
        PictographError,
        RangeNotSatisfiable,
        RateLimitError,
        ServerError,
        SlowSender,
        SpaceMismatch,
        StatementTimeout,
        StillRunning,
        StorageFull,
        TooCostly,
        TooLarge,
        Unavailable,
        UnsupportedFormat,
        UrlExpired,
        ValidationError,
        WorkerLost,
        WriteConflict,
        WrongHost,
    )

__all__ = [
    "ApiError",
    "AsyncClient",
    "AuthError",
    "BadImage",
    "BadSignature",
    "BlobMissing",
    "Client",
    "ConfigurationError",
    "ConflictError",
    "ConnectionFailed",
    "DatabaseAway",
    "DatabaseBusy",
    "DatabaseDamaged",
    "DatabaseIncomplete",
    "DatabaseOutOfMemory",
    "DatabaseReadOnly",
    "DatabaseRefused",
    "DatabaseStopping",
    "EmbeddingFailed",
    "EmbeddingPending",
    "Example",
    "ExportReport",
    "ForbiddenError",
    "HeadTooLarge",
    "IdempotencyConflict",
    "ImportReport",
    "ListPage",
    "LockTimeout",
    "MethodNotAllowed",
    "ModelDamaged",
    "NoBytes",
    "NotFoundError",
    "NotSupported",
    "PictographError",
    "RangeNotSatisfiable",
    "RateLimitError",
    "SearchResults",
    "ServerError",
    "SlowSender",
    "SpaceMismatch",
    "StatementTimeout",
    "StillRunning",
    "StorageFull",
    "TaggedResults",
    "TooCostly",
    "TooLarge",
    "Unavailable",
    "UnsupportedFormat",
    "UrlExpired",
    "ValidationError",
    "WorkerLost",
    "WriteConflict",
    "WrongHost",
    "__version__",
]
OF_CLIENT = frozenset(
    {"Client", "AsyncClient", "Example", "ExportReport", "ImportReport", "ListPage", "SearchResults", "TaggedResults"}
)


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'pictograph' has no attribute {name!r}")
    home = "pictograph.client" if name in OF_CLIENT else "pictograph.errors"
    return getattr(import_module(home), name)
