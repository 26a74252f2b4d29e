"""One launch of a serving engine: a server, and its workloads one after the other, each a load and a Launch."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pytest_thor.cell import Cell
from pytest_thor.engines.base import Progress, ProgressCallback
from pytest_thor.engines.server_counts import Tally
from pytest_thor.engines.service import Served, Service, ServiceOrder
from pytest_thor.engines.vllm_client import VllmClient
from pytest_thor.engines.vllm_install import find_interpreter
from pytest_thor.errors import EngineFailure, EngineMissing, ThorError
from pytest_thor.measurement import EngineBuild, Launch
from pytest_thor.request_trace import read_trace
from pytest_thor.serving.asked import Asked
from pytest_thor.serving.load import Load, TokenIds, plan
from pytest_thor.serving.load_result import LoadResult
from pytest_thor.serving.run import run_load
from pytest_thor.speculation import guesses_ahead


def measure(
    order: ServiceOrder,
    cells: Sequence[Cell],
    *,
    token_ids: TokenIds,
    on_progress: ProgressCallback,
    vllm: Path | None = None,
) -> Iterator[tuple[Cell, Launch]]:
    """Open the server once and yield every cell once, in order; a server that dies is started a second time.

    A load that cannot fit is refused before the server is started, where that is known then. ``vllm`` is the one that
    the user chose for loads that its client sends.

    Raises:
        EngineMissing: every cell wants vLLM's client, and there is none; of several, those that want it fail.
    """
    return _Measuring(order, cells, token_ids, on_progress, vllm).run()


@contextmanager
def opened(order: ServiceOrder) -> Iterator[Served]:
    """Have the server of an order, for checks of one's own."""
    with order.open(time.monotonic() + order.timeout_s, lambda _: None) as service:
        yield service.served


