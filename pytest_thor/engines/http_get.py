"""Asks a server a question, off the hot path: one GET, its status and its body.

``http.client`` knows no proxies, so the variables of the environment that name one have no effect.
"""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

BODY_LIMIT = 8 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a server answers; ``prefix`` stands before every path, and ``headers`` (unshown: a key) are sent along."""

    host: str
    port: int
    prefix: str = ""
    tls: bool = False
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back; ``status`` is None where nothing did, and ``body`` says why."""

    status: int | None
    body: str
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether it is what was asked for."""
        return self.status == http.client.OK

    def json(self) -> Any:  # noqa: ANN401 - JSON is anything
        """Return the body's value, or None where it is no JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    def __str__(self) -> str:
        said = " ".join(self.body.split())[:300]
        return f"HTTP {self.status}: {said}" if self.status else said


def get(place: Place, path: str, *, timeout_s: float = 5.0) -> Answer:
    """GET a path (8 MiB of its body at most); never raises for what the network or the server does."""
    if place.tls:
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            place.host, place.port, timeout=timeout_s, context=ssl.create_default_context()
        )
    else:
        connection = http.client.HTTPConnection(place.host, place.port, timeout=timeout_s)
    try:
        connection.request("GET", place.prefix + path, headers={**place.headers, "Connection": "close"})
        response = connection.getresponse()
        body = response.read(BODY_LIMIT).decode("utf-8", errors="replace")
        return Answer(status=response.status, body=body, headers=dict(response.getheaders()))
    except (OSError, http.client.HTTPException) as error:
        return Answer(status=None, body=f"{type(error).__name__}: {error}")
    finally:
        connection.close()
