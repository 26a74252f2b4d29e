"""One launch of llama-perplexity: the reference's logits where they are wanted, then the figures of the quant."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timezone
from itertools import count
from pathlib import Path
from typing import Any, TypeAlias

from pytest_thor.cell import Cell, Setting
from pytest_thor.engines.base import Progress, ProgressCallback
from pytest_thor.engines.kept_logits import LogitsHead, making, place_of, read_head, use
from pytest_thor.engines.log_tail import LogTail
from pytest_thor.engines.perplexity_output import DIVERGENCE, PERPLEXITY, Mode, PerplexityOutput
from pytest_thor.engines.process import Ending, run
from pytest_thor.engines.reference_model import ReferenceModel
from pytest_thor.errors import MatrixError
from pytest_thor.evaluation_text import LEAST_PREDICTED, read_evaluation_text
from pytest_thor.measurement import EngineBuild, Launch, Samples
from pytest_thor.units import format_bytes

GRACE_S = 5.0
LEAST_ATTEMPTS = 3
PATIENCE_S = 30.0
"""A run that ended well and whose last lines are missing is made again, so often and for so long; see
``perplexity_output``. Of a model that takes longer than a moment to let go of, they hardly ever are."""
SMALLEST_DIVERGENCE = 1e-6
"""The last digit that is printed. Less is recorded as this: the rounding of the kept logits may make it 0 or below."""

Windows: TypeAlias = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What one launch is asked for.

    ``words`` are the arguments for the quant, ``words_of_reference`` those for its reference, and ``shaping`` those of
    them that its logits depend on; they are kept in the folder ``kept``. ``chunks`` is a number or ``all``.
    """

    cell: Cell
    build: EngineBuild
    artifact: Path
    text: Path
    chunks: Setting
    words: tuple[str, ...]
    words_of_reference: tuple[str, ...]
    shaping: tuple[str, ...]
    reference: ReferenceModel | None
    kept: Path | None


class _CannotError(Exception):
    """The cell cannot be measured; the message is the launch's failure."""


@dataclass(slots=True)
class _Running:
    """A launch under way: what was seen of it so far."""

    order: Order
    on_progress: ProgressCallback
    log: LogTail = field(default_factory=LogTail)
    evidence: dict[str, Any] = field(default_factory=dict)
    # In this order: where the process is stopped in between, the launch seems no longer than it was.
    started_at: str = field(default_factory=lambda: datetime.now(timezone.utc).isoformat(timespec="milliseconds"))
    started: float = field(default_factory=time.monotonic)

    @property
    def left_s(self) -> float:
        """Seconds that are left of the backend's timeout."""
        return self.order.cell.backend.timeout_s - (time.monotonic() - self.started)


def measure(order: Order, on_progress: ProgressCallback) -> Iterator[tuple[Cell, Launch]]:
    """Run what it takes and yield the cell once, measured or failed."""
    running = _Running(order, on_progress)
    samples: Samples = {}
    windows: Windows = ()
    failure = None
    try:
        samples, windows = _measured(running)
    except _CannotError as problem:
        failure = str(problem)
    yield (
        order.cell,
        Launch(
            started_at=running.started_at,
            duration_s=time.monotonic() - running.started,
            engine=order.build,
            samples=samples,
            windows=windows,
            failure=failure,
            log_tail=None if failure is None else str(running.log),
            evidence=running.evidence,
        ),
    )


def _measured(running: _Running) -> tuple[Samples, Windows]:
    order = running.order
    _check_text(order)
    if order.reference is None:
        output = _run(running, "perplexity", [*order.words, *_of_text(order)], model=order.artifact)
        running.evidence |= {"chunks": output.chunks, "perplexity_after_chunk": output.perplexities}
        return {"perplexity": (output.perplexities[-1],)}, output.window
    place, head = _logits_of_reference(running, order.reference)
    beside = ["--kl-divergence", "--kl-divergence-base", str(place)]
    output = _run(running, "divergence", [*order.words, *beside], model=order.artifact)
    running.evidence |= {
        "chunks": head.chunks,
        "perplexity_after_chunk": output.perplexities,
        "statistics": {name: value for name, value in output.statistics.items() if math.isfinite(value)},
    }
    perplexity, divergence = output.statistics[PERPLEXITY], output.statistics[DIVERGENCE]
    if not math.isfinite(divergence):
        raise _CannotError(f"the divergence of {order.artifact.name} from the reference is {divergence}, no number")
    return {"perplexity": (perplexity,), "kl_divergence": (max(divergence, SMALLEST_DIVERGENCE),)}, output.window


