"""One file over HTTP, taken up where an earlier attempt ended, and believed only if its checksum is right.

`huggingface_hub` downloads too, but what it has of a file is lost when its process ends (since its version 2), and
weights are one file of gigabytes.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx

from pictograph.errors import ConnectionFailed, ForbiddenError, ModelDamaged, NotFoundError
from pictograph.models.hub import COMMIT, Hub, Listing, RemoteFile, gated, unreachable
from pictograph.models.manifest import SHA256
from pictograph.models.names import Repository
from pictograph.models.place import CHUNK_BYTES, disk_errors, sha256_of
from pictograph.network import RoutedTransport

ATTEMPTS: Final = 5
"""In a row without a single new byte; then we give up, and the next run goes on."""
FIRST_PAUSE_S: Final = 0.5
TIMEOUT: Final = httpx.Timeout(30.0, connect=10.0)


class Downloader:
    """Fetches the files of one repository at one commit."""

    def __init__(self, hub: Hub, repository: Repository, listing: Listing, client: httpx.Client) -> None:
        """client: from `http_client`; not closed here."""
        self._hub = hub
        self._repository = repository
        self._commit = listing.commit
        self._client = client

    def fetch(self, file: RemoteFile, folder: Path, report: Callable[[int], None]) -> str:
        """Brings `folder / file.name` to its full length; 64 hex digits: the SHA-256 of what is on the disk then.

        report: called with the bytes of this file that are there. A file that turns out damaged is removed.
        Raises ModelDamaged, ConnectionFailed, NotFoundError, ForbiddenError; ConfigurationError if the disk is full.
        """
        path = folder / file.name
        self._complete(file, path, report)
        sha256 = sha256_of(path)
        if not is_announced(path, sha256, file):
            path.unlink()
            raise ModelDamaged(
                f"{file.name} came damaged from {self._hub.endpoint}: its checksum is not the one announced. Run the "
                "same command again, and with another --from URL if that does not help."
            )
        return sha256

    def _complete(self, file: RemoteFile, path: Path, report: Callable[[int], None]) -> None:
        failures = 0
        path.touch()
        while (done := path.stat().st_size) < file.size:
            report(done)
            try:
                self._append(file, path, done, report)
                problem: Exception = unreachable(self._hub.endpoint, "the answer ended early")
            except (httpx.RequestError, ConnectionFailed) as error:
                problem = error
            failures = 0 if path.stat().st_size > done else failures + 1
            if failures == ATTEMPTS:
                ours = isinstance(problem, ConnectionFailed)
                raise problem if ours else unreachable(self._hub.endpoint, problem) from problem
            if path.stat().st_size < file.size:
                time.sleep(FIRST_PAUSE_S * 2**failures)
        report(done)

    def _append(self, file: RemoteFile, path: Path, done: int, report: Callable[[int], None]) -> None:
        url = self._hub.url(self._repository, self._commit, file.name)
        headers = {"accept-encoding": "identity", "range": f"bytes={done}-"}
        with self._client.stream("GET", url, headers=headers) as response:
            self._require_success(response, file)
            start = _start_of(response)
            if start not in (0, done):
                raise unreachable(self._hub.endpoint, f"it sent byte {start} of {file.name} instead of byte {done}")
            with disk_errors(path), path.open("r+b", buffering=0) as target:
                target.truncate(target.seek(start))
                for piece in response.iter_bytes():
                    if target.tell() + len(piece) > file.size:
                        target.truncate(0)
                        raise unreachable(self._hub.endpoint, f"{file.name} is longer than announced")
                    target.write(piece)
                    report(target.tell())

    def _require_success(self, response: httpx.Response, file: RemoteFile) -> None:
        if response.is_success:
            return
        if response.headers.get("x-error-code") == "GatedRepo":
            raise gated(self._repository)
        if response.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise ForbiddenError(f"{self._hub.endpoint} refuses {file.name} of {self._repository.id}. Set HF_TOKEN.")
        if response.status_code == httpx.codes.NOT_FOUND:
            raise NotFoundError(f"{self._hub.endpoint} has no {file.name} of {self._repository.id}@{self._commit}.")
        raise unreachable(self._hub.endpoint, f"status {response.status_code} for {file.name}")


@contextmanager
def http_client(hub: Hub) -> Iterator[httpx.Client]:
    """Follows redirects; the token is not sent on to another host."""
    transport = RoutedTransport(httpx.Limits(max_connections=16))
    with httpx.Client(
        follow_redirects=True, timeout=TIMEOUT, headers=hub.headers(), transport=transport, trust_env=False
    ) as client:
        yield client


def is_announced(path: Path, sha256: str, file: RemoteFile) -> bool:
    """Returns whether the file on the disk is the one announced. sha256: of that file."""
    if SHA256.fullmatch(file.digest):
        return sha256 == file.digest
    if COMMIT.fullmatch(file.digest):
        return git_blob_id(path) == file.digest
    return path.stat().st_size == file.size


def git_blob_id(path: Path) -> str:
    """40 hex digits: how git names these bytes."""
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while piece := file.read(CHUNK_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def _start_of(response: httpx.Response) -> int:
    """Returns the first byte that this answer holds; a server that ignores ranges sends the whole file."""
    if response.status_code != httpx.codes.PARTIAL_CONTENT:
        return 0
    match = re.fullmatch(r"bytes (\d+)-.*", response.headers.get("content-range", ""))
    return int(match.group(1)) if match else -1
