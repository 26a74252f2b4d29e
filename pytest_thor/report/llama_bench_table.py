"""The table that ``llama-bench`` prints (``-o md``), so that results can be pasted where people compare them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from pytest_thor.report import gfm
from pytest_thor.report.document import ReportDocument
from pytest_thor.report.llama_bench_rows import METRICS, BenchRow, bench_rows, spread
from pytest_thor.report.naming import naming_of
from pytest_thor.report.ranking import word

_COLUMNS = {
    "model": ("model", -30),
    "size": ("size", 10),
    "params": ("params", 10),
    "backend": ("backend", -10),
    "n_gpu_layers": ("ngl", 3),
    "n_cpu_moe": ("n_cpu_moe", 10),
    "n_threads": ("threads", 7),
    "cpu_mask": ("cpu_mask", -10),
    "cpu_strict": ("cpu_strict", 10),
    "poll": ("poll", 10),
    "n_batch": ("n_batch", 7),
    "n_ubatch": ("n_ubatch", 8),
    "type_k": ("type_k", 6),
    "type_v": ("type_v", 6),
    "main_gpu": ("main_gpu", 10),
    "split_mode": ("sm", 6),
    "no_kv_offload": ("nkvo", 13),
    "flash_attn": ("fa", 3),
    "devices": ("dev", -12),
    "tensor_split": ("ts", -12),
    "tensor_buft_overrides": ("ot", -21),
    "load_mode": ("lm", 10),
    "lazy_mode": ("lazy_mode", -10),
    "embeddings": ("embd", 10),
    "no_op_offload": ("nopo", 4),
    "no_host": ("noh", 4),
    "repack": ("rpk", 3),
    "test": ("test", 15),
    "t/s": ("t/s", 20),
}
"""llama-bench's title and width of every column, in its order; a negative width is that of text, on the left."""
_ALWAYS = {"model", "size", "params", "backend", "test", "t/s"}
_SETTINGS = {
    "threads": "n_threads",
    "batch_size": "n_batch",
    "ubatch_size": "n_ubatch",
    "cache_type_k": "type_k",
    "cache_type_v": "type_v",
    "mmap": "load_mode",
}
"""The settings of a matrix that llama-bench calls something else."""
_CPU_BACKENDS = ("CPU", "BLAS", "ZenDNN")


def llama_bench_table(document: ReportDocument) -> str:
    """Return one table per build and device, as llama-bench lays it out; empty where no such cell was measured.

    ``t/s`` is mean ± sample standard deviation over every repetition of every launch. A setting has a column where the
    matrix sets it or where it differs between cells, as llama-bench shows what is not its default. Cells without a
    believable figure are named below the table.
    """
    rows = [row for row in bench_rows(document) if not row.is_reference]
    naming = naming_of(document.cells)
    by_build: dict[tuple[str, str, str], list[BenchRow]] = {}
    for row in rows:
        build = (str(row.fields["build_commit"] or "unknown"), str(row.fields["build_number"] or 0))
        by_build.setdefault((*build, row.cell.device), []).append(row)
    tables = [
        f"{''.join(_lines(group))}\nbuild: {gfm.text(commit)} ({gfm.text(number)})"
        f"{f' on {gfm.text(device)}' if naming.devices else ''}\n"
        for (commit, number, device), group in by_build.items()
    ]
    measured = {row.cell.place for row in rows}
    missing = [
        f"\nnot measured: {gfm.text(naming.full(cell))} ({word(cell)})\n"
        for cell in document.cells
        if rows and cell.kind in METRICS and cell.place not in measured
    ]
    return "\n".join(tables) + "".join(missing)


def _lines(rows: Sequence[BenchRow]) -> Iterator[str]:
    fields = _columns(rows)
    titles, widths = zip(*(_COLUMNS[field] for field in fields), strict=True)
    yield _line(titles, widths)
    rules = [f"{'-' * (abs(width) - 1)}{':' if width > 0 else '-'}" for width in widths]
    yield _line(rules, widths)
    for _, launches in groupby(rows, key=lambda row: row.cell.place):
        yield _line(_values(list(launches), fields), widths)


def _columns(rows: Sequence[BenchRow]) -> list[str]:
    on_cpu = [any(name in str(row.fields["backends"] or "") for name in _CPU_BACKENDS) for row in rows]
    wanted = {_SETTINGS.get(name, name) for row in rows for name in row.cell.settings}
    wanted |= {name for name in _COLUMNS if len({str(row.fields.get(name)) for row in rows}) > 1}
    wanted = {name for name in wanted if any(row.fields.get(name) is not None for row in rows)} | _ALWAYS
    wanted |= {"n_threads"} if any(on_cpu) else set()
    wanted = wanted - {"n_gpu_layers"} if all(on_cpu) else wanted | {"n_gpu_layers"}
    return [name for name in _COLUMNS if name in wanted]


def _values(launches: Sequence[BenchRow], fields: Sequence[str]) -> list[str]:
    first = launches[0].fields
    mean, deviation = spread([speed for launch in launches for speed in launch.speeds_tps])
    special = {
        "model": str(first["model_type"]),
        "size": _size(first["model_size"]),
        "params": _parameters(first["model_n_params"]),
        "backend": str(first["backends"] or "n/a"),
        "test": _test(first["n_prompt"], first["n_gen"], first["n_depth"]),
        "t/s": f"{mean:.2f} ± {deviation:.2f}",
    }
    values = [special.get(field) or ("n/a" if first.get(field) is None else str(first[field])) for field in fields]
    ours = {"size", "params", "test", "t/s"}
    return [value if field in ours else gfm.text(value) for field, value in zip(fields, values, strict=True)]


def _line(values: Sequence[str], widths: Sequence[int]) -> str:
    padded = (
        value.ljust(-width) if width < 0 else value.rjust(width) for value, width in zip(values, widths, strict=True)
    )
    return f"| {' | '.join(padded)} |\n"


def _test(n_prompt: int, n_gen: int, n_depth: int) -> str:
    name = f"pp{n_prompt}" if n_prompt else f"tg{n_gen}"
    return f"{name} @ d{n_depth}" if n_depth else name


def _size(size_bytes: object) -> str:
    if not isinstance(size_bytes, int):
        return "n/a"
    return f"{size_bytes / 1024**2:.2f} MiB" if size_bytes < 1024**3 else f"{size_bytes / 1024**3:.2f} GiB"


def _parameters(parameters: object) -> str:
    if not isinstance(parameters, int):
        return "n/a"
    return f"{parameters / 1e6:.2f} M" if parameters < 1e9 else f"{parameters / 1e9:.2f} B"
