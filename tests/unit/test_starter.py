"""The starting matrix is one that the loader takes, and that finds the files it was written of."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_thor.artifacts.discover import resolve
from pytest_thor.artifacts.found import FoundModel, ModelKind
from pytest_thor.artifacts.inventory import Inventory, Listed
from pytest_thor.cell import Cell
from pytest_thor.collection import vocabulary
from pytest_thor.errors import ArtifactMissing
from pytest_thor.matrix import expand, load
from pytest_thor.starter import safe, starter_matrix
from pytest_thor.stock import unused, uses_of


def listed(
    root: Path, location: str, quant: str | None = "Q4_K_M", *, kind: ModelKind = "language", shape: str | None = None
) -> Listed:
    path = root / location
    format_ = "gguf" if location.endswith(".gguf") else "hf"
    model = FoundModel(
        path=path,
        format="gguf" if format_ == "gguf" else "hf",
        kind=kind,
        name=None,
        architecture="qwen3",
        shape=shape,
        quant=quant,
        size_bytes=1,
        parameters=None,
        context_length=None,
        files=1,
    )
    return Listed(model=model, root=root, location=location)


def touch(root: Path, *models: Listed) -> None:
    for each in models:
        path = root / each.location
        if each.model.format == "hf":
            path.mkdir(parents=True)
            (path / "config.json").touch()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()


def cells_of(text: str, folder: Path) -> tuple[Cell, ...]:
    path = folder / "starter.yaml"
    path.write_text(text, encoding="utf-8")
    return expand(load(path, vocabulary()))


def test_the_quants_of_a_model_stand_together(tmp_path: Path) -> None:
    models = (
        listed(tmp_path, "Qwen/Qwen3-8B-Q4_K_M.gguf", "Q4_K_M", shape="qwen3-8b"),
        listed(tmp_path, "Qwen/Qwen3-8B-Q8_0.gguf", "Q8_0", shape="qwen3-8b"),
    )
    text = starter_matrix(Inventory(models=models, troubles=()))
    assert '    gguf: "Qwen/Qwen3-8B-{quant}.gguf"\n    quants: [Q4_K_M, Q8_0]\n' in text
    assert "    architecture: qwen3-8b\n" in text
    assert [cell.id for cell in cells_of(text, tmp_path)] == [
        f"Qwen3-8B-{quant}-llama.cpp-{workload}" for quant in ("Q4_K_M", "Q8_0") for workload in ("pp512", "tg128")
    ]


AWKWARD = (
    ('odd {braces} "quotes" back\\slash/Größe 30B.gguf', "Q8_0"),
    ("模型/模型-q4_k_m.gguf", "Q4_K_M"),
    ("a/same-Q8_0.gguf", "Q8_0"),
    ("b/same-Q8_0.gguf", "Q8_0"),
    ("b/SAME.gguf", None),
    ("emoji 🚀.gguf", "F16"),
    ("tab\there\u2028.gguf", "F16"),
    ("big-Q6_K-00001-of-00003.gguf", "Q6_K"),
    ("on.gguf", "Q4_0"),
    ("org/Qwen3-8B", "BF16"),
    ("org/Qwen3-8B-FP8", "FP8"),
)


def test_awkward_names_load_and_lead_back_to_their_files(tmp_path: Path) -> None:
    models = tuple(listed(tmp_path, location, quant) for location, quant in AWKWARD)
    touch(tmp_path, *models)
    inventory = Inventory(models=models, troubles=())
    cells = cells_of(starter_matrix(inventory), tmp_path)
    assert {resolve(cell.artifact, [tmp_path]) for cell in cells} == {each.model.path for each in models}
    uses = uses_of(cells, [tmp_path])
    assert not uses.missing
    assert not uses.contested
    assert not unused(inventory, uses).models


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/"), min_size=1, max_size=40),
            st.sampled_from(["Q4_K_M", "Q8_0", "IQ2_XXS", None]),
        ),
        min_size=1,
        max_size=6,
        unique_by=lambda pair: pair[0],
    )
)
def test_any_names_give_a_matrix_that_the_loader_takes(
    tmp_path_factory: pytest.TempPathFactory, names: list[tuple[str, str | None]]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    models = tuple(listed(folder, f"x{name}.gguf", quant) for name, quant in names)
    cells = cells_of(starter_matrix(Inventory(models=models, troubles=())), folder)
    assert {cell.artifact.location for cell in cells} == {each.location for each in models}


def test_what_is_no_language_model_is_left_out(tmp_path: Path) -> None:
    projector = listed(tmp_path, "mmproj.gguf", "F16", kind="projector")
    nameless = listed(tmp_path, "bad-\udcff.gguf")
    with pytest.raises(ArtifactMissing, match="no language model"):
        starter_matrix(Inventory(models=(projector, nameless), troubles=()))


@given(st.text())
def test_a_name_is_safe(text: str) -> None:
    from pytest_thor.matrix.names import safe_name

    assert safe_name(safe(text)) == safe(text)


def test_two_files_that_claim_one_cell_are_said_and_the_first_is_used(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    models = [listed(root, "m-Q8_0.gguf", "Q8_0") for root in (first, second)]
    for root in (first, second):
        touch(root, listed(root, "m-Q8_0.gguf", "Q8_0"))
    touch(first, listed(first, "m-Q8_0-00001-of-00002.gguf"))
    cells = cells_of(starter_matrix(Inventory(models=tuple(models[:1]), troubles=())), tmp_path)
    uses = uses_of(cells, [first, second])
    assert uses.of(models[0].model.path) == tuple(cell.id for cell in cells)
    assert uses.of(models[1].model.path) == ()
    [sentence] = uses.contested
    assert sentence == (
        f"m-Q8_0.gguf is there more than once: {first}/m-Q8_0.gguf is used, and not "
        f"{first}/m-Q8_0-00001-of-00002.gguf, {second}/m-Q8_0.gguf"
    )


def test_a_cell_whose_model_is_not_there_is_missing(tmp_path: Path) -> None:
    cells = cells_of(starter_matrix(Inventory(models=(listed(tmp_path, "m.gguf"),), troubles=())), tmp_path)
    uses = uses_of(cells, [tmp_path])
    assert set(uses.missing) == {cell.id for cell in cells}
    assert "m.gguf is not below" in uses.missing[cells[0].id]


def test_the_quant_that_another_is_held_against_is_in_use(tmp_path: Path) -> None:
    models = tuple(listed(tmp_path, f"m-{quant}.gguf", quant) for quant in ("F16", "Q8_0"))
    touch(tmp_path, *models)
    (tmp_path / "text.txt").write_text("It was a bright cold day in April. " * 100)
    text = (
        "name: a\nmodels: {m: {gguf: 'm-{quant}.gguf', quants: [F16, Q8_0]}}\n"
        "backends: {p: {engine: llama-perplexity}}\n"
        "workloads: {text: {kind: quality, text: text.txt, ctx_size: 64, reference: F16}}\n"
        "exclude: [{quant: F16, workload: text}]\n"
    )
    cells = cells_of(text, tmp_path)
    uses = uses_of(cells, [tmp_path])
    assert [uses.of(model.model.path) for model in models] == [("m-Q8_0-p-text",), ("m-Q8_0-p-text",)]
    assert not unused(Inventory(models=models, troubles=()), uses).models
