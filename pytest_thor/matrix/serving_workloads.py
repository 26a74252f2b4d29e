"""A serving workload of the file becomes the workloads that are measured: one, or one per point of its sweep."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path as FilePath

from pytest_thor.cell import Pairs, Setting, Workload
from pytest_thor.errors import MatrixError
from pytest_thor.matrix.declared import DeclaredWorkload
from pytest_thor.matrix.findings import Findings
from pytest_thor.matrix.names import MAX_NAME
from pytest_thor.matrix.points import point_name
from pytest_thor.matrix.serving import Length, LengthRange, Serving
from pytest_thor.matrix.serving_rules import check_serving
from pytest_thor.matrix.serving_written import ServingWritten
from pytest_thor.matrix.tree import EMPTY, Entries, Path, find, key_position
from pytest_thor.request_trace import RequestTrace, read_trace


def serving_workloads(
    root: Entries, path: Path, entry: Serving, folder: FilePath, findings: Findings
) -> tuple[DeclaredWorkload, ...]:
    """Return the workloads that an entry stands for, one or one per point of its sweep, and note what is wrong.

    A relative trace is looked for in ``folder``.
    """
    node = find(root, path)
    written = ServingWritten(
        root=root,
        path=path,
        entry=entry,
        node=node if isinstance(node, Entries) else EMPTY,
        trace=None,
        findings=findings,
    )
    written = replace(written, trace=_trace(written, folder))
    check_serving(written)
    return tuple(_declared(written))


def _trace(written: ServingWritten, folder: FilePath) -> RequestTrace | None:
    if written.entry.trace is None:
        return None
    try:
        return read_trace(folder / written.entry.trace)
    except MatrixError as error:
        for problem in error.problems:
            written.refuse_value(("trace",), f"trace: {problem}")
        return None


def _declared(written: ServingWritten) -> Iterator[DeclaredWorkload]:
    name = str(written.path[-1])
    position = key_position(written.root, written.path)
    longest = _longest_tokens(written)
    if "sweep" not in written.given:
        workload = Workload(name=name, kind="serving", parameters=_parameters(written))
        yield DeclaredWorkload(workload=workload, position=position, longest_tokens=longest)
        return
    for swept, value, place in {point[1]: point for point in written.points()}.values():
        own = point_name(name, swept, value)
        if len(own) > MAX_NAME:
            written.refuse_value(place, f"the name {own!r} is longer than {MAX_NAME} characters: shorten {name!r}")
        yield DeclaredWorkload(
            workload=Workload(
                name=own,
                kind="serving",
                parameters=_parameters(
                    written, sweep=swept, **{swept: float(value) if swept == "request_rate" else value}
                ),
            ),
            position=position,
            sweep=name,
            longest_tokens=longest,
        )


def _parameters(written: ServingWritten, **of_point: Setting) -> Pairs:
    entry = written.entry
    slo = entry.slo
    parameters: dict[str, Setting] = {
        "input_len": _plain(entry.input_len),
        "output_len": _plain(entry.output_len),
        "num_prompts": written.num_prompts,
        "duration_s": entry.duration,
        "max_concurrency": entry.max_concurrency,
        "request_rate": entry.request_rate,
        "burstiness": entry.burstiness,
        "ramp_up_s": entry.ramp_up,
        "warmup": entry.warmup,
        "prefix_cache": entry.prefix_cache,
        "fresh_prompts": entry.fresh_prompts,
        "api": entry.api,
        "trace": entry.trace,
        "trace_sha256": written.trace.sha256 if written.trace else None,
        "slo_ttft_ms": slo.ttft_ms if slo else None,
        "slo_tpot_ms": slo.tpot_ms if slo else None,
        "slo_e2el_ms": slo.e2el_ms if slo else None,
        "max_failed": entry.max_failed,
        "sweep": None,
    }
    if entry.client != "thor":  # left out otherwise: no baseline of before knows it
        parameters["client"] = entry.client
    return tuple(sorted({**parameters, **of_point}.items()))


def _plain(length: Length | None) -> Setting:
    return (length.min, length.max) if isinstance(length, LengthRange) else length


def _longest_tokens(written: ServingWritten) -> int | None:
    """Return the tokens of the longest request, in and out; None where it is not known."""
    if written.trace:
        sent = written.trace.requests[: written.entry.num_prompts]
        return max(request.input_len + request.output_len for request in sent)
    lengths = (written.entry.input_len, written.entry.output_len)
    most = [length.max if isinstance(length, LengthRange) else length for length in lengths]
    return None if None in most else sum(length for length in most if length is not None)
