"""The machine beside a launch: sampled while it runs, summed up over what was timed, asked what speaks against it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeAlias

from pytest_thor.cell import Cell
from pytest_thor.cores import cores
from pytest_thor.host.nvml import Library, close_library, open_library
from pytest_thor.host.part import Part
from pytest_thor.host.telemetry import Sampler, local_sources
from pytest_thor.judge.conditions import Condition, conditions, gathered, served
from pytest_thor.measurement import Launch
from pytest_thor.units import counted

Watched: TypeAlias = Callable[[Cell, Launch], Launch]
"""Gives a launch its telemetry, and the energy per token where that is known."""


class Beside:
    """Watches the machine of one session; NVML is opened with the first launch and closed with ``close``.

    ``cpus`` is how many the session may use, ``part`` the part of the machine that it measures on.
    """

    def __init__(self, *, cpus: int, part: Part | None = None) -> None:
        self._cpus = cpus
        self._part = part
        self._library: Library | None = None
        self._looked = False
        self._settings: Mapping[str, str | None] | None = None

    @contextmanager
    def watching(self) -> Iterator[Watched]:
        """Sample the machine until the end of the block."""
        if not self._looked:
            self._library, self._looked = open_library(), True
        sources = local_sources(library=self._library, part=self._part)
        with Sampler(sources, library=self._library, part=self._part) as sampler:
            yield lambda cell, launch: self._watched(sampler, cell, launch)

    def conditions(self, launches: Sequence[Launch]) -> tuple[Condition, ...]:
        """Return what speaks against a cell's launches, each once, the invalid first."""
        return gathered(
            [
                (
                    *conditions(launch.telemetry, cpus=self._cpus, settings=self._settings),
                    *served(launch.evidence),
                )
                for launch in launches
                if launch.telemetry is not None
            ]
        )

    def close(self) -> None:
        """Let go of NVML."""
        if self._library is not None:
            close_library(self._library)
            self._library = None

    def _watched(self, sampler: Sampler, cell: Cell, launch: Launch) -> Launch:
        if not launch.windows:
            return launch
        telemetry = sampler.over(launch.windows)
        self._settings = self._settings if self._settings is not None else telemetry.settings
        energy = telemetry.energy_j_per_token(tokens_timed(cell, launch))
        samples = launch.samples if energy is None else {**launch.samples, "energy_j_per_token": (energy,)}
        return replace(launch, samples=samples, telemetry=telemetry.to_json())


def crowding(cell: Cell) -> str | None:
    """Return what to say of a cell that asks for more threads than there are cores for it, None of any other."""
    threads = dict(cell.backend.settings).get("threads")
    usable = cores()
    if not isinstance(threads, int) or threads <= usable:
        return None
    return (
        f"the backend asks for {threads} threads, and {counted(usable, 'core')} may be used: they wait for one another"
    )


def tokens_timed(cell: Cell, launch: Launch) -> int:
    """Return the tokens of a launch's timed part: prompt tokens, generated ones, or those that a server answered."""
    if cell.kind == "prefill":
        return cell.workload.count("n_prompt") * len(launch.samples.get("pp_tps", ()))
    if cell.kind == "decode":
        return cell.workload.count("n_gen") * len(launch.samples.get("tg_tps", ()))
    output = launch.evidence.get("tokens", {}).get("output")
    return output if isinstance(output, int) else 0
