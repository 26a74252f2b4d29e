"""pytest without a matrix: the plugin's hooks are there, and nothing else of it."""

from __future__ import annotations

import pytest


def test_plain_pytest_loads_only_the_hooks_the_options_and_the_fixtures(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_it():
            loaded = {name.partition(".")[2] for name in sys.modules if name.split(".")[0] == "pytest_thor"}
            assert loaded == {"", "plugin", "declaration", "fixtures"}
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


def test_what_the_options_say_is_read_only_where_a_matrix_is(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(): pass")
    pytester.makeini("[pytest]\nthor_launches = several\n")
    pytester.runpytest_subprocess().assert_outcomes(passed=1)
    result = pytester.runpytest_subprocess("--thor-matrix", "none.yaml")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines("*--thor-launches several: expected MIN:MAX*")


def test_the_public_names_are_loaded_when_they_are_asked_for(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest_thor

        def test_it():
            from pytest_thor import Cell, Launch, ThorError, Verdict

            assert {each.__name__ for each in (Cell, Launch, ThorError, Verdict)} == set(pytest_thor.__all__)
            assert not hasattr(pytest_thor, "Nonsense")
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=1)
