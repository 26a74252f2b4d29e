"""A hub on the loopback: as much of its protocol as its own client asks for, and it can break off."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

LARGE_BYTES = 1000
"""Larger files are kept as LFS objects, with a sha256."""


@dataclass
class Hub:
    """One repository at one commit; ``break_after`` ends one answer after so many bytes, and the next ones at once."""

    repository: str
    commit: str
    files: dict[str, bytes]
    url: str = ""
    break_after: int | None = None
    lies: dict[str, bytes] = field(default_factory=dict)
    gets: list[tuple[str, str | None]] = field(default_factory=list)
    """File and Range header of each answer with content."""


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def blob_sha1(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """Serve a hub until the end of the block."""

    class Handler(_Handler):
        its = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    its: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._answer(with_content=False)

    def do_GET(self) -> None:
        self._answer(with_content=True)

    def _answer(self, *, with_content: bool) -> None:
        asked = urlsplit(self.path)
        path, hub = unquote(asked.path), self.its
        if path.startswith(f"/api/models/{hub.repository}"):
            revision = path.rpartition("/revision/")[2] if "/revision/" in path else "main"
            self._describe(revision, blobs="blobs" in parse_qs(asked.query))
            return
        _, found, rest = path.partition(f"/{hub.repository}/resolve/{hub.commit}/")
        if not found or rest not in hub.files:
            code = "EntryNotFound" if found else "RepoNotFound"
            self._send(404, {"X-Error-Code": code, "X-Error-Message": "not here"}, b"", with_content=with_content)
            return
        self._file(rest, with_content=with_content)

    def _describe(self, revision: str, *, blobs: bool) -> None:
        hub = self.its
        if revision not in {"main", hub.commit}:
            self._send(404, {"X-Error-Code": "RevisionNotFound"}, b"{}", with_content=True)
            return
        siblings = []
        for name, content in hub.files.items():
            sibling: dict[str, object] = {"rfilename": name}
            if blobs:
                sibling |= {"size": len(content), "blobId": blob_sha1(content)}
                if len(content) > LARGE_BYTES:
                    sibling["lfs"] = {"sha256": sha256(content), "size": len(content), "pointerSize": 130}
            siblings.append(sibling)
        body = {"id": hub.repository, "modelId": hub.repository, "sha": hub.commit, "siblings": siblings, "tags": []}
        self._send(200, {"Content-Type": "application/json"}, json.dumps(body).encode(), with_content=True)

    def _file(self, name: str, *, with_content: bool) -> None:
        hub = self.its
        content = hub.lies.get(name, hub.files[name])
        told = hub.files[name]
        etag = sha256(told) if len(told) > LARGE_BYTES else blob_sha1(told)
        headers = {"ETag": f'"{etag}"', "X-Repo-Commit": hub.commit, "Accept-Ranges": "bytes"}
        asked = self.headers.get("Range")
        status = 200
        if with_content:
            hub.gets.append((name, asked))
        if asked and asked.startswith("bytes="):
            first = int(asked.removeprefix("bytes=").split("-")[0] or 0)
            headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
            content, status = content[first:], 206
        self._send(status, headers, content, with_content=with_content)

    def _send(self, status: int, headers: Mapping[str, str], body: bytes, *, with_content: bool) -> None:
        limit = self.its.break_after
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if not with_content:
            return
        if limit is not None and len(body) > limit:
            self.wfile.write(body[:limit])
            self.wfile.flush()
            self.its.break_after = 0
            self.close_connection = True
            self.connection.shutdown(2)
            return
        self.wfile.write(body)
