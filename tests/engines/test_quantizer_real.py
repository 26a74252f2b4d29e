"""The real llama-quantize mixes the types that the catalogue expects, tensor by tensor (nothing is made)."""

from __future__ import annotations

import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest

from pytest_thor.artifacts.architectures import Architecture
from pytest_thor.artifacts.gguf_model import read_model
from pytest_thor.artifacts.make import make_quant
from pytest_thor.artifacts.quant_mixture import BASE_TYPES, mixture
from pytest_thor.artifacts.quants import expected_size, known_quant
from pytest_thor.artifacts.synthetic_weights import write_weights

pytestmark = pytest.mark.engine

DENSE = Architecture(
    name="dense-deep",
    gguf="qwen3",
    layers=36,
    width=256,
    ffn=512,
    heads=4,
    kv_heads=2,
    head_size=64,
    vocabulary=2048,
    context=4096,
    tied_embeddings=False,
)
GROUPED = Architecture(
    name="grouped-deep",
    gguf="qwen3",
    layers=28,
    width=256,
    ffn=512,
    heads=8,
    kv_heads=1,
    head_size=64,
    vocabulary=2048,
    context=4096,
    tied_embeddings=True,
)
EXPERTS = Architecture(
    name="experts-deep",
    gguf="qwen3moe",
    layers=48,
    width=256,
    heads=8,
    kv_heads=1,
    head_size=32,
    vocabulary=2048,
    context=4096,
    tied_embeddings=False,
    experts=16,
    experts_used=2,
    expert_ffn=256,
)
EIGHT = Architecture(
    name="eight-experts",
    gguf="qwen3moe",
    layers=16,
    width=256,
    heads=8,
    kv_heads=2,
    head_size=32,
    vocabulary=2048,
    context=4096,
    tied_embeddings=False,
    experts=8,
    experts_used=2,
    expert_ffn=256,
)
SHAPES = (DENSE, GROUPED, EXPERTS, EIGHT)
NOT_MADE = {"NVFP4"}  # converted from checkpoints, not quantized
ROW = re.compile(
    r"\]\s+(?P<name>\S+)\s+- \[[^\]]*\], type =\s*(?P<stored>\S+), size =[^(\n]*?(?:MiB \((?P<made>\S+)\))?$",
    re.MULTILINE,
)


def quantizer() -> str:
    binding = find_spec("llama_cpp")
    own = Path(binding.origin).parent.parent / "bin" / "llama-quantize" if binding and binding.origin else None
    found = str(own) if own is not None and own.exists() else shutil.which("llama-quantize")
    assert found is not None, "llama-quantize is not installed"
    return found


@pytest.fixture(scope="module", params=SHAPES, ids=lambda shape: shape.name)
def source(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Architecture, Path]:
    path = tmp_path_factory.mktemp("quantizer") / "source.gguf"
    write_weights(path, request.param, "F16", seed=1, on_progress=lambda _: None)
    return request.param, path


@pytest.mark.parametrize("quant", sorted(set(BASE_TYPES) - NOT_MADE))
def test_llama_quantize_mixes_as_expected(source: tuple[Architecture, Path], quant: str) -> None:
    shape, path = source
    asked = "MXFP4_MOE" if quant == "MXFP4" else quant
    command = [quantizer(), "--dry-run", str(path), str(path.with_name("unmade.gguf")), asked, "1"]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=60, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    said = {
        match["name"]: (match["made"] or match["stored"]).upper() for match in ROW.finditer(done.stdout + done.stderr)
    }
    assert said == {tensor.name: tensor.type for tensor in mixture(shape, quant)}


def test_a_missing_quant_is_made_by_the_real_quantizer(tmp_path: Path) -> None:
    source = tmp_path / "dense-F16.gguf"
    write_weights(source, DENSE, "F16", seed=1, on_progress=lambda _: None)
    for name in ("Q4_K_M", "Q4_K_L"):
        quant = known_quant(name)
        assert quant is not None
        made = make_quant(source, name, cache=tmp_path / "cache")
        model = read_model(made.path)
        assert model.tensor_bytes == expected_size(DENSE, quant).tensor_bytes
        types = {tensor.name: tensor.type for tensor in model.tensors}
        assert types["token_embd.weight"] == ("Q8_0" if quant.wide_tables else "Q4_K")
        assert made.provenance["quantizer_build"]
    assert not list((tmp_path / "cache").rglob("*.unfinished"))
