"""Checkpoints converted by a converter that the user points to: once, whole or not at all, with their provenance.

The stand-in takes the arguments of llama.cpp's convert_hf_to_gguf.py, and prints as it does in llama-cpp-python 0.3.36.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys
from pathlib import Path

import pytest

from pytest_thor.artifacts.architectures import ARCHITECTURES
from pytest_thor.artifacts.convert import checkpoint_of, convert_checkpoint, float_type_of
from pytest_thor.artifacts.gguf_header import read_header
from pytest_thor.artifacts.means import Converter, Means, converter_of
from pytest_thor.artifacts.obtain import obtain
from pytest_thor.artifacts.synthetic_weights import write_weights
from pytest_thor.cell import ArtifactReference
from pytest_thor.errors import ArtifactError, ArtifactInvalid, ArtifactMissing

FAKE = """\
import argparse, json, os, sys
from pathlib import Path
parser = argparse.ArgumentParser()
parser.add_argument("model", type=str, nargs="?")
parser.add_argument("--outfile", type=Path)
parser.add_argument("--outtype", choices=["f32", "f16", "bf16", "q8_0", "tq1_0", "tq2_0", "auto"], default="auto")
args = parser.parse_args()
target = args.outfile
called = {"model": args.model, "outtype": args.outtype, "python": sys.executable, "hub": os.environ["HF_HUB_OFFLINE"]}
with open(LOG, "a") as log:
    log.write(json.dumps(called) + "\\n")
print("INFO:hf-to-gguf:Loading model: " + Path(args.model).name, file=sys.stderr)
content = Path(MADE.format(args.outtype)).read_bytes()
EXTRA
for percent in (0, 50, 100):
    print(f"Writing: {percent:3}%|#####     | 2.10M/4.20M [00:00<00:00, 80.1Mbyte/s]", end="\\r", file=sys.stderr)