def _check_text(order: Order) -> None:
    """Refuse a text that is another by now than when the matrix was read: its digest stands in the fingerprint."""
    try:
        found = read_evaluation_text(order.text).sha256
    except MatrixError as error:
        raise _CannotError(f"the text cannot be read: {error.problems[0].path}: {error.problems[0].message}") from error
    if found != order.cell.workload["text_sha256"]:
        raise _CannotError(f"the text {order.text} changed since the matrix was read: run again")


def _of_text(order: Order) -> list[str]:
    chunks = [] if order.chunks == "all" else ["--chunks", str(order.chunks)]
    return ["-f", str(order.text), *chunks, "--ppl-output-type", "1"]


def _check_chunks(order: Order, made: int) -> None:
    """Refuse a text of which this vocabulary makes fewer chunks than were asked for."""
    if order.chunks not in {"all", made}:
        raise _CannotError(
            f"the text {order.text} has {made} chunks of {order.cell.workload['ctx_size']} tokens in this model's "
            f"vocabulary, and {order.chunks} were asked for: give a longer text, or lower chunks or ctx_size"
        )


def _logits_of_reference(running: _Running, reference: ReferenceModel) -> tuple[Path, LogitsHead]:
    """Return where the reference's logits are kept, and their head; they are made where there are none."""
    order = running.order
    assert order.kept is not None  # where there is a reference, there is a folder
    place = place_of(
        order.kept,
        reference,
        order.build,
        text_sha256=str(order.cell.workload["text_sha256"]),
        ctx_size=order.cell.workload.count("ctx_size"),
        chunks=order.chunks,
        words=order.shaping,
    )
    head = read_head(place)
    running.evidence["reference"] = {
        "path": str(reference.path),
        "sha256": reference.sha256,
        "logits": str(place),
        "made_now": head is None,
    }
    if head is None:
        head = _make_logits(running, reference, place)
    else:
        use(place)
    if head.predicted < LEAST_PREDICTED:
        raise _CannotError(
            f"the text {order.text} has {head.chunks} chunks of {head.ctx_size} tokens with {head.predicted} that are "
            f"predicted, and a divergence from the reference needs {LEAST_PREDICTED}: give a longer text"
        )
    return place, head


def _make_logits(running: _Running, reference: ReferenceModel, place: Path) -> LogitsHead:
    if reference.too_large is not None:
        raise _CannotError(f"the reference cannot be run here: {reference.too_large}")
    order = running.order
    try:
        with making(place) as unfinished:
            words = [*order.words_of_reference, *_of_text(order), "--kl-divergence-base", str(unfinished)]
            _run(running, "perplexity", words, model=reference.path, writes=unfinished, reference=reference)
    except OSError as error:
        raise _CannotError(
            f"the reference's logits cannot be kept in {place.parent}: {error.strerror or error}; free some space, or "
            "choose another cache with THOR_CACHE"
        ) from error
    head = read_head(place)
    if head is None:
        free = format_bytes(shutil.disk_usage(place.parent).free)
        raise _CannotError(
            f"llama-perplexity ended well, and the reference's logits that it wrote to {place.parent} are not whole: "
            f"is the disk full ({free} free)? Lower chunks, free some space, or choose another cache with THOR_CACHE"
        )
    return head


