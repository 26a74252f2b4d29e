"""The real llama.cpp loads, runs, splits and serves what this package makes, and counts what it counts."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import gguf
import pytest

from pytest_thor.artifacts import quantizer
from pytest_thor.artifacts.architectures import ARCHITECTURES
from pytest_thor.artifacts.gguf_header import read_header
from pytest_thor.artifacts.gguf_model import read_model
from pytest_thor.artifacts.synthetic import make_synthetic
from pytest_thor.errors import ArtifactError

pytestmark = pytest.mark.engine

MODELS = [(name, quant) for name in ("qwen3-tiny", "qwen3moe-tiny") for quant in ("Q4_K_M", "Q8_0")]
MODELS += [("gpt-oss-tiny", "MXFP4"), ("gpt-oss-tiny", "Q8_0")]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("synthetic")


def program(name: str) -> str:
    """Return a program of llama.cpp: the running Python's own, or one on the PATH."""
    binding = find_spec("llama_cpp")
    assert binding is not None
    assert binding.origin is not None
    own = Path(binding.origin).parent.parent / "bin" / name
    path = str(own) if own.exists() else shutil.which(name)
    assert path is not None, f"{name} is not installed"
    return path


def run(name: str, *arguments: str | Path) -> str:
    """Run a program of llama.cpp and return what it printed to its standard output."""
    command = [program(name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.parametrize(("name", "quant"), MODELS)
def test_llama_bench_runs_it_and_counts_as_the_header_reader_does(cache: Path, name: str, quant: str) -> None:
    path = make_synthetic(name, quant, cache=cache)
    lines = run("llama-bench", "-m", path, "-p", "16", "-n", "4", "-r", "2", "-o", "jsonl").splitlines()
    prefill, decode = (json.loads(line) for line in lines if line.startswith("{"))
    header = read_header(path)
    for row in (prefill, decode):
        assert row["model_n_params"] == header.parameters == ARCHITECTURES[name].parameters
        assert row["model_size"] == header.tensor_bytes
        assert all(rate > 0 for rate in row["samples_ts"])
    assert (prefill["n_prompt"], decode["n_gen"]) == (16, 4)


@pytest.mark.parametrize(("name", "quant"), MODELS)
def test_the_header_reader_agrees_with_the_gguf_package(cache: Path, name: str, quant: str) -> None:
    path = make_synthetic(name, quant, cache=cache)
    header, oracle = read_header(path), gguf.GGUFReader(path)
    assert header.quant == quant
    assert [(t.name, t.shape, t.type, t.offset, t.size_bytes) for t in header.tensors] == [
        (t.name, tuple(map(int, t.shape)), t.tensor_type.name, int(t.data_offset), int(t.n_bytes))
        for t in oracle.tensors
    ]


def test_every_k_quant_and_float_can_be_made(cache: Path) -> None:
    for quant in ("Q2_K", "Q3_K_M", "Q4_K_S", "Q5_K_M", "Q6_K", "Q5_0", "IQ4_XS", "BF16"):
        assert read_header(make_synthetic("qwen3-tiny", quant, cache=cache)).quant == quant
    assert read_header(make_synthetic("qwen3moe-tiny", "MXFP4", cache=cache)).quant == "MXFP4"


def test_shards_made_by_llama_gguf_split_count_as_one_model(cache: Path, tmp_path: Path) -> None:
    whole = make_synthetic("qwen3moe-tiny", "Q8_0", cache=cache)
    run("llama-gguf-split", "--split", "--split-max-tensors", "10", whole, tmp_path / "part")
    shards = sorted(tmp_path.glob("part-*.gguf"))
    assert len(shards) == 3
    split, model = read_model(shards[1]), read_model(whole)
    assert split.path == shards[0]
    assert (split.architecture, split.quant, split.expert_count) == (model.architecture, "Q8_0", 8)
    assert (split.parameters, split.tensor_bytes) == (model.parameters, model.tensor_bytes)
    assert [(t.name, t.shape, t.type, t.size_bytes) for t in split.tensors] == [
        (t.name, t.shape, t.type, t.size_bytes) for t in model.tensors
    ]


TOKENIZER = """\
import json, sys
import llama_cpp

model = llama_cpp.Llama(sys.argv[1], vocab_only=True, verbose=False)
told = {}
for name, text, special in json.loads(sys.argv[2]):
    ids = model.tokenize(text.encode(), add_bos=False, special=special)
    told[name] = {"ids": ids, "text": model.detokenize(ids).decode()}
print(json.dumps({"end": model.token_eos(), **told}))
"""


def test_the_vocabulary_turns_ascii_into_tokens_and_back_and_leaves_out_the_rest(cache: Path) -> None:
    path = make_synthetic("qwen3-tiny", "Q8_0", cache=cache)
    text = "Hello, size of the world! 12345\n\tdef f(x): return x"
    asked = [("ascii", text, False), ("beyond", "Größe 世界!", False), ("chat", "<|im_start|>user\n", True)]
    # In a process of its own: the module opens files that it never closes.
    command = [sys.executable, "-c", TOKENIZER, str(path), json.dumps(asked)]
    told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert told["ascii"]["text"] == text
    assert len(told["ascii"]["ids"]) < len(text)
    assert told["beyond"]["text"] == "Gre !"
    start = told["chat"]["ids"][0]
    assert start == read_header(path).metadata["tokenizer.ggml.bos_token_id"] + 1  # type: ignore[operator]
    assert told["end"] == start + 1


def test_without_the_program_the_binding_makes_the_same_file(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = make_synthetic("qwen3-tiny", "Q4_K_M", cache=cache)
    worker = [sys.executable, "-m", "pytest_thor.artifacts.quantize_worker"]
    monkeypatch.setattr(quantizer, "_command", lambda _: worker)
    other = make_synthetic("qwen3-tiny", "Q4_K_M", cache=tmp_path)
    assert other.read_bytes() == usual.read_bytes()
    assert json.loads(other.with_suffix(".json").read_text())["quantizer_build"].startswith("llama-cpp-python ")


def test_a_quant_that_needs_more_than_weights_says_so_in_the_quantizers_words(cache: Path) -> None:
    with pytest.raises(ArtifactError, match=r"(?s)failed with exit status .* imatrix"):
        make_synthetic("qwen3-tiny", "IQ2_XXS", cache=cache)
