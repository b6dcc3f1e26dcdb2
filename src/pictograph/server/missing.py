"""What other services of this protocol have and this one has not: said as such, never as `does not exist`."""

from __future__ import annotations

import re
from typing import Final

from pictograph.errors import NotSupported
from pictograph.wire import API_PREFIX

RESOURCES: Final = (
    "annotation-comments", "annotations", "auto-annotate", "batch", "billing", "connectors", "credits", "deployments",
    "directories", "explore", "exports", "folders", "invites", "jobs", "members", "model-evaluations", "models",
    "notifications", "organizations", "projects", "public", "sam3", "tasks", "tools", "tools.json", "training", "video",
    "webhooks", "workflows",
)  # fmt: skip
OF_DATASETS: Final = (
    "annotations", "archive", "by-name", "class-counts", "current-version", "data-bundle", "download", "duplicates",
    "explore", "export", "exports", "files", "freeze", "import-coco", "import-public", "insights", "readme",
    "rebalance", "restore", "splits", "stats", "storage", "unarchive", "versions", "workflow",
)  # fmt: skip
OF_IMAGES: Final = (
    "annotations", "archive", "assign-splits", "bulk-register", "bulk-tag", "bulk-upload-url", "comments", "copy",
    "download-bundle", "move", "rebalance", "review", "split", "status", "tags",
)  # fmt: skip
PUBLISHED: Final = (
    (re.compile(rf"{API_PREFIX}/({'|'.join(map(re.escape, RESOURCES))})(/.*)?"), "{}"),
    (re.compile(rf"{API_PREFIX}/datasets/(by-name)/.*"), "datasets {}"),
    (re.compile(rf"{API_PREFIX}/datasets/[^/]+/({'|'.join(OF_DATASETS)})(/.*)?"), "datasets {}"),
    (re.compile(rf"{API_PREFIX}/images/({'|'.join(OF_IMAGES)})"), "images {}"),
    (re.compile(rf"{API_PREFIX}/images/.+/({'|'.join(OF_IMAGES)})"), "images {}"),
)
"""Paths that the published clients call, and what they call by them."""


def not_supported(method: str, path: str) -> NotSupported | None:
    """The answer for a path without a route, if a published client might call it; None if it is none of theirs."""
    for pattern, name in PUBLISHED:
        if match := pattern.fullmatch(path):
            feature = name.format(*match.groups()[:1])
            return NotSupported(
                f"This service has no {feature!r} ({method} {path[:200]}): it searches images. "
                "/docs lists what it has.",
                details={"feature": feature},
            )
    return None