def _run(
    running: _Running,
    mode: Mode,
    words: Sequence[str],
    *,
    model: Path,
    writes: Path | None = None,
    reference: ReferenceModel | None = None,
) -> PerplexityOutput:
    """Run the program until all that it should print has come; ``writes`` is a file that tells instead."""
    started = time.monotonic()
    for attempt in count(1):
        output = _attempt(running, mode, words, model=model, reference=reference)
        if attempt > 1:
            running.evidence["attempts"] = attempt
        if output.is_whole or (writes is not None and read_head(writes) is not None):
            return output
        if writes is not None and output.perplexities:
            return output  # it wrote what it could, and not all of it
        if attempt >= LEAST_ATTEMPTS and time.monotonic() - started > PATIENCE_S:
            raise _CannotError(
                f"llama-perplexity ended well {attempt} times and printed no result: "
                f"{running.log.last or 'it said nothing'}"
            )
    raise AssertionError  # count() has no end


def _attempt(
    running: _Running, mode: Mode, words: Sequence[str], *, model: Path, reference: ReferenceModel | None
) -> PerplexityOutput:
    order, output = running.order, PerplexityOutput(mode)
    left_s = running.left_s
    if left_s <= 0:
        raise _CannotError(f"llama-perplexity did not finish within {order.cell.backend.timeout_s:g} s")
    events = run((order.build.path, "-m", str(model), *words), timeout_s=left_s, grace_s=GRACE_S)
    ending = Ending(code=None)
    with closing(events):
        for event in events:
            if isinstance(event, Ending):
                ending = event
                continue
            if event.stream == "stderr":
                running.log.add(event.text[:1000])
            if output.line(event):
                _tell(running, output, reference)
            _check(order, output, model, reference)
    if not ending.ok:
        said = f": {running.log.last[:300]}" if running.log.last and not ending.timed_out else ""
        raise _CannotError(ending.sentence("llama-perplexity", order.cell.backend.timeout_s) + said)
    return output


def _tell(running: _Running, output: PerplexityOutput, reference: ReferenceModel | None) -> None:
    done = len(output.perplexities)
    of = f" of {output.chunks}" if output.chunks else ""
    whose = "reference's logits" if reference else "perplexity"
    running.on_progress(Progress(cell=running.order.cell, step=f"{whose}: {done}{of} chunks"))


def _check(order: Order, output: PerplexityOutput, model: Path, reference: ReferenceModel | None) -> None:
    """Stop at the first sign that nothing good will come of a run."""
    ctx_size = order.cell.workload.count("ctx_size")
    if output.tokens is not None:
        raise _CannotError(
            f"the text {order.text} has {output.tokens} tokens in this model's vocabulary, and ctx_size {ctx_size} "
            f"needs {2 * ctx_size} or more: give a longer text, or lower ctx_size"
        )
    if output.chunks is not None:
        _check_chunks(order, output.chunks)
    if output.vocabularies is not None:
        theirs, own = output.vocabularies
        raise _CannotError(
            f"the reference knows {theirs} tokens and {model.name} {own}: they are not quants of one model; "
            "name another reference"
        )
    if output.no_number is not None:
        chunk, value = output.no_number
        raise _CannotError(
            f"{model.name} gives no numbers: its perplexity is {value} after {chunk} of {output.chunks} chunks. Its "
            "file is damaged, or this build calculates beyond the range of its numbers: try flash_attn: off, "
            "cache_type_k: f16 or fewer n_gpu_layers"
        )
    if output.not_decoded:
        raise _CannotError(f"llama-perplexity could not calculate a chunk of {ctx_size} tokens with {model.name}")
    if reference is not None and output.chunks and not output.perplexities:
        _check_space(order, reference, output.chunks)


def _check_space(order: Order, reference: ReferenceModel, chunks: int) -> None:
    """Refuse to fill a disk with logits; how large they are is known once the text has been made tokens."""
    if reference.vocabulary is None or order.kept is None:
        return
    ctx_size = order.cell.workload.count("ctx_size")
    size = LogitsHead(ctx_size=ctx_size, vocabulary=reference.vocabulary, chunks=chunks).size_bytes
    free = shutil.disk_usage(order.kept).free
    if size > free:
        raise _CannotError(
            f"the logits of {reference.path.name} over {chunks} chunks take {format_bytes(size)}, and "
            f"{format_bytes(free)} are free in {order.kept}: lower chunks, free some space, or choose another cache "
            "with THOR_CACHE"
        )
