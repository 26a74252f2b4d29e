"""The thresholds and limits that the docs state in figures are those of the code."""

from __future__ import annotations

import pytest

from pytest_thor import expectation
from pytest_thor.baseline import history as stored
from pytest_thor.declaration import DEFAULT_LAUNCHES
from pytest_thor.engines import openai_endpoint, server
from pytest_thor.engines.openai_settings import OpenAiSettings
from pytest_thor.host import measured_roof
from pytest_thor.host.limits import TOLERANCE
from pytest_thor.judge import (
    change,
    change_points,
    drift,
    foresight,
    history,
    looks,
    metric,
    multiplicity,
    peers,
    spread,
)
from pytest_thor.judge.conditions import DEFAULT_LIMITS
from pytest_thor.report.saturation import SHARE
from tests.docs.documented import ROOT

MOST_LAUNCHES = int(DEFAULT_LAUNCHES.partition(":")[2])
MIB = 2**20
WORDS = {3: "three", 5: "five", 8: "eight"}
SHARES = {1 / 4: "a quarter", 1 / 3: "1/3", 1 / 12: "1/12"}


def percent(share: float) -> str:
    return f"{100 * share:g} %"


CLAIMS = {
    "docs/get-started.md": [f"launched {WORDS[MOST_LAUNCHES]} times"],
    "docs/faq.md": [f"the most launches ({WORDS[MOST_LAUNCHES]},"],
    "docs/command-line.md": [f"default `{DEFAULT_LAUNCHES}`"],
    "docs/ci.md": [f"`load_s` or {expectation.START_S:g} s"],
    "docs/limits.md": [
        f"beyond its limit by more than {percent(TOLERANCE)}",
        f"{percent(measured_roof.TOLERANCE)} where the limit was measured",
        f"at least {WORDS[peers.FEWEST]} other cells",
        f"below {percent(peers.SPEED_RATIO)} of the speed",
        f"less than {SHARES[peers.EFFICIENCY_RATIO]} of the median efficiency",
    ],
    "docs/serving.md": [
        f"SIGTERM, {server.GRACE_S:g} seconds, SIGKILL",
        f"from {openai_endpoint._FIRST_ORDINARY_ID:,} to {openai_endpoint._COMMON_SIZE - 1:,}",
        f"| `ready_timeout_s` | {OpenAiSettings.model_fields['ready_timeout_s'].default:g} |",
        f"brings less than {percent(SHARE)} of what growth",
    ],
    "docs/baselines.md": [
        f"the newest {stored.KEEP} stay",
        f"It takes {change_points.FEWEST_RUNS} runs, and a level of at least {change_points.SHORTEST_SIDE}",
        f"fewer than {change_points.SIGNIFICANCE * 100:g} in 100 unchanged histories",
        f"at least {drift.FEWEST_CELLS} cells were compared, at least {percent(drift.SHARE_ON_ITS_SIDE)}",
        f"at most {percent(drift.SHARE_OF_STRAYS)} lie elsewhere",
        f"it is at least {percent(drift.SMALLEST_SHIFT)}, and its {percent(drift.SIGNIFICANCE_LEVEL)} interval",
    ],
    "docs/statistics.md": [
        f"d₀ = 4 + 2/v, at most {spread.ALIKE_DF:g}",
        f"At most the last {history.REMEMBERED_RUNS} runs",
        f"| between launches | {SHARES[spread.LAUNCH_SHARE]} | 1 % | 1.7 % | 3.3 % | {spread.LAUNCH_DF:g} |",
        f"| between runs | {SHARES[spread.RUN_SHARE]} | 0.25 % | 0.4 % | 0.8 % | {spread.RUN_DF:g} |",
        f"p ≤ {percent(change.SIGNIFICANCE)}, q ≤ {percent(multiplicity.FALSE_DISCOVERY_RATE)}",
        f"the **{percent(change.SHOWN_LEVEL)}** interval lies within",
        f"each with {looks.DECAY:g} of the level of the one before",
        f"significant at this look with a power of {percent(change.POWER)}",
        f"settle it is below {percent(foresight.FUTILE)}",
        f"not even {foresight.FORESEEN_LAUNCHES} would",
        f"last {WORDS[metric.RECENT_RUNS]} stored since the anchor, once there are {WORDS[metric.FEWEST_RECENT_RUNS]}",
    ],
    "docs/thor-telemetry.md": [
        f"for {percent(DEFAULT_LIMITS.throttled_share)} of it or more",
        f"{DEFAULT_LIMITS.swapped_in_invalid_bytes / MIB:g} MiB or more came back from swap",
        f"invalid; {DEFAULT_LIMITS.swapped_bytes / MIB:g} MiB moved: advice",
        f"other processes used {percent(DEFAULT_LIMITS.other_cpu)} of the CPUs",
        f"({percent(DEFAULT_LIMITS.full_cpu)} of them in use, {percent(DEFAULT_LIMITS.other_cpu)} by it)",
        f"{percent(DEFAULT_LIMITS.steal)} of the CPUs stolen",
        f"less than {DEFAULT_LIMITS.available_bytes / MIB:g} MiB left; {DEFAULT_LIMITS.read_bytes / MIB:g} MiB read",
        f"the sampler above {percent(DEFAULT_LIMITS.sampler_cores)} of a core",
    ],
}


@pytest.mark.parametrize(
    ("page", "claim"), [(page, claim) for page, claims in CLAIMS.items() for claim in claims], ids=str
)
def test_a_stated_figure_is_that_of_the_code(page: str, claim: str) -> None:
    assert claim in " ".join((ROOT / page).read_text(encoding="utf-8").split())
