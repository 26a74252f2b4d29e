"""Every cell goes to exactly one job, whose expression selects it and nothing else, and no shell makes more of it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path

import pytest
from _pytest.mark.expression import Expression
from hypothesis import given
from hypothesis import strategies as st

from pytest_thor.cell import Cell
from pytest_thor.sharding import Job, deal, github_matrix
from tests.cells import build_cell

NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,6}", fullmatch=True)
LAUNCHES = (1, 6)


def cell(matrix: str, model: str, quant: str, backend: str, workload: str) -> Cell:
    return build_cell(
        "decode",
        {"n_depth": 0, "n_gen": 100, "repetitions": 3},
        workload=workload,
        model=model,
        quant=quant,
        backend=backend,
        matrix=matrix,
        path=f"/{matrix}.yaml",
    )


def names(most: int) -> st.SearchStrategy[list[str]]:
    return st.lists(NAMES, min_size=1, max_size=most, unique=True)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[Cell], list[Cell]]:
    """Return all cells of some matrices, and those that were selected."""
    parts = [draw(names(most)) for most in (2, 3, 2, 2, 2)]
    everything = [cell(*words) for words in product(*parts)]
    return everything, [one for one in everything if draw(st.booleans())]


def roots(cells: Sequence[Cell]) -> Mapping[str, Path]:
    return {one.matrix_path: Path("/nowhere") for one in cells}


def matcher(fields: Mapping[str, str]) -> Callable[..., bool]:
    def matches(name: str, /, **words: object) -> bool:
        return name == "thor_cell" and all(fields[key] == value for key, value in words.items())

    return matches


def selected(expression: str, cells: Sequence[Cell]) -> set[Cell]:
    compiled = Expression.compile(expression)
    return {one for one in cells if compiled.evaluate(matcher(one.fields))}


@given(worlds(), st.none() | st.integers(1, 9))
def test_every_cell_is_in_one_job_and_each_job_selects_its_own(
    world: tuple[list[Cell], list[Cell]], shards: int | None
) -> None:
    everything, chosen = world
    jobs = deal(chosen, roots(everything), launches=LAUNCHES, shards=shards)
    include = json.loads(github_matrix(jobs, everything))["include"]

    assert sorted(one.id + one.matrix for job in jobs for one in job.cells) == sorted(
        one.id + one.matrix for one in chosen
    )
    assert len({entry["name"] for entry in include}) == len(include)
    for job, entry in zip(jobs, include, strict=True):
        assert selected(entry["argv"][1], everything) == set(job.cells)
        assert entry["argv"][0] == "-m"
        assert entry["args"].split() == entry["argv"]
        assert entry["cells"] == len(job.cells)
        assert entry["expected_s"] is None


@given(worlds(), st.integers(1, 9))
def test_what_shares_an_engine_start_stays_together_and_no_job_is_empty(
    world: tuple[list[Cell], list[Cell]], shards: int
) -> None:
    everything, chosen = world
    jobs = deal(chosen, roots(everything), launches=LAUNCHES, shards=shards)
    starts = [{one.group for one in job.cells} for job in jobs]

    assert len(jobs) == min(shards, len({one.group for one in chosen}))
    assert sum(len(own) for own in starts) == len({one.group for one in chosen})
    assert all(job.cells for job in jobs)


def test_an_unquoted_variable_of_a_shell_is_the_arguments(tmp_path: Path) -> None:
    (tmp_path / "thor_cell(quant='Q4_K_M')").touch()  # what a careless pattern would find
    everything = [cell("m", "a-1.5@x+y", quant, "b", "w") for quant in ("Q4_K_M", "Q8_0")]
    jobs = deal(everything[:1], roots(everything), launches=LAUNCHES, shards=None)
    [entry] = json.loads(github_matrix(jobs, everything))["include"]

    said = subprocess.run(
        ["bash", "-euc", "printf '%s\\0' $ARGS"],
        env={"ARGS": entry["args"]},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert said.split("\0")[:-1] == entry["argv"]


def test_the_longest_engine_starts_are_dealt_out_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    everything = [cell("m", name, "q", "b", "w") for name in "abcde"]
    store(tmp_path, {"a": 10.0, "b": 50.0, "c": 20.0, "d": 20.0})

    jobs = deal(everything, {"/m.yaml": tmp_path}, launches=LAUNCHES, shards=2)

    # Work for 400 tokens: a 40 s, b 8 s, c and d 20 s; 15 s to start. Nothing is stored of e: the median, six times.
    assert [[one.model.name for one in job.cells] for job in jobs] == [["e"], ["a", "b", "c", "d"]]
    assert [job.expected_s for job in jobs] == [6 * (20 + 15), 40 + 8 + 20 + 20 + 4 * 15]


@given(st.lists(st.floats(0.5, 500.0), min_size=1, max_size=9), st.integers(1, 6), st.integers(0, 3))
def test_no_job_is_longer_than_an_equal_share_and_the_longest_engine_start(
    tmp_path_factory: pytest.TempPathFactory, speeds: list[float], shards: int, unknown: int
) -> None:
    root = tmp_path_factory.mktemp("store")
    everything = [cell("m", f"known-{number}", "q", "b", "w") for number in range(len(speeds))]
    store(root, {one.model.name: speed for one, speed in zip(everything, speeds, strict=True)})
    everything += [cell("m", f"new-{number}", "q", "b", "w") for number in range(unknown)]

    def lengths(jobs: int) -> list[float]:
        dealt = deal(everything, {"/m.yaml": root}, launches=LAUNCHES, shards=jobs)
        return [job.expected_s for job in dealt if job.expected_s is not None]

    alone, dealt = lengths(len(everything)), lengths(shards)
    assert len(alone) == len(everything)
    assert len(dealt) == min(shards, len(everything))
    assert sum(dealt) == pytest.approx(sum(alone))
    assert max(dealt) <= sum(alone) / len(dealt) + max(alone) * (1 - 1 / len(dealt)) + 1e-6


def test_by_model_each_job_bears_the_models_name(tmp_path: Path) -> None:
    one = [cell("m", model, quant, "b", "w") for model in ("a", "b") for quant in ("q", "r")]
    two = [*one, cell("n", "a", "q", "b", "w")]

    assert shown(deal(one, roots(one), launches=LAUNCHES, shards=None)) == [("a", 2), ("b", 2)]
    assert shown(deal(two, roots(two), launches=LAUNCHES, shards=None)) == [("m~a", 2), ("m~b", 2), ("n~a", 1)]
    assert deal([], {}, launches=LAUNCHES, shards=None) == deal([], {}, launches=LAUNCHES, shards=3) == []
    assert github_matrix([], one) == '{"include": []}'


def test_more_models_than_a_matrix_may_have_jobs_are_dealt_out_evenly() -> None:
    many = [cell("m", f"model-{number}", "q", "b", "w") for number in range(300)]
    jobs = deal(many, roots(many), launches=LAUNCHES, shards=None)
    assert len(jobs) == 256
    assert {len(job.cells) for job in jobs} == {1, 2}


def shown(jobs: Sequence[Job]) -> list[tuple[str, int]]:
    return [(job.name, len(job.cells)) for job in jobs]


def store(root: Path, speeds: Mapping[str, float]) -> None:
    from pytest_thor.baseline.history import StoredRun, append

    for name, speed in speeds.items():
        run = StoredRun(
            finished_at="2026-01-01T00:00:00+00:00",
            verdict="unchanged",
            version=None,
            commit=None,
            conditions="x",
            values=({"tg_tps": speed},),
        )
        append(root, "thor", cell("m", name, "q", "b", "w"), run)
