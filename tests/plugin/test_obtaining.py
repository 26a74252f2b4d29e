"""Models that are missing, and cells that do not fit: skipped with a reason, or obtained where that was asked for."""

from __future__ import annotations

import sys

import pytest

from pytest_thor import fitting
from pytest_thor.artifacts.fit import Memory
from tests.plugin.project import FAST, TG16, Project


def test_a_cell_that_does_not_fit_is_skipped_with_the_sum(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    # 200 MiB, less than llama.cpp takes for any model: a machine that cannot be had for real.
    small = Memory(name="memory", total_bytes=200 << 20)
    monkeypatch.setattr(fitting, "memory_of", lambda *_, **__: small)
    result = project.run(script=FAST)
    result.assert_outcomes(skipped=3)
    assert result.ret == 9
    reason = project.cell(TG16)["reason"]
    assert reason.startswith("does not fit: needs 260.02 MiB")
    assert "KV cache of 16 tokens 16.00 KiB, buffers 256.00 MiB), and 200.00 MiB memory can be had" in reason
    assert not project.cell(TG16)["launches"]


def test_an_importance_matrix_that_is_not_there_is_a_wrong_option(project: Project) -> None:
    result = project.run("--thor-quantize", "--thor-imatrix", "gone.dat", script=FAST)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--thor-imatrix gone.dat: there is no such file*"])


CONVERTER = """
import argparse, shutil
parser = argparse.ArgumentParser()
for name in ("model", "--outfile", "--outtype"):
    parser.add_argument(name)
shutil.copyfile({made!r}, parser.parse_args().outfile)
"""


def test_a_checkpoint_is_converted_where_a_converter_is_named(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THOR_CACHE", str(project.root / "cache"))
    project.model.rename(project.root / "made.gguf")
    checkpoint = project.root / "models" / "tiny" / "tiny"
    checkpoint.mkdir()
    (checkpoint / "config.json").write_text('{"model_type": "qwen3", "torch_dtype": "float16"}')
    header = b'{"w":{"dtype":"F16","shape":[1],"data_offsets":[0,2]}}'
    (checkpoint / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"12")
    script = project.root / "convert_hf_to_gguf.py"
    script.write_text(CONVERTER.format(made=str(project.root / "made.gguf")))
    missing = project.run("--thor-quantize", script=FAST)
    missing.assert_outcomes(skipped=3)
    assert "--thor-quantize with --thor-engine convert_hf_to_gguf=PATH makes it from" in project.cell(TG16)["reason"]
    python = f"convert_hf_to_gguf.python={sys.executable}"
    named = ("--thor-engine", f"convert_hf_to_gguf={script}", "--thor-engine", python)
    assert project.run("--thor-quantize", *named, script=FAST).ret == 0
    artifact = project.cell(TG16)["artifact"]
    assert artifact["provenance"]["converted_from"] == str(checkpoint)
    assert artifact["path"].startswith(str(project.root / "cache" / "converted"))
