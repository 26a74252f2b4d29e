"""``thor_run`` and ``llama_bench`` in a user's own tests."""

from __future__ import annotations

from tests.plugin.project import SLOW_TG16, Project


def test_thor_run_returns_metrics_and_verdict_and_leaves_the_judgement_to_the_test(project: Project) -> None:
    project.run("--thor-update-baseline=missing")
    project.pytester.makepyfile(
        test_mine="""
        import pytest

        @pytest.mark.thor_cells(kind="decode")
        def test_decode_is_fast_enough(thor_cell, thor_run):
            result = thor_run()
            assert result.verdict in {"unchanged", "regressed"}
            assert result.metrics["tg_tps"].value > 60
            assert thor_run() is result
        """
    )

    result = project.run("test_mine.py", script=SLOW_TG16)

    result.assert_outcomes(passed=2)
    assert result.ret == 0
    assert project.verdicts() == {"tg8": "unchanged", "tg16": "regressed"}


def test_a_users_own_assertion_fails_with_pytests_own_status(project: Project) -> None:
    project.pytester.makepyfile(
        test_mine="""
        def test_all_are_impossibly_fast(thor_run):
            assert all(metric.value > 1e6 for metric in thor_run().metrics.values())
        """
    )

    result = project.run("test_mine.py")

    result.assert_outcomes(failed=3)
    assert result.ret == 1


def test_llama_bench_gives_a_new_launch_each_time_with_its_raw_samples(project: Project) -> None:
    project.pytester.makepyfile(
        test_mine="""
        import pytest

        @pytest.mark.thor_cells(workload="tg8")
        def test_raw(llama_bench):
            first, second = llama_bench(), llama_bench()
            assert len(first.samples["tg_tps"]) == 3
            assert second.started_at > first.started_at
        """
    )

    result = project.run("test_mine.py")

    result.assert_outcomes(passed=1)


def test_llama_bench_fails_the_test_with_the_engines_own_words(project: Project) -> None:
    project.pytester.makepyfile(
        test_mine="""
        import pytest

        @pytest.mark.thor_cells(workload="tg8")
        def test_raw(llama_bench):
            llama_bench()
        """
    )

    result = project.run("test_mine.py", script={"fault": "exit"})

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*exit status 1*"])
