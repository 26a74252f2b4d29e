"""``pytest --thor-matrix``: which tests there are, what they are called, and in which order they run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.plugin.project import TWO_MODELS

QWEN3 = Path(__file__).parents[2] / "matrices" / "qwen3.yaml"


@pytest.fixture
def matrix(pytester: pytest.Pytester) -> Path:
    folder = pytester.mkdir("matrices")
    path = folder / "two.yaml"
    path.write_text(TWO_MODELS, encoding="utf-8")
    return path


def node_ids(result: pytest.RunResult) -> list[str]:
    return [line for line in result.outlines if "::" in line]


def collect(pytester: pytest.Pytester, *args: str) -> list[str]:
    result = pytester.runpytest("--collect-only", "-q", *args)
    assert result.ret == 0
    return node_ids(result)


def test_every_cell_is_a_test_and_those_of_one_engine_start_stand_together(
    pytester: pytest.Pytester, matrix: Path
) -> None:
    ids = collect(pytester, "--thor-matrix", "matrices/two.yaml")

    assert ids == [
        f"matrices/two.yaml::test_{kind}[{model}-{quant}-{backend}-{workload}]"
        for model, quant in [("alpha", "Q4_K_M"), ("alpha", "Q8_0"), ("beta", "Q8_0")]
        for backend in ("llama.cpp", "in-process")
        for kind, workload in [("prefill", "pp64"), ("decode", "tg8")]
    ]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["-k", "Q4_K_M and tg8"], 2),
        (["-m", "thor_cell(quant='Q4_K_M')"], 4),
        (["-m", "thor_cell(backend='in-process') and not thor_cell(kind='prefill')"], 3),
        (["matrices/two.yaml::test_decode"], 6),
        (["matrices/two.yaml::test_decode[beta-Q8_0-llama.cpp-tg8]"], 1),
        (["matrices/two.yaml"], 12),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_pytests_own_selection_selects_cells(
    pytester: pytest.Pytester, matrix: Path, arguments: list[str], expected: int
) -> None:
    assert len(collect(pytester, "--thor-matrix", "matrices/two.yaml", *arguments)) == expected


def test_a_users_own_test_sees_the_same_cells(pytester: pytest.Pytester, matrix: Path) -> None:
    pytester.makepyfile(
        test_mine="""
        import pytest

        def test_each(thor_cell):
            assert thor_cell.quant in {"Q4_K_M", "Q8_0"}

        @pytest.mark.thor_cells(kind="decode", model=["alpha", "gamma"], quant="Q4_*")
        def test_some(thor_cell):
            assert thor_cell.id in {"alpha-Q4_K_M-llama.cpp-tg8", "alpha-Q4_K_M-in-process-tg8"}
        """
    )

    result = pytester.runpytest("--thor-matrix", "matrices/two.yaml", "test_mine.py")

    result.assert_outcomes(passed=14)


def test_without_a_matrix_a_test_that_wants_a_cell_is_skipped(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_each(thor_cell): raise AssertionError")

    result = pytester.runpytest("-rs")

    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*needs a matrix: --thor-matrix PATH*"])


def test_a_misspelt_field_of_thor_cells_is_an_error(pytester: pytest.Pytester, matrix: Path) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.thor_cells(qaunt="Q8_0")
        def test_each(thor_cell): ...
        """
    )

    result = pytester.runpytest(
        "--thor-matrix", "matrices/two.yaml", "test_a_misspelt_field_of_thor_cells_is_an_error.py"
    )

    assert result.ret != 0
    result.stdout.fnmatch_lines(["*thor_cells takes matrix, model, quant, * not qaunt*"])


def test_a_matrix_replaces_the_usual_tests_and_a_matrix_in_the_ini_file_joins_them(
    pytester: pytest.Pytester, matrix: Path
) -> None:
    pytester.makepyfile(test_usual="def test_usual(): ...")

    assert len(collect(pytester, "--thor-matrix", "matrices/two.yaml")) == 12
    pytester.makeini("[pytest]\nthor_matrix = matrices/two.yaml")
    assert len(collect(pytester)) == 13


def test_a_conftest_of_the_usual_tests_is_read_with_them_and_not_with_a_matrix_alone(
    pytester: pytest.Pytester, matrix: Path
) -> None:
    pytester.makeini("[pytest]\ntestpaths = tests\n")
    here = pytester.mkdir("tests")
    (here / "conftest.py").write_text("import a_library_that_only_the_tests_need\n", encoding="utf-8")
    (here / "test_mine.py").write_text("def test_mine(): pass\n", encoding="utf-8")
    asked = ("--thor-matrix", "matrices/two.yaml", "--collect-only", "-q")

    assert pytester.runpytest(*asked).ret == 0
    assert pytester.runpytest(*asked, "tests").ret == pytest.ExitCode.USAGE_ERROR
    assert pytester.runpytest().ret == pytest.ExitCode.USAGE_ERROR


