"""What the hub says of a repository: its commit, and the size and checksum of each file. Uses `huggingface_hub`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final

from pictograph.errors import ConfigurationError, ConnectionFailed, ForbiddenError, NotFoundError
from pictograph.models.names import Repository
from pictograph_search import install_command

DEFAULT_REVISION: Final = "main"
TIMEOUT_S: Final = 30.0
COMMIT: Final = re.compile(r"[0-9a-f]{40}")
HELP: Final = (
    "Run the same command again: it goes on where it was. Or name a mirror with --from URL (or HF_ENDPOINT), or take "
    "the model from another machine: `pictograph model bundle` there, `pictograph model unbundle FILE` here."
)


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file as the hub announces it."""

    name: str
    size: int
    """In bytes."""
    digest: str
    """64 hex digits: the file's SHA-256; 40: its git blob id. Of anything else, only the size can be checked."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A repository at one commit."""

    commit: str
    """40 hex digits."""
    siblings: Mapping[str, Any]
    """What the hub tells of each file, by name; the library's own objects."""


class Hub:
    """One hub, or a mirror of it."""

    def __init__(self, endpoint: str | None = None) -> None:
        """endpoint: the address of a mirror; None takes HF_ENDPOINT, else the hub itself.

        Raises ConfigurationError if `huggingface_hub` is missing, or the address is none.
        """
        self._library = _import_library()
        self.endpoint = (endpoint or os.environ.get("HF_ENDPOINT") or self._library.constants.ENDPOINT).rstrip("/")
        if not self.endpoint.startswith(("http://", "https://")):
            raise ConfigurationError(
                f"{self.endpoint!r} is not the address of a hub. Give one that starts with https://."
            )

    def listing(self, repository: Repository, revision: str) -> Listing:
        """Looks up the commit that a branch, tag or commit means now, and the files in it.

        Raises NotFoundError, ForbiddenError, ConnectionFailed.
        """
        api = self._library.HfApi(endpoint=self.endpoint, library_name="pictograph")
        with self._errors(repository, revision):
            info = api.model_info(repository.id, revision=revision, files_metadata=True, timeout=TIMEOUT_S)
        if not info.sha or not COMMIT.fullmatch(info.sha):
            raise unreachable(self.endpoint, f"it names no commit for {repository.id}")
        return Listing(info.sha, {sibling.rfilename: sibling for sibling in info.siblings or []})

    def files(self, repository: Repository, listing: Listing, names: Sequence[str]) -> list[RemoteFile]:
        """Size and checksum of these files. Raises as `listing` does."""
        return [_announced(listing.siblings[name]) or self._asked(repository, listing.commit, name) for name in names]

    def url(self, repository: Repository, commit: str, name: str) -> str:
        """Where the bytes of a file are."""
        return str(self._library.hf_hub_url(repository.id, name, revision=commit, endpoint=self.endpoint))

    def headers(self) -> dict[str, str]:
        """HF_TOKEN, or the token of `hf auth login`, if there is one."""
        token = self._library.get_token()
        return {"authorization": f"Bearer {token}"} if token else {}

    def _asked(self, repository: Repository, commit: str, name: str) -> RemoteFile:
        """For mirrors whose listing has no sizes: the headers of the file itself have."""
        with self._errors(repository, commit):
            metadata = self._library.get_hf_file_metadata(self.url(repository, commit, name), timeout=TIMEOUT_S)
        if metadata.size is None or not metadata.etag:
            raise ConnectionFailed(f"{self.endpoint} gives neither size nor checksum of {name}. Take another mirror.")
        return RemoteFile(name, metadata.size, metadata.etag)

    @contextmanager
    def _errors(self, repository: Repository, revision: str) -> Iterator[None]:
        """The library's errors become ours, the special before the general."""
        errors = self._library.errors
        try:
            yield
        except errors.GatedRepoError as error:
            raise gated(repository) from error
        except errors.RevisionNotFoundError as error:
            raise NotFoundError(
                f"{repository.id} has no revision {revision!r}. Leave --revision out for main."
            ) from error
        except errors.RepositoryNotFoundError as error:
            raise NotFoundError(
                f"{self.endpoint} has no repository {repository.id}, or it is private. Check the spelling; for a "
                "private one set HF_TOKEN."
            ) from error
        except errors.OfflineModeIsEnabled as error:
            raise ConnectionFailed("HF_HUB_OFFLINE is set, so nothing is fetched. Unset it.") from error
        # What its HTTP library raises. That has been another library twice; HfHubHTTPError derives from its base class.
        except (*errors.HfHubHTTPError.__bases__, OSError, ValueError) as error:
            raise unreachable(self.endpoint, error) from error


def unreachable(endpoint: str, error: object) -> ConnectionFailed:
    """Returns the error for a network that failed, or an answer that is not from a hub."""
    said = str(error).strip().splitlines() or [type(error).__name__]
    return ConnectionFailed(f"{endpoint} could not be reached, or did not answer as a hub does: {said[0]}. {HELP}")


def gated(repository: Repository) -> ForbiddenError:
    """Its owner wants to know who takes the model."""
    return ForbiddenError(
        f"{repository.id} is gated: accept its terms on its page on the hub, make a token there, and set HF_TOKEN."
    )


def _announced(sibling: Any) -> RemoteFile | None:
    digest = sibling.lfs.sha256 if sibling.lfs else sibling.blob_id
    if sibling.size is None or not digest:
        return None
    return RemoteFile(sibling.rfilename, sibling.size, digest)


def _import_library() -> ModuleType:
    try:
        import huggingface_hub  # noqa: PLC0415  only this command needs it
        import huggingface_hub.constants  # noqa: PLC0415
        import huggingface_hub.errors  # noqa: PLC0415
    except ImportError as error:
        raise ConfigurationError(
            f"Fetching a model needs the package {error.name!r}: {install_command('siglip')}"
        ) from error
    library: ModuleType = huggingface_hub
    return library
