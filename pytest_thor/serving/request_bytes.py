"""Requests as the bytes that go on the wire, made before the clock runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

from pytest_thor.serving.load import PlannedRequest
from pytest_thor.serving.target import Dialect, Target

Api: TypeAlias = Literal["completions", "chat"]

# Chat takes text, not token ids. These are short everyday words, of which most vocabularies hold each as one token,
# so that as many words as tokens asked come out near the asked length; the engine's own count is believed.
_TEXT = (
    "time year people way day man thing woman life child world school state family student group country problem "
    "hand part place case week company system program question work government number night point home water room "
    "mother area money story fact month lot right study book eye job word business issue side kind head house "
    "service friend father power hour game line end member law car city community name president team minute idea "
    "kid body information back parent face others level office door health person art war history party result "
    "change morning reason research girl guy moment air teacher force education foot boy age policy music market "
    "sense nation plan college interest death experience effect use class control field development role effort "
    "rate heart drug show leader light voice wife police mind price report decision son view relationship town road "
    "arm difference value building action season society tax director position player record paper space ground "
    "form event official matter center couple site project activity star table need court oil situation cost "
    "industry figure street image phone data picture practice piece land product doctor wall patient worker news "
    "test movie north love step south west east nature window store summer winter spring fire river stone glass "
    "paint green blue white black brown gold silver"
)
_WORDS = _TEXT.split()


def request_bytes(
    planned: PlannedRequest, target: Target, *, api: Api, salt: str | None, prefix_cache: bool | None
) -> bytes:
    """Return a whole HTTP request for one streamed completion.

    ``salt`` keeps vLLM from finding the prompt in its prefix cache. ``prefix_cache`` tells llama-server whether it may
    use its own; None leaves that to the server.
    """
    path = f"{target.path_prefix.rstrip('/')}/v1/{'chat/completions' if api == 'chat' else 'completions'}"
    body = json.dumps(
        _body(planned, target, api=api, salt=salt, prefix_cache=prefix_cache), separators=(",", ":")
    ).encode()
    return _head(path, target, length=len(body)) + body


def chat_text(prompt: Sequence[int]) -> str:
    """Return as many everyday words as there are token ids: fresh ids give a fresh text."""
    return " ".join(_WORDS[token % len(_WORDS)] for token in prompt)


def _body(
    planned: PlannedRequest, target: Target, *, api: Api, salt: str | None, prefix_cache: bool | None
) -> dict[str, Any]:
    body: dict[str, Any] = {"model": target.model}
    if api == "chat":
        body["messages"] = [{"role": "user", "content": chat_text(planned.prompt)}]
    else:
        body["prompt"] = planned.prompt
    body |= {
        "max_tokens": planned.output_len,
        "ignore_eos": True,
        "temperature": 0,  # no sampling to pay for, and the same tokens for the same prompt
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if target.dialect == "llama-server":
        body["timings_per_token"] = True  # how many tokens there are so far, in every chunk
    return body | dialect_fields(target.dialect, salt=salt, prefix_cache=prefix_cache)


def dialect_fields(dialect: Dialect, *, salt: str | None, prefix_cache: bool | None) -> dict[str, Any]:
    """Return what keeps a server's caches out of the figures, as far as its dialect can say it."""
    fields: dict[str, Any] = {}
    if dialect == "llama-server" and prefix_cache is not None:
        fields["cache_prompt"] = prefix_cache
    if dialect == "vllm":
        fields["skip_special_tokens"] = False  # a token without text would not be sent when it is made
        if salt is not None:
            fields["cache_salt"] = salt
    return fields


def _head(path: str, target: Target, *, length: int) -> bytes:
    host = f"[{target.host}]" if ":" in target.host else target.host
    headers = {
        "Host": f"{host}:{target.port}",
        "User-Agent": "pytest-thor",
        "Accept": "text/event-stream",
        "Content-Type": "application/json",
        "Connection": "keep-alive" if target.keeps_connections else "close",
        **target.headers,
        "Content-Length": str(length),
    }
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    for line in lines:
        if "\r" in line or "\n" in line:
            raise ValueError(f"the header {line.partition(':')[0]!r} for {host} holds a line break")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
