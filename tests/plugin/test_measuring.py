"""The main job: measure, store a baseline, judge against it, and fail exactly the tests that got slower."""

from __future__ import annotations

import pytest

from tests.plugin.project import FAST, PP64, SLOW_TG16, TG8, TG16, Project


def test_a_first_run_measures_and_has_nothing_to_compare_with(project: Project) -> None:
    result = project.run()

    result.assert_outcomes(passed=3)
    assert result.ret == 0
    assert project.verdicts() == {"pp64": "no-baseline", "tg8": "no-baseline", "tg16": "no-baseline"}
    assert project.cell(PP64)["metrics"]["pp_tps"]["value"] == pytest.approx(999, rel=1e-3)
    assert project.cell(PP64)["metrics"]["pp_tps"]["baseline"] is None
    assert not project.baseline_file(PP64).exists()


def test_a_second_run_on_the_same_engine_is_unchanged(project: Project) -> None:
    result = project.measured()

    result.assert_outcomes(passed=3)
    assert result.ret == 0
    assert project.verdicts() == {"pp64": "unchanged", "tg8": "unchanged", "tg16": "unchanged"}


def test_a_slower_engine_fails_exactly_the_cell_that_got_slower(project: Project) -> None:
    project.measured()

    result = project.run(script=SLOW_TG16)

    result.assert_outcomes(passed=2, failed=1)
    assert result.ret == 1
    assert project.verdicts() == {"pp64": "unchanged", "tg8": "unchanged", "tg16": "regressed"}
    result.stdout.fnmatch_lines([f"*{TG16} regressed. Decode speed fell 22.* %*from 89.91 to 69.93 tok/s*"])
    assert "Traceback" not in result.stdout.str()
    assert "def test_decode" not in result.stdout.str()


def test_a_faster_engine_passes_and_says_so(project: Project) -> None:
    project.measured()

    result = project.run(script={**FAST, "pp_tps": 1500.0})

    result.assert_outcomes(passed=3)
    assert project.verdicts()["pp64"] == "improved"


def test_the_cells_of_one_model_share_one_process_per_launch(project: Project) -> None:
    project.run("--thor-launches", "2")

    starts = {entry["launch"]["evidence"].get("test_time") for entry in project.journal}
    assert starts == {"2026-01-01T00:00:00Z"}
    pids = project.engine.with_name("llama-bench.pids").read_text().split()
    assert len(pids) == 2 + 2  # --help, --version, and two launches for all three cells


def test_changed_settings_are_compared_and_named(project: Project) -> None:
    project.measured()
    project.matrix.write_text(project.matrix.read_text().replace("threads: 2", "threads: 1"))

    result = project.run(script={**FAST, "tg_tps": 50.0})

    assert project.verdicts() == {"pp64": "unchanged", "tg8": "regressed", "tg16": "regressed"}
    result.stdout.fnmatch_lines(["*Since the baseline: *threads: 2 → 1*"])


def test_another_workload_under_the_same_name_is_not_compared(project: Project) -> None:
    project.measured()
    project.matrix.write_text(project.matrix.read_text().replace("n_prompt: 64", "n_prompt: 32"))

    result = project.run()

    assert result.ret == 0
    assert project.verdicts() == {"pp64": "incomparable", "tg8": "unchanged", "tg16": "unchanged"}
    assert project.cell(PP64)["metrics"]["pp_tps"]["baseline"] is None
    assert project.cell(PP64)["differences"] == ["workload.n prompt: 64 → 32"]


def test_the_terminal_shows_a_line_per_cell_and_a_table(project: Project) -> None:
    project.measured()

    result = project.run(script=SLOW_TG16)

    result.stdout.re_match_lines([rf"  {PP64} +999\.\d tok/s +0\.0 %  unchanged"])
    result.stdout.re_match_lines(
        [
            r"=+ pytest-thor: small =+",
            r" +measured +baseline +change +90 % interval",
            r"tiny F16",
            r"  llama\.cpp  tg16 +tg_tps +69\.93 tok/s +89\.91 tok/s +-22\.2 % +-\S+ to -\S+ % +regressed",
            r"3 cells: 1 regressed, 2 unchanged\. Report: thor-report/report\.json",
            r"=+ short test summary info =+",
            rf"REGRESSED matrices/small\.yaml::test_decode\[{TG16}\] - Failed.*",
        ]
    )


def test_quiet_shows_letters_and_verbose_shows_words(project: Project) -> None:
    project.measured()

    quiet = project.run("-q", script=SLOW_TG16)
    verbose = project.run("-v")

    quiet.stdout.re_match_lines([r"\.\.R +\[100%\]"])
    verbose.stdout.fnmatch_lines([f"*test_decode?{TG8}? UNCHANGED*", f"*test_decode?{TG16}? REGRESSED*"])


def test_one_cell_can_be_run_alone_by_its_node_id(project: Project) -> None:
    result = project.run(f"matrices/small.yaml::test_decode[{TG8}]")

    result.assert_outcomes(passed=1)
    assert project.verdicts() == {"tg8": "no-baseline"}


def test_everything_is_the_same_under_xdist(project: Project) -> None:
    project.measured()

    result = project.run("-n2", script=SLOW_TG16)

    result.assert_outcomes(passed=2, failed=1)
    assert result.ret == 1
    assert project.verdicts() == {"pp64": "unchanged", "tg8": "unchanged", "tg16": "regressed"}
    result.stdout.re_match_lines([r"3 cells: 1 regressed, 2 unchanged\. Report: .*report\.json"])


def test_a_run_that_a_failure_stops_has_the_status_of_the_failure(project: Project) -> None:
    project.run("--thor-update-baseline=missing")

    alone = project.run("-x", script=SLOW_TG16)
    spread = project.run("-x", "-n2", script=SLOW_TG16)

    assert alone.ret == spread.ret == 1


def test_matrices_outside_the_root_keep_their_cells_apart(
    project: Project, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    for name in ("one", "two"):
        text = project.matrix.read_text().replace("name: small", f"name: {name}")
        (outside / f"{name}.yaml").write_text(text)
    arguments = [*project.arguments[2:], "--rootdir", str(project.root), "-n2"]
    arguments += ["--thor-matrix", str(outside / "one.yaml"), "--thor-matrix", str(outside / "two.yaml")]

    result = project.pytester.runpytest(*arguments)
    single = project.pytester.runpytest(
        *arguments[:-1], str(outside / "two.yaml"), f"{outside}/two.yaml::test_decode[{TG8}]"
    )

    result.assert_outcomes(passed=6)
    single.assert_outcomes(passed=1)
    assert project.report["cells"][0]["matrix"] == "two"
