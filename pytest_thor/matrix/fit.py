"""Cells whose engine takes the model and measures the workload, and which cannot be measured even so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pytest_thor.cell import Backend, Cell, Setting
from pytest_thor.matrix.declared import DeclaredBackend, DeclaredWorkload, Matrix
from pytest_thor.matrix.findings import Findings

HF_SYNTHETIC_QUANT = "BF16"
"""The only quant of a synthetic checkpoint: the type in which an engine makes its dummy weights."""

_CONTEXT_STEP = 256
_UNIFIED = frozenset({"-kvu", "--kv-unified", "--kv-unified-per-slot"})


def report_misfits(cells: Iterable[Cell], matrix: Matrix, findings: Findings) -> None:
    """Note requests that are longer than a backend's context, and synthetic quants that cannot be made."""
    backends = {id(declared.backend): declared for declared in matrix.backends}
    workloads = {id(declared.workload): declared for declared in matrix.workloads}
    seen = set()
    for cell in cells:
        backend = backends[id(cell.backend)]
        pair = (id(cell.backend), id(cell.workload))
        if pair not in seen:
            seen.add(pair)
            _check_context(backend, workloads[id(cell.workload)], findings)
        if cell.artifact.format == "synthetic" and backend.synthetic == "hf" and cell.quant != HF_SYNTHETIC_QUANT:
            _refuse_quant(cell, matrix, findings)


def _check_context(backend: DeclaredBackend, workload: DeclaredWorkload, findings: Findings) -> None:
    context = _context(backend.backend)
    if context is None or workload.longest_tokens is None or workload.longest_tokens <= context[0]:
        return
    tokens, setting, advice = context
    findings.add(
        workload.position,
        f"the longest request of {workload.sweep or workload.workload.name!r} has {workload.longest_tokens} tokens in "
        f"and out, and the backend {backend.backend.name!r} (line {backend.position.line}) has room for {tokens} "
        f"({setting}): {advice.format(tokens=workload.longest_tokens)}, shorten the requests, or exclude the pair",
    )


def _context(backend: Backend) -> tuple[int, str, str] | None:
    """Return the tokens that one request may have by a backend's settings, which ones say so, and what to raise."""
    settings = dict(backend.settings)
    longest = _whole(settings, "max_model_len")
    if longest:
        return longest, f"max_model_len {longest}", "raise max_model_len to {tokens}"
    over_all, slots = _whole(settings, "ctx_size"), _whole(settings, "parallel") or 1
    if not over_all:  # 0 is the model's own, which only its files tell
        return None
    if slots == 1 or _is_unified(settings):
        return _rounded(over_all), f"ctx_size {over_all}", "raise ctx_size to {tokens}"
    said = f"ctx_size {over_all} over {slots} slots"
    return _rounded(-(-over_all // slots)), said, f"raise ctx_size to {slots} × {{tokens}}, lower parallel"


def _rounded(tokens: int) -> int:
    """Return the context that llama.cpp really makes: a multiple of its step."""
    return -(-tokens // _CONTEXT_STEP) * _CONTEXT_STEP


def _is_unified(settings: Mapping[str, Setting]) -> bool:
    """Tell whether the slots of llama-server share one context instead of dividing it."""
    extra = settings.get("extra_args")
    return isinstance(extra, tuple) and not _UNIFIED.isdisjoint(extra)


def _whole(settings: Mapping[str, Setting], name: str) -> int | None:
    value = settings.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _refuse_quant(cell: Cell, matrix: Matrix, findings: Findings) -> None:
    model = next(declared for declared in matrix.models if declared.model is cell.model)
    position = next(quant.position for quant in model.quants if quant.name == cell.quant)
    findings.add(
        position,
        f"the backend {cell.backend.name!r} ({cell.backend.engine}) takes a synthetic model as a checkpoint with dummy "
        f"weights, and those are {HF_SYNTHETIC_QUANT}: exclude {cell.quant} from it, or give it a model of its own "
        f"with quants: [{HF_SYNTHETIC_QUANT}]",
    )
