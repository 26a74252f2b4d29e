"""A workload becomes a load: which requests are sent, how long they are, and when each may go."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count, cycle, islice, repeat
from pathlib import Path
from random import Random

from pytest_thor.cell import Workload
from pytest_thor.errors import MatrixError, Problem
from pytest_thor.request_trace import RequestTrace, TracedRequest, read_trace
from pytest_thor.serving.arrivals import closed_loop, open_loop
from pytest_thor.serving.asked import Asked, Length
from pytest_thor.serving.prompts import Prompts, TokenIds, stream

__all__ = ["Load", "PlannedRequest", "PlannedRequests", "TokenIds", "plan"]

FIXED_SEED = 0
"""The seed of a prompt set that is the same in every run on purpose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRequest:
    """One request: its prompt as token ids, and how many tokens it must generate.

    ``arrival_s`` is when it may be sent at the earliest, in seconds from the start of the load; None is as soon as a
    slot is free. ``index`` counts from 0, warm-up requests by themselves.
    """

    index: int
    prompt: tuple[int, ...]
    output_len: int
    arrival_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Everything that a client needs to send a workload's requests, and to send the same ones again.

    ``requests`` is iterated in order and may be iterated again; each request is made (in about 0.1 ms per 1,000
    tokens) as the iteration reaches it, so keep none longer than it takes, and make some ahead of the moment when they
    are due. They are ``count`` in number; where ``count`` is None, they end with the last one that arrives within
    ``duration_s``, or never in a closed loop: stop sending when ``duration_s`` is over. Arrival times never fall.
    At most ``max_concurrency`` requests are open at a time; None is no limit. ``salt`` is new for every load and keeps
    a server's prefix cache away from it; None sends none. ``prefix_cache`` says that cached tokens are welcome.
    """

    seed: int
    requests: Iterable[PlannedRequest]
    warmup: tuple[PlannedRequest, ...]
    max_concurrency: int | None
    duration_s: float | None
    prefix_cache: bool
    salt: str | None
    count: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRequests:
    """The requests of a load, made one after another as they are asked for; the same ones every time."""

    asked: Asked
    prompts: Prompts
    seed: int
    traced: tuple[TracedRequest, ...] = ()

    def __iter__(self) -> Iterator[PlannedRequest]:
        lengths = _lengths(self.asked, self.traced, stream(self.seed, "lengths"))
        planned = zip(count(), lengths, self._arrivals(), strict=False)
        for index, (input_len, output_len), arrival_s in islice(planned, self.asked.num_prompts):
            if self.asked.duration_s is not None and (arrival_s or 0.0) >= self.asked.duration_s:
                return
            prompt = self.prompts.prompt(index, input_len)
            yield PlannedRequest(index=index, prompt=prompt, output_len=output_len, arrival_s=arrival_s)

    def _arrivals(self) -> Iterator[float | None]:
        asked = self.asked
        if asked.request_rate is not None:
            random = stream(self.seed, "arrivals")
            return open_loop(
                random, rate_rps=asked.request_rate, burstiness=asked.burstiness, ramp_up_s=asked.ramp_up_s
            )
        if self.traced and self.traced[0].arrival_s is not None:
            return (request.arrival_s for request in self.traced)
        assert asked.max_concurrency is not None, "the matrix asks for it wherever nothing else says when to send"
        return closed_loop(max_concurrency=asked.max_concurrency, ramp_up_s=asked.ramp_up_s)


def plan(workload: Workload, *, token_ids: TokenIds, seed: int | None = None, folder: Path = Path()) -> Load:
    """Return the load that a serving workload asks for, without making its prompts yet.

    ``seed`` decides prompts, lengths and arrivals; None takes 64 fresh bits from the system, or 0 where the workload
    has ``fresh_prompts: false``. A relative ``trace`` is looked for in ``folder``: the matrix's own.

    Raises:
        MatrixError: the workload's trace cannot be read, or is not what it was when the matrix was read.
    """
    asked = Asked.of(workload)
    if seed is None:
        seed = secrets.randbits(64) if asked.fresh_prompts else FIXED_SEED
    traced = () if asked.trace is None else _trace(asked, folder / asked.trace).requests
    prompts = Prompts(token_ids, seed)
    return Load(
        seed=seed,
        requests=PlannedRequests(asked=asked, prompts=prompts, seed=seed, traced=traced),
        warmup=tuple(_warmup(asked, prompts, traced, stream(seed, "warm-up lengths"))),
        max_concurrency=asked.max_concurrency,
        duration_s=asked.duration_s,
        prefix_cache=asked.prefix_cache,
        salt=secrets.token_hex(16) if asked.fresh_prompts and not asked.prefix_cache else None,
        count=asked.num_prompts,
    )


def _trace(asked: Asked, path: Path) -> RequestTrace:
    trace = read_trace(path)
    if asked.trace_sha256 not in (None, trace.sha256):
        changed = "changed while the tests ran: run them again"
        raise MatrixError((Problem(path=str(path), line=1, column=1, message=changed),))
    return trace


def _warmup(
    asked: Asked, prompts: Prompts, traced: tuple[TracedRequest, ...], random: Random
) -> Iterator[PlannedRequest]:
    lengths = _lengths(asked, traced, random)
    for index, (input_len, output_len) in enumerate(islice(lengths, asked.warmup)):
        prompt = prompts.prompt(-1 - index, input_len)  # numbers of their own, so none is the start of a measured one
        yield PlannedRequest(index=index, prompt=prompt, output_len=output_len, arrival_s=None)


def _lengths(asked: Asked, traced: tuple[TracedRequest, ...], random: Random) -> Iterator[tuple[int, int]]:
    """Yield tokens in and out of each request, without end; a trace begins again."""
    if traced:
        yield from cycle((request.input_len, request.output_len) for request in traced)
    assert asked.input_len is not None
    assert asked.output_len is not None
    for input_len, output_len in repeat((asked.input_len, asked.output_len)):
        yield _drawn(input_len, random), _drawn(output_len, random)


def _drawn(length: Length, random: Random) -> int:
    if isinstance(length, int):
        return length
    least, most = length
    return least + int(random.random() * (most - least + 1))
