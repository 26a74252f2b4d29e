"""What is known of a model beside its name."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_thor.artifacts.architectures import ARCHITECTURES
from pytest_thor.cell import Model
from pytest_thor.report.document import ArtifactRecord
from pytest_thor.weights import Weights, has_so_many, weights_of
from tests.cells import QWEN3

EIGHT = ARCHITECTURES["qwen3-8b"]
UNNAMED = replace(QWEN3, model=Model(name="mine", architecture=None))


def gguf(parameters: int | None, tensor_bytes: int | None = 5_027_784_704) -> ArtifactRecord:
    return ArtifactRecord(path="/nonexistent/x.gguf", format="gguf", parameters=parameters, tensor_bytes=tensor_bytes)


def test_without_files_the_matrix_and_the_catalogue_tell() -> None:
    known = weights_of(QWEN3)

    assert (known.architecture, known.count) == ("qwen3-8b", 8_190_735_360)
    assert known.bits == pytest.approx(4.905, abs=0.001)
    assert weights_of(replace(UNNAMED, quant="Q8_0")) == Weights(architecture=None, count=None, bits=8.5)
    assert weights_of(replace(UNNAMED, quant="UD-Q4_K_XL")) == Weights(architecture=None, count=None, bits=None)


def test_what_the_files_say_counts_first() -> None:
    known = weights_of(QWEN3, gguf(8_000_000_000, 4_000_000_000))

    assert known == Weights(architecture="qwen3-8b", count=8_000_000_000, bits=4.0)


def test_a_shape_that_nobody_names_is_known_by_its_number_of_weights_to_the_last() -> None:
    assert weights_of(UNNAMED, gguf(EIGHT.parameters)).architecture == "qwen3-8b"
    assert weights_of(UNNAMED, gguf(EIGHT.parameters - 1)).architecture is None
    assert weights_of(UNNAMED, gguf(None)).architecture is None


def test_a_directory_is_known_by_its_configuration(tmp_path: Path) -> None:
    config = {
        "model_type": "qwen3",
        "num_hidden_layers": EIGHT.layers,
        "hidden_size": EIGHT.width,
        "num_attention_heads": EIGHT.heads,
        "num_key_value_heads": EIGHT.kv_heads,
        "head_dim": EIGHT.head_size,
        "intermediate_size": EIGHT.ffn,
        "vocab_size": EIGHT.vocabulary,
        "tie_word_embeddings": False,
    }
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    known = weights_of(replace(UNNAMED, quant="FP8"), ArtifactRecord(path=str(tmp_path), format="hf"))

    assert (known.architecture, known.count) == ("qwen3-8b", EIGHT.parameters)
    assert known.bits == pytest.approx(9.22, abs=0.01)


def test_a_tied_table_may_be_held_twice() -> None:
    shape = ARCHITECTURES["qwen3-0.6b"]

    assert has_so_many(shape, 751.63e6, within=0.01)
    assert has_so_many(shape, 596e6, within=0.01)
    assert not has_so_many(shape, 670e6, within=0.01)
    assert not has_so_many(EIGHT, EIGHT.parameters + EIGHT.width * EIGHT.vocabulary, within=0.01)
