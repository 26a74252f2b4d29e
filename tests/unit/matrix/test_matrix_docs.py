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
from pytest_thor.matrix.serving import LengthRange, Serving, Slo, Sweep
from pytest_thor.matrix.values import Section

TEXT = (Path(__file__).parents[3] / "docs" / "matrix.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
WHOLE = [example for example in EXAMPLES if example.startswith("name:")]
PARTS = [example for example in EXAMPLES if not example.startswith("name:")]
FIRST = WHOLE[0]
SERVED = """\
models:
  qwen3-8b: {gguf: "{quant}.gguf", quants: [Q8_0, Q5_0, Q4_K_M]}
  hf: {hf: hf, quants: [BF16]}
"""
SERVING = "  load: {kind: serving, input_len: 1, output_len: 1, num_prompts: 1, max_concurrency: 1}\n"
BACKENDS = """\
backends:
  llama.cpp: {engine: llama-bench}
  llama-server: {engine: llama-server}
  vllm: {engine: vllm}
"""


def completed(part: str) -> str:
    """Return a whole matrix around one or two of its sections."""
    text = f"name: example\n{part}"
    if "models:" not in part:
        text += SERVED if "engine: vllm" in part or "serving" in part else SERVED.rpartition("  hf:")[0]
    if "backends:" not in part:
        without_hf = "models:" not in part and "hf: {" not in text
        backends = BACKENDS.rpartition("  vllm")[0] if without_hf else BACKENDS
        only_served = "workloads:" in part and "prefill" not in part
        text += backends.replace("  llama.cpp: {engine: llama-bench}\n", "") if only_served else backends
    if "workloads:" not in part:
        text += "workloads:\n  tg128: {kind: decode, n_gen: 128}\n  pp512: {kind: prefill, n_prompt: 512}\n"
        text += SERVING if "llama-server" in text else ""
    if "synthetic:" in part:
        text += "exclude: [{model: qwen3-0.6b-synthetic, backend: vllm}]\n"
    return text


def test_the_first_example_has_the_cells_that_the_page_names(tmp_path: Path, vocabulary: Vocabulary) -> None:
    (tmp_path / "matrix.yaml").write_text(FIRST)
    cells = expand(load(tmp_path / "matrix.yaml", vocabulary))
    named = TEXT.partition("Its four cells")[2].partition(". The order")[0]
    assert [cell.id for cell in cells] == re.findall(r"`([^`]+)`", named)


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.partition(":")[0])
def test_every_example_can_be_used(tmp_path: Path, vocabulary: Vocabulary, part: str) -> None:
    (tmp_path / "matrix.yaml").write_text(completed(part))
    assert expand(load(tmp_path / "matrix.yaml", vocabulary))


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
    [Document, ModelEntry, BackendEntry, Prefill, Decode, Serving, LengthRange, Slo, Sweep, Match, OverrideEntry],
)
def test_every_key_is_explained(section: type[Section]) -> None:
    assert [key for key in section.model_fields if f"`{key}`" not in TEXT and f"{key}:" not in TEXT] == []
