"""llama-cpp-python against llama-bench: how far the in-process engine is from the reference, in alternating launches.

Both engines run the same procedure on the Qwen3-0.6B shape (Q4_K_M, random weights), prompt and generation, one
launch after the other with the order turned each time, so that drift of the machine meets both alike. Printed: the
median over launches of each launch's median, and the ratio of the two. Target: within 3 % of each other.

    python benchmarks/in_process.py [--launches 8] [--model FILE.gguf] [--threads N]
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path

from pytest_thor.cell import ArtifactReference, Backend, Cell, Kind, Model, Workload
from pytest_thor.engines import ENGINES
from pytest_thor.engines.base import Engine, Progress

TARGET = 0.03
ENGINE_NAMES = ("llama-bench", "llama-cpp-python")
TESTS: tuple[tuple[str, Kind, str, int, int], ...] = (
    ("pp128", "prefill", "n_prompt", 128, 0),
    ("tg32", "decode", "n_gen", 32, 0),
    ("tg16@256", "decode", "n_gen", 16, 256),
)


def main() -> int:
    """Run the comparison and return 0 where every ratio is within the target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--launches", type=int, default=8, help="launches of each engine (default: 8)")
    parser.add_argument("--repetitions", type=int, default=5, help="repetitions within a launch (default: 5)")
    parser.add_argument("--model", type=Path, help="a GGUF file; default: a synthetic Qwen3-0.6B, Q4_K_M")
    parser.add_argument("--threads", type=int, help="CPU threads (default: the engines' own)")
    options = parser.parse_args()

    artifact = options.model or _synthetic()
    engines = [ENGINES[name]() for name in ENGINE_NAMES]
    for engine in engines:
        build = engine.identify()
        print(f"{build.name} {build.version} (llama.cpp {build.commit}) {build.path}", file=sys.stderr)
    medians: dict[tuple[str, str], list[float]] = {}
    for launch in range(options.launches):
        for engine in engines if launch % 2 == 0 else reversed(engines):
            for test, median in _launch(engine, artifact, options.repetitions, options.threads).items():
                medians.setdefault((engine.traits.name, test), []).append(median)
        print(f"launch {launch + 1} of {options.launches} done", file=sys.stderr)
    return _report(medians, options.launches)


def _synthetic() -> Path:
    from pytest_thor.artifacts.synthetic import make_synthetic  # only where it is needed: it loads numpy

    folder = Path.home() / ".cache" / "pytest-thor" / "synthetic"
    return make_synthetic("qwen3-0.6b", "Q4_K_M", cache=folder)


def _launch(engine: Engine, artifact: Path, repetitions: int, threads: int | None) -> dict[str, float]:
    """Launch an engine over every test; return the median speed of each in tok/s."""
    cells = [_cell(engine, test, repetitions, threads) for test in TESTS]
    medians = {}
    for batch in engine.batches(cells):
        for cell, launch in engine.launch(batch, artifact, _ignore):
            if launch.failure is not None:
                raise SystemExit(f"{cell.id}: {launch.failure}\n{launch.log_tail}")
            (samples,) = launch.samples.values()
            medians[cell.workload.name] = statistics.median(samples)
    return medians


def _cell(engine: Engine, test: tuple[str, Kind, str, int, int], repetitions: int, threads: int | None) -> Cell:
    name, kind, counted, tokens, depth = test
    parameters = {counted: tokens, "n_depth": depth, "repetitions": repetitions}
    return Cell(
        matrix="in-process",
        matrix_path=__file__,
        line=1,
        model=Model(name="qwen3-0.6b", architecture="qwen3-0.6b"),
        quant="Q4_K_M",
        artifact=ArtifactReference(format="synthetic", location="qwen3-0.6b"),
        backend=Backend(
            name=engine.traits.name,
            engine=engine.traits.name,
            settings=() if threads is None else (("threads", threads),),
            timeout_s=600,
        ),
        workload=Workload(name=name, kind=kind, parameters=tuple(sorted(parameters.items()))),
        thresholds=(),
    )


def _ignore(_: Progress) -> None:
    pass


def _report(medians: dict[tuple[str, str], list[float]], launches: int) -> int:
    reference, ours = ENGINE_NAMES
    print(f"\n{'test':>10}  {reference + ' tok/s':>18}  {ours + ' tok/s':>24}  {'ratio':>7}  {'launch ratios':>17}")
    good = True
    for name, *_ in TESTS:
        a, b = medians[reference, name], medians[ours, name]
        ratio = statistics.median(b) / statistics.median(a)
        pairs = sorted(y / x for x, y in zip(a, b, strict=True))
        good = good and abs(ratio - 1) <= TARGET
        print(
            f"{name:>10}  {statistics.median(a):>18.2f}  {statistics.median(b):>24.2f}  {ratio:>7.4f}  "
            f"{pairs[0]:>7.4f} – {pairs[-1]:.4f}"
        )
    print(f"\nmedians over {launches} launches of each; target {TARGET:.0%}: {'met' if good else 'MISSED'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