class _Measuring:
    """The state of one launch: which cells are left, when the last one was done, why the server was restarted."""

    def __init__(
        self,
        order: ServiceOrder,
        cells: Sequence[Cell],
        token_ids: TokenIds,
        on_progress: ProgressCallback,
        vllm: Path | None,
    ) -> None:
        self._order = order
        self._waiting = deque(cells)
        self._token_ids = token_ids
        self._on_progress = on_progress
        self._vllm = vllm
        self._client: VllmClient | None = None
        self._deadline = time.monotonic() + order.timeout_s
        self._restarts: list[str] = []
        self._begin()

    def run(self) -> Iterator[tuple[Cell, Launch]]:
        """Yield every cell once."""
        yield from self._refuse_what_cannot_fit()
        yield from self._find_the_client()
        while self._waiting:
            with ExitStack() as stack:
                try:
                    service = stack.enter_context(self._order.open(self._deadline, self._on_step))
                except EngineFailure as failure:
                    yield from self._fail_the_rest(self._after_restart(str(failure)), failure.log_tail)
                    return
                yield from self._serve(service)
                death, log_tail = service.died(), service.log_tail()
            if self._waiting and self._restarts:
                yield from self._fail_the_rest(self._after_restart(str(death)), log_tail)
            elif self._waiting:
                self._restarts.append(str(death))

    def _refuse_what_cannot_fit(self) -> Iterator[tuple[Cell, Launch]]:
        for cell in tuple(self._waiting):
            why = self._refusal(cell, self._order)
            if why:
                self._waiting.remove(cell)
                yield cell, self._launch(self._order.build, failure=why)

    def _find_the_client(self) -> Iterator[tuple[Cell, Launch]]:
        wanting = [cell for cell in self._waiting if Asked.of(cell.workload).client == "vllm"]
        if not wanting:
            return
        try:
            self._client = VllmClient(build=find_interpreter(self._vllm))
        except EngineMissing as missing:
            if len(wanting) == len(self._waiting):
                raise
            for cell in wanting:
                self._waiting.remove(cell)
                yield cell, self._launch(self._order.build, failure=f"client: vllm: {missing}")

    def _serve(self, service: Service) -> Iterator[tuple[Cell, Launch]]:
        """Measure the cells that are left, until the server is dead or the time is over."""
        while self._waiting and not service.gone():
            if time.monotonic() >= self._deadline:
                yield from self._fail_the_rest(self._too_late(), service.log_tail())
                return
            cell = self._waiting.popleft()
            yield cell, self._load(cell, service)

    def _load(self, cell: Cell, service: Service) -> Launch:
        self._on_progress(Progress(cell=cell, step="plans its requests"))
        try:
            why = self._refusal(cell, service)
            if why:
                return self._launch(service.build, failure=why, evidence=self._evidence(service))
            load = plan(cell.workload, token_ids=self._token_ids, folder=_folder(cell))
        except ThorError as error:
            return self._launch(service.build, failure=str(error))
        if service.server:
            service.server.begin_load()
        tally = Tally(service)
        return self._launch_of(cell, service, self._send(cell, service, load), tally)

    def _send(self, cell: Cell, service: Service, load: Load) -> LoadResult:
        def tell(step: str, rate_tps: float | None) -> None:
            self._on_progress(Progress(cell=cell, step=step, rate_tps=rate_tps))

        left_s = max(self._deadline - time.monotonic(), 0.1)
        to = (load, cell.workload, service.target)
        if Asked.of(cell.workload).client == "thor":
            return run_load(*to, on_progress=tell, server_died=service.died, timeout_s=left_s)
        assert self._client is not None, "found before the server was started"
        return self._client.run_load(
            *to,
            on_progress=tell,
            server_died=service.died,
            timeout_s=left_s,
            count_tokens=service.count_tokens,
        )

    def _launch_of(self, cell: Cell, service: Service, result: LoadResult, tally: Tally) -> Launch:
        death = service.gone()
        memory = service.server.memory() if service.server else {}
        evidence = {**result.evidence, **self._evidence(service, memory)}
        doubts = list(result.doubts)
        if result.held_back and not guesses_ahead(dict(cell.backend.settings)):
            doubts.append(result.held_back)
        told = any("prefix cache" in doubt for doubt in doubts)
        found, counted = tally.compare(result.evidence, may_be_cached=told or Asked.of(cell.workload).prefix_cache)
        doubts += found
        evidence["server"] |= counted
        failure = f"in mid-load, {death}" if death else self._over() or result.failure
        if failure:
            return self._launch(service.build, failure=failure, log_tail=service.log_tail(), evidence=evidence)
        samples = dict(result.samples)
        if service.server:
            samples["load_s"] = (service.server.load_s,)
        peak_bytes = memory.get("peak_bytes")
        if peak_bytes is not None:
            samples["peak_memory_bytes"] = (float(peak_bytes),)
        windows = () if result.window is None else (result.window,)
        return self._launch(service.build, samples=samples, doubts=tuple(doubts), evidence=evidence, windows=windows)

    def _refusal(self, cell: Cell, known: Service | ServiceOrder) -> str | None:
        """Say why a cell's requests do not fit into the context that is known of."""
        asked = Asked.of(cell.workload)
        try:
            input_len, output_len = _longest(cell, asked)
        except ThorError as error:
            return str(error)
        return known.context.refusal(input_len, output_len, asked.max_concurrency)

    def _evidence(self, service: Service, memory: Mapping[str, Any] | None = None) -> dict[str, Any]:
        server: dict[str, Any] = {"base_url": service.served.base_url, "model": service.served.model}
        if service.server:
            server |= {"command": list(service.server.command), "load_s": service.server.load_s, "memory": memory}
        if self._restarts:
            server["restarts"] = list(self._restarts)
        return {"server": {**server, **service.facts}}

    def _fail_the_rest(self, failure: str, log_tail: str | None) -> Iterator[tuple[Cell, Launch]]:
        while self._waiting:
            launch = self._launch(self._order.build, failure=failure, log_tail=log_tail)
            yield self._waiting.popleft(), launch

    def _over(self) -> str | None:
        return self._too_late() if time.monotonic() >= self._deadline else None

    def _too_late(self) -> str:
        return f"the launch did not finish within {self._order.timeout_s:g} s, the `timeout` of its backend"

    def _after_restart(self, sentence: str) -> str:
        return f"{sentence} (after a restart: before, {self._restarts[0]})" if self._restarts else sentence

    def _on_step(self, step: str) -> None:
        self._on_progress(Progress(cell=self._waiting[0], step=step))

    def _begin(self) -> None:
        # In this order: where the process is stopped in between, the launch seems no longer than it was.
        self._started_at = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        self._started = time.monotonic()

    def _launch(
        self,
        build: EngineBuild,
        *,
        samples: Mapping[str, tuple[float, ...]] | None = None,
        doubts: tuple[str, ...] = (),
        failure: str | None = None,
        log_tail: str | None = None,
        evidence: Mapping[str, Any] | None = None,
        windows: tuple[tuple[float, float], ...] = (),
    ) -> Launch:
        """Make the Launch of the time since the last one, so that those of one server do not overlap."""
        launch = Launch(
            started_at=self._started_at,
            duration_s=time.monotonic() - self._started,
            engine=build,
            samples=samples or {},
            windows=windows,
            doubts=doubts,
            failure=failure,
            log_tail=log_tail,
            evidence=evidence or {},
        )
        self._begin()
        return launch


def _longest(cell: Cell, asked: Asked) -> tuple[int, int]:
    """Return the tokens in and out of a workload's longest request."""
    if asked.trace is not None:
        requests = read_trace(_folder(cell) / asked.trace).requests
        longest = max(requests, key=lambda request: request.input_len + request.output_len)
        return longest.input_len, longest.output_len
    return _most(asked.input_len), _most(asked.output_len)


def _most(length: int | tuple[int, int] | None) -> int:
    return length[1] if isinstance(length, tuple) else length or 0


def _folder(cell: Cell) -> Path:
    return Path(cell.matrix_path).parent
