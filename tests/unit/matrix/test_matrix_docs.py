"""The examples in docs/matrix.md work, and the mistakes that it shows are told as it says."""

import re
from pathlib import Path

import pytest

from pytest_thor.errors import MatrixError
from pytest_thor.matrix import Vocabulary, expand, load
from pytest_thor.matrix.document import (
    BackendEntry,
    Decode,
    Document,
    Match,
    ModelEntry,
    OverrideEntry,
    Prefill,
)
from pytest_thor.matrix.quality import Quality
from pytest_thor.matrix.serving import LengthRange, Serving, Slo, Sweep
from pytest_thor.matrix.values import Section

TEXT = (Path(__file__).parents[3] / "docs" / "matrix.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
WHOLE = [example for example in EXAMPLES if example.startswith("name:")]
FIRST = WHOLE[0]


def test_the_first_example_has_the_cells_that_the_page_names(tmp_path: Path, vocabulary: Vocabulary) -> None:
    (tmp_path / "matrix.yaml").write_text(FIRST)
    cells = expand(load(tmp_path / "matrix.yaml", vocabulary))
    named = TEXT.partition("Its four cells")[2].partition(". The order")[0]
    assert [cell.id for cell in cells] == re.findall(r"`([^`]+)`", named)


def test_the_mistakes_are_told_as_the_page_says(
    tmp_path: Path, vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("matrix.yaml").write_text(WHOLE[1])
    with pytest.raises(MatrixError) as caught:
        load(Path("matrix.yaml"), vocabulary)
    assert f"```text\n{caught.value}\n```" in TEXT


@pytest.mark.parametrize(
    "section",
    [
        Document,
        ModelEntry,
        BackendEntry,
        Prefill,
        Decode,
        Serving,
        Quality,
        LengthRange,
        Slo,
        Sweep,
        Match,
        OverrideEntry,
    ],
)
def test_every_key_is_explained(section: type[Section]) -> None:
    assert [key for key in section.model_fields if f"`{key}`" not in TEXT and f"{key}:" not in TEXT] == []
