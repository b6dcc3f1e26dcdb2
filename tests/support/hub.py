"""A small model hub on localhost: what `huggingface_hub` and our downloader ask of the real one, over real HTTP.

A repository is a folder. Large files (`LFS`) are announced by SHA-256 and lie on another host, as there; the others are
announced by their git blob id.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "75de2d55ec2d0b4efc50b3e9ad70dba96a7b2fa2"
LFS = (".safetensors", "tokenizer.json")
PIECE = 1 << 14
NAME = "siglip2-base-patch16-224"


@dataclass
class FakeHub:
    """Its repositories, and how it misbehaves. Change the fields at any time."""

    repositories: dict[str, Path] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    token: str = "hf_secret"
    """Opens gated repositories."""
    commit: str = COMMIT
    """What `main` is."""
    cut_after: dict[str, int] = field(default_factory=dict)
    """The next answer with this file ends after so many bytes, without a word; once each."""
    broken: set[str] = field(default_factory=set)
    """Every answer with one of these files ends before its first byte."""
    busy: set[str] = field(default_factory=set)
    """The next request for one of these files is answered 503; once each."""
    damaged: set[str] = field(default_factory=set)
    """Files that are sent with one bit flipped."""
    ranges: bool = True
    listing_has_sizes: bool = True
    status: int | None = None
    """Every answer has this status."""
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    """Method, path and Range of each, in order."""
    told_tokens: dict[str, str | None] = field(default_factory=dict)
    """What the latest request for each path said of itself."""
    address: str = ""

    def fetched(self) -> list[str]:
        """Names of the files whose bytes were asked for, in order."""
        paths = [path for method, path, _ in self.requests if method == "GET" and "/api/" not in path]
        return [path.rpartition("/")[2] for path in paths if "/cdn/" in path or not path.endswith(LFS)]


@contextmanager
def running_hub(**repositories: Path) -> Iterator[FakeHub]:
    """A hub with these repositories of `google`."""
    hub = FakeHub({f"google/{name}": folder for name, folder in repositories.items()})
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Nothing: the tests read `requests`."""

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append((self.command, path, self.headers.get("range")))
        self.hub.told_tokens[path] = self.headers.get("authorization")
        if self.hub.status:
            self.send({}, b"", self.hub.status)
        elif found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/revision/(.+)", path):
            self.info(*found.groups())
        elif found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([0-9a-f]{40})/(.+)", path):
            self.resolve(*found.groups())
        elif found := re.fullmatch(r"/cdn/([^/]+/[^/]+)/(.+)", path):
            self.content(self.hub.repositories[found.group(1)] / found.group(2))
        else:
            self.send({"x-error-code": "RepoNotFound"}, b"{}", 404)

    def info(self, repository: str, revision: str) -> None:
        folder = self.hub.repositories.get(repository)
        if folder is None:
            self.send({"x-error-code": "RepoNotFound"}, b'{"error":"Repository not found"}', 401)
        elif revision not in ("main", self.hub.commit):
            self.send({"x-error-code": "RevisionNotFound"}, b"{}", 404)
        else:
            siblings = [self.sibling(path) for path in sorted(folder.rglob("*")) if path.is_file()]
            body = {"id": repository, "sha": self.hub.commit, "siblings": siblings, "private": False, "tags": []}
            self.send({"content-type": "application/json"}, json.dumps(body).encode())

    def sibling(self, path: Path) -> dict[str, Any]:
        told: dict[str, Any] = {"rfilename": path.name}
        if not self.hub.listing_has_sizes:
            return told
        told |= {"size": path.stat().st_size, "blobId": blob_id(path)}
        if path.name.endswith(LFS):
            told["lfs"] = {"sha256": sha256(path), "size": path.stat().st_size, "pointerSize": 134}
        return told

    def resolve(self, repository: str, commit: str, name: str) -> None:
        folder = self.hub.repositories.get(repository)
        if repository in self.hub.gated and self.headers.get("authorization") != f"Bearer {self.hub.token}":
            self.send({"x-error-code": "GatedRepo"}, b"Access to this model is restricted.", 403)
        elif folder is None or commit != self.hub.commit or not (folder / name).is_file():
            self.send({"x-error-code": "EntryNotFound"}, b"", 404)
        else:
            self.found(folder / name, commit, f"/cdn/{repository}/{name}")

    def found(self, path: Path, commit: str, elsewhere: str) -> None:
        if not path.name.endswith(LFS):
            self.content(path, {"x-repo-commit": commit, "etag": f'"{blob_id(path)}"'})
            return
        linked = {"x-linked-etag": f'"{sha256(path)}"', "x-linked-size": str(path.stat().st_size)}
        location = self.hub.address.replace("127.0.0.1", "localhost") + elsewhere
        self.send({"x-repo-commit": commit, "location": location} | linked, b"", 302)

    def content(self, path: Path, headers: dict[str, str] | None = None) -> None:
        data = bytearray(path.read_bytes())
        if path.name in self.hub.busy:
            self.hub.busy.remove(path.name)
            self.send({}, b"come back later", 503)
            return
        if path.name in self.hub.damaged:
            data[len(data) // 2] ^= 1
        start, status, headers = 0, 200, headers or {}
        if self.hub.ranges and (asked := re.fullmatch(r"bytes=(\d+)-", self.headers.get("range") or "")):
            start, status = int(asked.group(1)), 206
            headers |= {"content-range": f"bytes {start}-{len(data) - 1}/{len(data)}"}
        cut_after = 0 if path.name in self.hub.broken else self.hub.cut_after.pop(path.name, None)
        self.send(headers, bytes(data[start:]), status, cut_after)

    def send(self, headers: dict[str, str], body: bytes, status: int = 200, cut_after: int | None = None) -> None:
        self.send_response(status)
        for name, value in (headers | {"content-length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        sent = memoryview(body)[:cut_after]
        for start in range(0, len(sent), PIECE):
            self.wfile.write(sent[start : start + PIECE])
        if cut_after is not None:
            self.wfile.flush()
            self.close_connection = True


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def blob_id(path: Path) -> str:
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
