"""The machine beside a launch: sampled while it runs, asked what speaks against its figures, then brought to rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeAlias

from pytest_thor.cell import Cell
from pytest_thor.cores import cores
from pytest_thor.host.hygiene import Hygiene, Rest, Settled
from pytest_thor.host.nvml import Library, close_library, open_library
from pytest_thor.host.part import Part
from pytest_thor.host.telemetry import Sampler, local_sources
from pytest_thor.judge.conditions import Condition, conditions, gathered, served
from pytest_thor.measurement import Launch
from pytest_thor.units import counted

Watched: TypeAlias = Callable[[Cell, Launch], Launch]
"""Gives a launch its telemetry, and the energy per token where that is known."""


_SETTLING_S = 20.0
"""How long an engine's memory may take to come back before the next launch is made all the same."""
_COOLING_S = 300.0
"""The same of a temperature that was asked for."""


class Beside:
    """Watches the machine of one session; NVML is opened with the first launch and closed with ``close``.

    ``cpus`` is how many the session may use, ``part`` the part of the machine that it measures on.
    Where ``cool_down_c`` is given, no sensor should be warmer before a launch.
    """

    def __init__(self, *, cpus: int, part: Part | None = None, cool_down_c: float | None = None) -> None:
        self._cpus = len(part.cpus) if part and part.cpus else cpus
        self._part = part
        self._cool_down_c = cool_down_c
        self._library: Library | None = None
        self._hygiene: Hygiene | None = None
        self.settled: Settled | None = None
        """How the machine came to rest after the last launch."""
        self._settings: Mapping[str, str | None] | None = None

    @contextmanager
    def watching(self) -> Iterator[Watched]:
        """Sample the machine until the end of the block."""
        self._open()
        sources = local_sources(library=self._library, part=self._part)
        with Sampler(sources, library=self._library, part=self._part) as sampler:
            yield lambda cell, launch: self._watched(sampler, cell, launch)

    @contextmanager
    def at_rest_after(self, *, drop_caches: bool) -> Iterator[None]:
        """Wait at the end of the block, for some time, until what was started in it is gone and its memory is back."""
        hygiene = self._open()
        before = hygiene.look()
        yield
        rest = Rest(
            hottest_c=self._cool_down_c,
            drop_caches=drop_caches,
            deadline_s=_SETTLING_S if self._cool_down_c is None else _COOLING_S,
        )
        self.settled = hygiene.settle(rest, before=before)

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

    def slowing(self, launches: Sequence[Launch]) -> str | None:
        """Return what explains that most of a cell's launches are slower, None where nothing does."""
        told = [self.conditions([launch]) for launch in launches]
        slowed = [condition for of_one in told for condition in of_one if condition.rule == "slowing"]
        if 2 * len(slowed) <= len(launches):
            return None
        return max(slowed, key=lambda condition: condition.amount).sentence

    def close(self) -> None:
        """Let go of NVML."""
        if self._library is not None:
            close_library(self._library)
            self._library = self._hygiene = None

    def _open(self) -> Hygiene:
        if self._hygiene is None:
            self._library = open_library()
            self._hygiene = Hygiene(library=self._library, part=self._part)
        return self._hygiene

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