def test_the_conftest_where_pytest_was_started_is_read_with_a_matrix_from_elsewhere(
    pytester: pytest.Pytester, matrix: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = shutil.copy(matrix, tmp_path_factory.mktemp("elsewhere") / "two.yaml")
    pytester.makeconftest("def pytest_report_header():\n    return 'read'\n")

    pytester.runpytest("--thor-matrix", str(elsewhere), "--collect-only").stdout.fnmatch_lines(["read"])


def test_several_matrices_run_together(pytester: pytest.Pytester, matrix: Path) -> None:
    other = matrix.with_name("other.yaml")
    other.write_text(TWO_MODELS.replace("name: two", "name: other"), encoding="utf-8")

    ids = collect(pytester, "--thor-matrix", "matrices/two.yaml", "--thor-matrix", "matrices/other.yaml")

    assert len(ids) == len(set(ids)) == 24


def test_matrices_of_one_name_would_share_baselines_and_are_refused(pytester: pytest.Pytester, matrix: Path) -> None:
    shutil.copy(matrix, matrix.with_name("copy.yaml"))

    result = pytester.runpytest("--thor-matrix", "matrices/two.yaml", "--thor-matrix", "matrices/copy.yaml")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*copy.yaml: its name 'two' is also that of*two.yaml*"])


def test_every_mistake_in_a_matrix_is_told_at_once(pytester: pytest.Pytester, matrix: Path) -> None:
    matrix.write_text(TWO_MODELS.replace("llama-bench", "lama-bench").replace("n_gen", "n_gne"), encoding="utf-8")

    result = pytester.runpytest("--thor-matrix", "matrices/two.yaml")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*two.yaml:10:*llama-bench*", "*two.yaml:14:*n_gen*"])
    assert "Traceback" not in result.stderr.str()


def test_a_matrix_that_is_not_there_is_named(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest("--thor-matrix", "matrices/none.yaml")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*none.yaml*"])


def test_the_order_and_the_ids_are_the_same_under_xdist(pytester: pytest.Pytester, matrix: Path) -> None:
    arguments = ["--thor-matrix", "matrices/two.yaml", "--thor-models", "nowhere", "-v"]

    alone = pytester.runpytest(*arguments, "-n0")
    spread = pytester.runpytest(*arguments, "-n2")

    def ran(result: pytest.RunResult) -> list[str]:
        return [word for line in result.outlines for word in line.split() if "two.yaml::" in word]

    assert list(dict.fromkeys(ran(alone))) == list(dict.fromkeys(ran(spread)))
    assert alone.ret == spread.ret == 9
    alone.assert_outcomes(skipped=12)
    spread.assert_outcomes(skipped=12)


def test_the_listing_for_programs_is_json_and_nothing_else(pytester: pytest.Pytester, matrix: Path) -> None:
    result = pytester.runpytest_subprocess(
        "--thor-matrix", "matrices/two.yaml", "--thor-list=json", "-k", "beta and tg8", "-n2"
    )

    cells = json.loads(result.stdout.str())
    assert result.ret == 0
    assert [cell["id"] for cell in cells] == ["beta-Q8_0-llama.cpp-tg8", "beta-Q8_0-in-process-tg8"]
    assert cells[0]["parameters"]["n_gen"] == 8
    assert cells[0]["artifact"] == {"format": "gguf", "location": "beta/beta-Q8_0.gguf"}


def test_the_listing_for_people_has_a_line_per_cell(pytester: pytest.Pytester, matrix: Path) -> None:
    result = pytester.runpytest_subprocess("--thor-matrix", "matrices/two.yaml", "--thor-list", "-k", "beta")

    assert [line.split()[0] for line in result.outlines] == [
        "beta-Q8_0-llama.cpp-pp64",
        "beta-Q8_0-llama.cpp-tg8",
        "beta-Q8_0-in-process-pp64",
        "beta-Q8_0-in-process-tg8",
    ]


def test_a_listing_that_fails_says_why_on_standard_error(pytester: pytest.Pytester, matrix: Path) -> None:
    result = pytester.runpytest_subprocess(
        "--thor-matrix", "matrices/two.yaml", "--thor-list=json", "matrices/two.yaml::test_nothing"
    )

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert result.stdout.str() == ""
    result.stderr.fnmatch_lines(["*test_nothing*"])


def test_the_published_matrix_is_collected_where_none_of_its_models_are(pytester: pytest.Pytester) -> None:
    shutil.copy(QWEN3, pytester.path)

    ids = collect(pytester, "--thor-matrix", "qwen3.yaml")

    assert "qwen3.yaml::test_decode[qwen3-8b-Q4_K_M-llama.cpp-tg128]" in ids
