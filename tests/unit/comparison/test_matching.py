"""Which cells stand beside which."""

from __future__ import annotations

from pytest_thor.comparison.matching import By, Matched, match, widest_quant
from pytest_thor.comparison.subject import of_record
from pytest_thor.report.document import CellRecord
from tests.unit.comparison.compared_documents import measured, published
from tests.unit.report.report_documents import failed, skipped


def matched(by: By, **sources: list[CellRecord]) -> Matched:
    subjects = [of_record(record, source=name) for name, records in sources.items() for record in records]
    return match(subjects, by, columns=sources if by == "report" else ())


def rows(found: Matched) -> list[dict[str, str]]:
    return [{column: subject.id for column, subject in row.subjects.items()} for row in found.rows]


def test_reports_are_matched_cell_by_cell_and_the_rest_is_listed() -> None:
    found = matched("report", a=[measured("tg128"), measured("pp512")], b=[measured("tg128"), measured("tg64")])

    assert [set(row) for row in rows(found)] == [{"a", "b"}]
    assert [(each.column, each.subject.workload, each.why) for each in found.left_out] == [
        ("a", "pp512", "has no counterpart"),
        ("b", "tg64", "has no counterpart"),
    ]


def test_what_was_not_measured_is_listed_with_its_reason_even_where_the_other_side_has_it() -> None:
    found = matched("report", a=[measured(), measured("tg64")], b=[failed("tg128"), skipped("tg64")])

    assert not found.rows
    assert [each.why for each in found.left_out[:2]] == [
        "error: tg128 could not be measured: it crashed",
        "skipped: no GGUF file",
    ]


def test_matrices_of_other_names_are_told_apart_only_where_that_is_needed() -> None:
    apart = matched(
        "report",
        a=[measured(matrix="x"), measured(matrix="y", speeds=[50.0])],
        b=[measured(matrix="y"), measured(matrix="x", speeds=[30.0])],
    )
    renamed = matched("report", a=[measured(matrix="old")], b=[measured(matrix="new")])

    assert {tuple(subject.matrix for subject in row.subjects.values()) for row in apart.rows} == {
        ("x", "x"),
        ("y", "y"),
    }
    assert len(renamed.rows) == 1


def test_devices_of_one_report_are_held_against_their_own_else_devices_may_differ() -> None:
    both = [measured(device="thor"), measured(device="orin")]
    own = matched("report", a=both, b=both)
    other = matched("report", a=[measured(device="thor")], b=[measured(device="orin")])

    assert [{subject.device for subject in row.subjects.values()} for row in own.rows] == [{"thor"}, {"orin"}]
    assert [row.title for row in own.rows] == [
        "qwen3-8b-Q4_K_M-llama.cpp-tg128 · thor",
        "qwen3-8b-Q4_K_M-llama.cpp-tg128 · orin",
    ]
    assert len(other.rows) == 1


def test_quants_of_two_reports_stay_with_their_report() -> None:
    quants = [measured(quant="Q4_0"), measured(quant="Q8_0")]
    found = matched("quant", a=quants, b=quants)

    assert [{subject.source for subject in row.subjects.values()} for row in found.rows] == [{"a"}, {"b"}]
    assert [set(row.subjects) for row in found.rows] == [{"Q4_0", "Q8_0"}] * 2


def test_builds_devices_engines_backends_and_models_stand_side_by_side() -> None:
    old, new = measured(version="b7"), measured(version="b8")
    assert matched("build", a=[old], b=[new]).columns == ("llama-bench b7", "llama-bench b8")
    assert len(matched("build", a=[old], b=[new]).rows) == 1
    assert len(matched("device", a=[measured(device="thor"), measured(device="orin")]).rows) == 1
    engines = [measured(), measured(backend="vllm", engine="vllm")]
    assert rows(matched("engine", a=engines)) == [
        {"llama-bench": "qwen3-8b-Q4_K_M-llama.cpp-tg128", "vllm": "qwen3-8b-Q4_K_M-vllm-tg128"}
    ]
    assert len(matched("backend", a=engines).rows) == 1
    assert len(matched("model", a=[measured(), measured(model="llama-3")]).rows) == 1


