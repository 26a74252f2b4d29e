"""``--thor-inconclusive``, ``--thor-invalid`` and ``--thor-strict``: what follows from a verdict."""

from __future__ import annotations

import pytest

from tests.plugin.project import FAST, PP64, Project

SHAKY = {"pp_tps": 960.0, "tg_tps": FAST["tg_tps"]}
IMPOSSIBLE = {**FAST, "edits": [{"samples_ns": [1, 1, 1], "samples_ts": [6.4e10] * 3}]}


@pytest.mark.parametrize(
    ("policy", "status", "outcome"), [("pass", 0, "passed"), ("warn", 0, "warned"), ("fail", 1, "failed")]
)
def test_too_noisy_to_tell_is_never_a_pass_in_disguise(
    project: Project, policy: str, status: int, outcome: str
) -> None:
    project.run("--thor-update-baseline=missing")

    result = project.run(f"--thor-inconclusive={policy}", script=SHAKY)

    assert result.ret == status
    assert project.verdicts()["pp64"] == "inconclusive"
    assert project.cell(PP64)["outcome"] == outcome
    result.stdout.fnmatch_lines([f"*{PP64}*inconclusive*"])


@pytest.mark.parametrize(("policy", "status", "outcome"), [("warn", 0, "warned"), ("fail", 1, "failed")])
def test_a_figure_that_cannot_be_true_is_invalid(project: Project, policy: str, status: int, outcome: str) -> None:
    result = project.run(f"--thor-invalid={policy}", "--thor-launches=2", script=IMPOSSIBLE)

    assert result.ret == status
    assert project.cell(PP64)["verdict"] == "invalid"
    assert project.cell(PP64)["outcome"] == outcome


def test_strict_fails_where_there_is_no_baseline(project: Project) -> None:
    result = project.run("--thor-strict")

    result.assert_outcomes(failed=3)
    assert project.verdicts()["pp64"] == "no-baseline"


def test_strict_fails_where_the_model_or_the_engine_is_missing(project: Project) -> None:
    project.model.unlink()

    lenient = project.run()
    strict = project.run("--thor-strict")

    lenient.assert_outcomes(skipped=3)
    assert lenient.ret == 9
    strict.assert_outcomes(failed=3)
    assert strict.ret == 8


def test_a_policy_in_the_ini_file_holds_until_the_command_line_says_otherwise(project: Project) -> None:
    project.pytester.makeini("[pytest]\nthor_strict = true\nthor_invalid = warn")

    assert project.run().ret == 1
    assert project.run("--thor-invalid=fail", script=IMPOSSIBLE).ret == 1


def test_an_unknown_policy_in_the_ini_file_is_refused(project: Project) -> None:
    project.pytester.makeini("[pytest]\nthor_inconclusive = ignore")

    result = project.run()

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*thor_inconclusive = 'ignore': expected one of pass, warn, fail*"])