target.write_bytes(content)
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the stand-in gives out as its result."""
    folder = tmp_path_factory.mktemp("converted")
    for name in ("BF16", "F16"):
        path = folder / f"{name.lower()}.gguf"
        write_weights(path, ARCHITECTURES["qwen3-tiny"], name, seed=1, on_progress=lambda _: None)
    return folder


def converter(tmp_path: Path, files: Path, extra: str = "") -> Path:
    script = tmp_path / "llama.cpp" / "convert_hf_to_gguf.py"
    script.parent.mkdir(exist_ok=True)
    settings = f"LOG, MADE = {str(tmp_path / 'log')!r}, {str(files / '{}.gguf')!r}\n"
    script.write_text(settings + FAKE.replace("EXTRA", extra))
    return script


def calls(tmp_path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]


def checkpoint(folder: Path, **config: object) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "qwen3", "torch_dtype": "bfloat16", **config}))
    header = json.dumps({"w": {"dtype": "BF16", "shape": [64], "data_offsets": [0, 128]}}).encode()
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(128))
    return folder


def convert(folder: Path, tmp_path: Path, script: Path, float_type: str = "BF16", **more: object) -> Path:
    return convert_checkpoint(
        folder,
        float_type,
        converter=Converter(program=script),
        cache=tmp_path / "cache",
        **more,  # type: ignore[arg-type]
    ).path


def test_a_checkpoint_is_converted_once_and_says_of_what(tmp_path: Path, files: Path) -> None:
    script, folder = converter(tmp_path, files), checkpoint(tmp_path / "My Model {x}")
    told: list[str] = []
    made = convert_checkpoint(
        folder, "BF16", converter=Converter(program=script.parent), cache=tmp_path / "cache", on_progress=told.append
    )
    assert read_header(made.path).quant == "BF16"
    assert json.loads(made.path.with_suffix(".json").read_text()) == made.provenance
    assert (made.provenance["converted_from"], made.provenance["converter"]) == (str(folder), str(script))
    assert len(made.provenance["converted_from_sha256"]) == len(made.provenance["converter_sha256"]) == 64
    assert told[-2:] == ["converting My Model {x} to BF16: 50 %", "converting My Model {x} to BF16: 100 %"]
    assert "{" not in made.path.name, "the converter would replace {ftype} and refuse what else stands in braces"
    assert convert(folder, tmp_path, script) == made.path
    assert calls(tmp_path) == [{"model": str(folder), "outtype": "bf16", "python": sys.executable, "hub": "1"}]


def test_other_content_and_another_type_are_converted_anew(tmp_path: Path, files: Path) -> None:
    script, folder = converter(tmp_path, files), checkpoint(tmp_path / "Tiny")
    first = convert(folder, tmp_path, script)
    assert convert(folder, tmp_path, script, "F16") != first
    weights = folder / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + b"\1")
    os.utime(weights, ns=(1, 1))
    assert convert(folder, tmp_path, script) != first
    weights.write_bytes(content)
    assert convert(folder, tmp_path, script) == first
    moved = tmp_path / "elsewhere" / "Tiny"
    shutil.copytree(folder, moved)
    assert convert(moved, tmp_path, script) == first
    assert len(calls(tmp_path)) == 3


def test_its_own_python_runs_it(tmp_path: Path, files: Path) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\necho ran >> "{tmp_path}/own"\nexec "{sys.executable}" "$@"\n')
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    script, folder = converter(tmp_path, files), checkpoint(tmp_path / "Tiny")
    found = converter_of({"convert_hf_to_gguf": script, "convert_hf_to_gguf.python": python, "vllm": python})
    assert found == Converter(program=script, python=python)
    assert converter_of({"convert_hf_to_gguf.python": python}) is None
    made = convert_checkpoint(folder, "BF16", converter=found, cache=tmp_path / "cache")
    assert made.provenance["converter_python"] == str(python)
    assert (tmp_path / "own").read_text() == "ran\n"


def test_a_program_is_run_as_it_is(tmp_path: Path, files: Path) -> None:
    script, program = converter(tmp_path, files), tmp_path / "convert"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{script}" "$@"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    assert read_header(convert(checkpoint(tmp_path / "Tiny"), tmp_path, program)).quant == "BF16"


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ("target.write_bytes(content[:1000]); sys.exit('No space left on device')", "(?s)status 1 .*No space left"),
        ("content = content[: len(content) - 4096]", "the file ends here"),
        ("target.write_bytes(content[:1000]); os.kill(os.getpid(), 9)", "was ended by signal 9 while converting Tiny"),
        ("content = Path(MADE.format('f16')).read_bytes()", "BF16 was asked for and F16 was made"),
        ("sys.exit(0)", "there is no such file"),
        ("import a_package_that_is_not_there", r"cannot run under .*No module named 'a_package_that_is_not_there'"),
        ("from json import what_is_not_there", r"cannot import name .* --thor-engine convert_hf_to_gguf\.python=PATH"),
    ],
    ids=["full disk, said", "full disk, not said", "killed", "another type", "nothing made", "no package", "too old"],
)
def test_nothing_half_written_is_left_or_used(tmp_path: Path, files: Path, extra: str, expected: str) -> None:
    folder, cache = checkpoint(tmp_path / "Tiny"), tmp_path / "cache"
    with pytest.raises(ArtifactError, match=expected):
        convert(folder, tmp_path, converter(tmp_path, files, extra))
    assert not [path for path in cache.rglob("*") if "unfinished" in path.name or path.suffix in {".gguf", ".json"}]
    assert convert(folder, tmp_path, converter(tmp_path, files)).exists()


def test_a_result_that_changed_since_is_made_again(tmp_path: Path, files: Path) -> None:
    script, folder = converter(tmp_path, files), checkpoint(tmp_path / "Tiny")
    made = convert(folder, tmp_path, script)
    os.truncate(made, made.stat().st_size - 1)
    assert convert(folder, tmp_path, script) == made
    assert len(calls(tmp_path)) == 2


@pytest.mark.parametrize(
    ("of_model", "of_tokenizer", "is_refused"),
    [
        ({}, None, False),
        ({}, {"auto_map": {"AutoTokenizer": ["tokenization_mine.Mine", None]}}, True),
        ({"auto_map": {"AutoTokenizer": "mine.Mine"}}, {"tokenizer_class": "Qwen2Tokenizer"}, True),
        ({"auto_map": {"AutoConfig": "mine.Config"}}, {"tokenizer_class": "Qwen2Tokenizer"}, False),
        ({"auto_map": {"AutoConfig": "mine.Config"}}, {}, True),
        ({"auto_map": ["mine.Config"]}, {"tokenizer_class": "Qwen2Tokenizer"}, True),
    ],
)
def test_a_checkpoint_whose_tokenizer_is_code_is_refused_before_anything_runs(
    tmp_path: Path,
    files: Path,
    of_model: dict[str, object],
    of_tokenizer: dict[str, object] | None,
    is_refused: bool,
) -> None:
    script, folder = converter(tmp_path, files), checkpoint(tmp_path / "model", **of_model)
    if of_tokenizer is not None:
        (folder / "tokenizer_config.json").write_text(json.dumps(of_tokenizer))
    if not is_refused:
        assert convert(folder, tmp_path, script).is_file()
        return
    with pytest.raises(ArtifactInvalid, match=r"brings code of its own for its tokenizer \(auto_map\)"):
        convert(folder, tmp_path, script)
    assert not (tmp_path / "log").exists()


def test_no_room_is_said_before(tmp_path: Path, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(ArtifactError, match=r"needs about .* but 1000 B are free"):
        convert(checkpoint(tmp_path / "Tiny"), tmp_path, converter(tmp_path, files))
    assert not (tmp_path / "log").exists()


def test_a_converter_that_is_not_there_is_named(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "Tiny")
    with pytest.raises(ArtifactError, match=r"gone: there is no such file; --thor-engine convert_hf_to_gguf=PATH"):
        convert(folder, tmp_path, tmp_path / "gone")
    with pytest.raises(ArtifactError, match=r"convert_hf_to_gguf\.py: there is no such file"):
        convert(folder, tmp_path, tmp_path)


def test_weights_that_are_not_there_or_cut_short_are_named(tmp_path: Path, files: Path) -> None:
    folder, script = checkpoint(tmp_path / "Tiny"), converter(tmp_path, files)
    weights = folder / "model.safetensors"
    os.truncate(weights, weights.stat().st_size - 1)
    with pytest.raises(ArtifactInvalid, match="truncated or still being downloaded"):
        convert(folder, tmp_path, script)
    weights.unlink()
    with pytest.raises(ArtifactMissing, match="Tiny: holds no weights to convert"):
        convert(folder, tmp_path, script)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"w": "model-00001.safetensors"}}))
    with pytest.raises(ArtifactMissing, match=r"1 of its 1 weight files are missing: model-00001\.safetensors"):
        convert(folder, tmp_path, script)


@pytest.mark.parametrize(
    ("config", "quant", "expected"),
    [
        ({}, "Q4_K_M", "BF16"),
        ({}, "F16", "F16"),
        ({"torch_dtype": "float16"}, "Q8_0", "F16"),
        ({"torch_dtype": None, "dtype": "float32"}, "Q8_0", "F32"),
        ({"torch_dtype": None}, "Q8_0", "BF16"),
        ({"quantization_config": {"quant_method": "mxfp4"}}, "MXFP4", "MXFP4"),
    ],
)
def test_the_type_is_that_of_the_checkpoint_unless_a_float_was_asked_for(
    tmp_path: Path, config: dict[str, object], quant: str, expected: str
) -> None:
    assert float_type_of(checkpoint(tmp_path / "Tiny", **config), quant) == expected


@pytest.mark.parametrize(
    ("method", "quant", "expected"),
    [
        ("fp8", "Q8_0", "holds FP8 weights; a GGUF file is converted from BF16, F16 or F32"),
        ("mxfp4", "Q4_K_M", "expected the quant MXFP4, found Q4_K_M"),
    ],
)
def test_a_checkpoint_that_is_quantized_is_not_rounded_again(
    tmp_path: Path, method: str, quant: str, expected: str
) -> None:
    folder = checkpoint(tmp_path / "Tiny", quantization_config={"quant_method": method})
    with pytest.raises(ArtifactInvalid, match=expected):
        float_type_of(folder, quant)


def wanted(location: str) -> ArtifactReference:
    return ArtifactReference(format="gguf", location=location)


def test_the_checkpoint_of_a_missing_file_is_named_as_it_is_without_its_quant(tmp_path: Path) -> None:
    location = "Qwen/Qwen3-8B-GGUF/Qwen3-8B-Q4_K_M.gguf"
    assert checkpoint_of(wanted(location), "Q4_K_M", [tmp_path]) is None
    inside = checkpoint(tmp_path / "Qwen" / "Qwen3-8B-GGUF")
    assert checkpoint_of(wanted(location), "Q4_K_M", [tmp_path]) == inside
    beside = checkpoint(tmp_path / "Qwen" / "Qwen3-8B")
    assert checkpoint_of(wanted(location), "Q4_K_M", [tmp_path / "gone", tmp_path]) == beside
    assert checkpoint_of(wanted("Qwen/Qwen3-8B.q4_k_m.gguf"), "Q4_K_M", [tmp_path]) == beside
    assert checkpoint_of(wanted("Qwen/Qwen3-80B-Q4_K_M.gguf"), "Q4_K_M", [tmp_path]) is None
    # A folder without weights is made for an engine that makes them itself; what another file lies in is its own.
    (checkpoint(tmp_path / "Qwen" / "Bare") / "model.safetensors").unlink()
    assert checkpoint_of(wanted("Qwen/Bare-Q4_K_M.gguf"), "Q4_K_M", [tmp_path]) is None
    assert checkpoint_of(wanted("Qwen/Qwen3-8B/Other-Q4_K_M.gguf"), "Q4_K_M", [tmp_path]) is None
    assert checkpoint_of(wanted("Qwen/Qwen3-8B/qwen3-8b-Q4_K_M.gguf"), "Q4_K_M", [tmp_path]) == beside
    assert checkpoint_of(ArtifactReference(format="hf", location="Qwen/Qwen3-8B"), "BF16", [tmp_path]) is None


def quantizer(tmp_path: Path) -> Path:
    """A program that writes the type asked for into the header of what it is given, and quantizes nothing."""
    program = tmp_path / "llama-quantize"
    mark = 'b"general.file_type" + bytes([4, 0, 0, 0])'
    program.write_text(
        f"#!{sys.executable}\nimport sys\nfrom pathlib import Path\nsource, target, number, _ = sys.argv[1:]\n"
        f"mark, content = {mark}, Path(source).read_bytes()\nplace = content.index(mark) + len(mark)\n"
        "Path(target).write_bytes(content[:place] + bytes([int(number)]) + content[place + 1 :])\n"
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


def test_a_missing_file_is_converted_and_quantized_where_both_were_asked_for(tmp_path: Path, files: Path) -> None:
    script, root = converter(tmp_path, files), tmp_path / "models"
    folder = checkpoint(root / "Tiny")
    reference = wanted("Tiny-GGUF/Tiny-BF16.gguf")
    with pytest.raises(ArtifactMissing, match=f"--thor-quantize with --thor-engine convert_hf_to_gguf=PATH .*{folder}"):
        obtain(reference, "BF16", [root], cache=tmp_path, means=Means(quantize=True))
    with pytest.raises(ArtifactMissing, match=f"--thor-quantize makes it from {folder}"):
        obtain(reference, "BF16", [root], cache=tmp_path, means=Means(converter=Converter(program=script)))
    means = Means(quantize=True, converter=Converter(program=script))
    found = obtain(reference, "bf16", [root], cache=tmp_path, means=means)
    assert found.path.is_relative_to(tmp_path / "converted")
    assert found.provenance is not None
    assert found.provenance["converted_from"] == str(folder)
    made = obtain(wanted("Tiny-Q8_0.gguf"), "Q8_0", [root], cache=tmp_path, means=means, quantizer=quantizer(tmp_path))
    assert read_header(made.path).quant == "Q8_0"
    assert made.provenance is not None
    assert made.provenance["made_from"] == str(found.path)
    assert made.provenance["floats"] == found.provenance
    assert len(calls(tmp_path)) == 1, "its floats were there"


def test_a_quant_that_cannot_be_made_is_refused_before_its_floats_are(tmp_path: Path, files: Path) -> None:
    script, root = converter(tmp_path, files), tmp_path / "models"
    checkpoint(root / "Tiny")
    means = Means(quantize=True, converter=Converter(program=script))
    with pytest.raises(ArtifactError, match="not made without an importance matrix"):
        obtain(wanted("Tiny-IQ2_XXS.gguf"), "IQ2_XXS", [root], cache=tmp_path, means=means)
    assert not (tmp_path / "log").exists()