def test_the_same_cell_twice_in_one_column_is_listed_not_chosen() -> None:
    found = matched("report", a=[measured(), measured(speeds=[1.0])], b=[measured()])

    assert not found.rows
    assert [(each.column, each.why) for each in found.left_out] == [
        ("a", "is there more than once"),
        ("a", "is there more than once"),
        ("b", "has no counterpart"),
    ]


def test_what_is_there_twice_in_one_column_takes_nothing_from_the_others() -> None:
    found = matched("report", a=[measured()], b=[measured(), measured(speeds=[1.0])], c=[measured()])

    assert [set(row) for row in rows(found)] == [{"a", "c"}]
    assert [each.column for each in found.left_out] == ["b", "b"]


def test_a_published_cell_stands_beside_the_same_model_quant_and_workload_whatever_its_names() -> None:
    found = matched(
        "report", ours=[measured(), measured("tg64", speeds=[40.0])], theirs=[published(parameters={"n_gen": 128})]
    )

    assert rows(found) == [{"ours": "qwen3-8b-Q4_K_M-llama.cpp-tg128", "theirs": "Qwen3 8B-Q4_K_M-llama-bench-tg128"}]
    assert [each.subject.workload for each in found.left_out] == ["tg64"]


def test_a_published_depth_of_none_is_no_depth_and_another_depth_is_another_workload() -> None:
    ours = [measured()]
    assert matched("report", a=ours, b=[published(parameters={"n_gen": 128, "n_depth": 0})]).rows
    assert not matched("report", a=ours, b=[published(parameters={"n_gen": 128, "n_depth": 4096})]).rows


def test_a_published_cell_that_states_nothing_of_its_workload_fits_nothing() -> None:
    assert not matched("report", a=[measured()], b=[published(parameters={})]).rows
    assert not matched("report", a=[measured()], b=[published(parameters={"n_depth": 0})]).rows


def test_of_several_published_cells_that_of_the_same_device_is_meant_else_none() -> None:
    def of(*devices: str) -> Matched:
        return matched("report", a=[measured()], b=[published(device=device, id=device) for device in devices])

    assert rows(of("orin", "jetson-agx-thor"))[0]["b"] == "jetson-agx-thor"
    assert not of("orin", "spark").rows
    assert {each.subject.id for each in of("orin", "spark").left_out} >= {"orin", "spark"}


def test_the_widest_quant_among_those_in_the_most_rows_is_the_reference_that_nobody_has_to_name() -> None:
    bits = {"Q4_K_M": 4.9, "F16": 16.0, "Q8_0": 8.5}
    cells = [
        measured(workload, quant=quant, bits_per_weight=bits[quant])
        for workload in ("tg128", "tg64")
        for quant in bits
        if (quant, workload) != ("F16", "tg64")
    ]

    assert widest_quant(matched("quant", a=cells)) == "Q8_0"
    assert widest_quant(matched("quant", a=cells[:3])) == "F16"
    unknown = [*cells[:3], measured("tg128", quant="UD-Q4_K_XL")]
    assert widest_quant(matched("quant", a=unknown)) is None
    assert widest_quant(matched("quant")) is None


def test_a_published_model_stands_beside_ours_by_its_shape_whatever_either_is_called() -> None:
    theirs = [published(model="Qwen3-8B", parameters={"n_gen": 128})]

    assert len(rows(matched("report", a=[measured(model="eight", architecture="qwen3-8b")], b=theirs))) == 1
    assert rows(matched("report", a=[measured(model="qwen3-8b", architecture="qwen3-4b")], b=theirs)) == []
    assert rows(matched("report", a=[measured(model="eight")], b=theirs)) == []
