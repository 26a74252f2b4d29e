"""``pytest-thor models``: the listing, the catalogue, the fit and the starting matrix."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pytest_thor.artifacts.architectures import ARCHITECTURES
from pytest_thor.artifacts.quants import QUANTS
from pytest_thor.artifacts.synthetic_weights import write_weights
from pytest_thor.collection import vocabulary
from pytest_thor.command import main
from pytest_thor.matrix import expand, load


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two quants' names of a tiny model, one of experts, and something that cannot be used."""
    root = tmp_path_factory.mktemp("models")
    for shape, float_type in (("qwen3-tiny", "F16"), ("qwen3-tiny", "BF16"), ("qwen3moe-tiny", "F16")):
        path = root / "tiny models" / f"{shape}-{float_type}.gguf"
        path.parent.mkdir(exist_ok=True)
        write_weights(path, ARCHITECTURES[shape], float_type, seed=1, on_progress=lambda _: None)
    return root


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["models", *map(str, arguments)])


def test_the_listing_says_what_each_model_is(root: Path) -> None:
    result = run(root)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["model", "kind", "architecture", "quant", "size", "parameters", "context"]
    [row] = [line for line in lines if "qwen3moe-tiny-F16" in line]
    assert "qwen3moe (qwen3moe-tiny)" in row
    assert lines[-1].startswith("3 models, ")


def test_filters_and_json(root: Path) -> None:
    def names(*filters: str) -> list[str]:
        document = json.loads(run(root, "--json", *filters).stdout)
        assert document["schema"] == "pytest-thor/models/1"
        return [Path(each["location"]).stem for each in document["models"]]

    assert names("--quant", "bf*") == ["qwen3-tiny-BF16"]
    assert names("--architecture", "qwen3moe*") == ["qwen3moe-tiny-F16"]
    assert names("--format", "hf") == []
    assert names("--kind", "language") == ["qwen3-tiny-BF16", "qwen3-tiny-F16", "qwen3moe-tiny-F16"]


def test_trouble_is_said_and_sets_the_exit_status(tmp_path: Path) -> None:
    (tmp_path / "page.gguf").write_text("<html>")
    result = run(tmp_path)
    assert result.exit_code == 1
    assert "✗ " in result.stdout
    assert "a web page, perhaps a failed download" in result.stdout


def test_a_matrix_is_written_that_uses_every_model(root: Path, tmp_path: Path) -> None:
    target = tmp_path / "starter.yaml"
    assert run(root, "--write-matrix", target).exit_code == 0
    cells = expand(load(target, vocabulary()))
    assert len(cells) == 6
    document = json.loads(run(root, "--matrix", target, "--json").stdout)
    assert [len(each["cells"]) for each in document["models"]] == [2, 2, 2]
    assert not document["missing"]
    assert json.loads(run(root, "--matrix", target, "--unused", "--json").stdout)["models"] == []
    again = run(root, "--write-matrix", target)
    assert again.exit_code == 2
    assert "is there already" in again.stderr
    assert run(root, "--write-matrix", "-").stdout == target.read_text(encoding="utf-8")


def test_cells_whose_model_is_missing_are_said(root: Path, tmp_path: Path) -> None:
    target = tmp_path / "starter.yaml"
    run(root, "--write-matrix", target)
    result = run(tmp_path, "--matrix", target)
    assert result.exit_code == 1
    assert "is not below" in result.stdout


def test_without_a_folder_the_environment_names_them(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THOR_MODELS", str(root))
    assert run().stdout == run(root).stdout


def test_the_catalogue_has_every_quant_with_its_size() -> None:
    document = json.loads(run("--catalogue", "--shape", "qwen3-8b", "--json").stdout)
    assert [each["name"] for each in document["quants"]] == list(QUANTS)
    by_name = {each["name"]: each for each in document["quants"]}
    assert by_name["Q4_K_M"]["expected_file_bytes"] == pytest.approx(5.03e9, rel=0.01)
    assert by_name["Q4_K_M"]["advice"] in run("--catalogue").stdout.replace("\n", " ")


def test_the_fit_of_a_shape_and_of_what_is_there(root: Path) -> None:
    document = json.loads(run("--fit", "--shape", "qwen3-8b", "--memory", "8", "--json").stdout)
    [answer] = document["models"]
    assert answer["quant"] == "Q5_K_M"
    assert "the largest that leaves 2 GB" in answer["reason"]
    found = run(root, "--fit", "--memory", "16")
    assert found.exit_code == 0
    assert "qwen3-tiny: BF16" in found.stdout or "qwen3-tiny: F16" in found.stdout
    assert "← take this" in found.stdout
    none = json.loads(run("--fit", "--shape", "qwen3-32b", "--memory", "4", "--json").stdout)
    assert none["models"][0]["quant"] is None


def test_no_folder_at_all_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("THOR_MODELS", raising=False)
    if Path("/models").is_dir():
        pytest.skip("this machine has /models")
    result = run()
    assert result.exit_code == 2
    assert "name the folders of your models" in result.stderr
