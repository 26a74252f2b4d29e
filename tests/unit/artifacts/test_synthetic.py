from __future__ import annotations

import errno
import json
import math
import os
import resource
import shutil
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event
from types import SimpleNamespace

import gguf
import numpy as np
import pytest
from filelock import FileLock

from pytest_thor.artifacts import synthetic, synthetic_weights
from pytest_thor.artifacts.architectures import ARCHITECTURES
from pytest_thor.artifacts.gguf_header import read_header
from pytest_thor.artifacts.synthetic import make_synthetic
from pytest_thor.errors import ArtifactError
from tests.unit.artifacts.conftest import Powerless

MakeQuantizer = Callable[[str], Path]

# Takes llama-quantize's arguments; what it makes is the F16 file with the type asked for written into its header.
MARKS = """
content, mark = open(source, "rb").read(), b"general.file_type" + bytes([4, 0, 0, 0])
assert content.count(mark + bytes([1])) == 1
print("version: 1234 (abcdef)")
for step in range(1, 21): print(f"[{step:4}/  20] blk.0.attn_q.weight - [256, 256]", flush=True)
open(target, "wb").write(content.replace(mark + bytes([1]), mark + bytes([int(number)])))
"""


@pytest.fixture
def quantizer(tmp_path: Path) -> MakeQuantizer:
    """Make a program that stands in for llama-quantize and counts its starts in ``starts``."""

    def make(body: str) -> Path:
        program = tmp_path / "fake-quantize"
        counted = f"open({str(tmp_path / 'starts')!r}, 'a').write('x')"
        start = f"#!{sys.executable}\nimport os, sys, time\n_, source, target, number, threads = sys.argv\n"
        program.write_text(f"{start}{counted}\n{body}")
        program.chmod(0o755)
        return program

    return make


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Path]:
    """A cache in which no test may leave a half-written file."""
    folder = tmp_path / "cache"
    yield folder
    assert list(folder.rglob("*.unfinished")) == []


def test_f16_is_written_in_the_shape_asked_for(cache: Path) -> None:
    header = read_header(make_synthetic("qwen3-tiny", "F16", cache=cache))
    shape = ARCHITECTURES["qwen3-tiny"]
    assert header.quant == "F16"
    assert header.parameters == shape.parameters
    assert tuple((tensor.name, tensor.shape) for tensor in header.tensors) == shape.tensors


def test_a_mixture_is_described_with_its_experts(cache: Path) -> None:
    header = read_header(make_synthetic("qwen3moe-tiny", "F16", cache=cache))
    assert (header.architecture, header.expert_count, header.expert_used_count) == ("qwen3moe", 8, 2)
    assert header.parameters == ARCHITECTURES["qwen3moe-tiny"].parameters


def test_gpt_oss_is_written_in_mxfp4_as_it_is_published(cache: Path) -> None:
    path = make_synthetic("gpt-oss-tiny", "MXFP4", cache=cache, quantizer=Path("/nowhere"))
    header, shape = read_header(path), ARCHITECTURES["gpt-oss-tiny"]
    assert (header.architecture, header.quant, header.parameters) == ("gpt-oss", "MXFP4", shape.parameters)
    types = {tensor.name.removeprefix("blk.0."): tensor.type for tensor in header.tensors}
    assert {types[f"ffn_{part}_exps.weight"] for part in ("gate", "up", "down")} == {"MXFP4"}
    assert {types[name] for name in ("attn_q.weight", "token_embd.weight", "output.weight")} == {"Q8_0"}
    floats = (
        "attn_q.bias",
        "ffn_up_exps.bias",
        "attn_sinks.weight",
        "post_attention_norm.weight",
        "ffn_gate_inp.weight",
    )
    assert {types[name] for name in floats} == {"F32"}
    said = {key.removeprefix("gpt-oss."): value for key, value in header.metadata.items()}
    assert (said["attention.sliding_window"], said["expert_count"], said["expert_used_count"]) == (128, 6, 4)
    assert (said["rope.scaling.type"], said["rope.scaling.factor"]) == ("yarn", 32.0)


def test_blocks_hold_weights_as_small_and_random_as_floats_do(cache: Path) -> None:
    path = make_synthetic("gpt-oss-tiny", "MXFP4", cache=cache)
    for tensor in gguf.GGUFReader(path).tensors:
        if tensor.tensor_type.name in {"MXFP4", "Q8_0"}:
            values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
            assert abs(values.mean()) < 0.002
            assert values.std() == pytest.approx(0.02, rel=0.2), tensor.name
            rows = tensor.data.reshape(-1, tensor.data.shape[-1])
            assert len(np.unique(rows, axis=0)) == len(rows), tensor.name


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_every_known_shape_can_be_written(tmp_path: Path, name: str) -> None:
    shape = replace(ARCHITECTURES[name], layers=2, vocabulary=2048)
    if shape.experts:
        shape = replace(shape, experts=8)
    path = tmp_path / "hollow.gguf"
    synthetic_weights._write_header(path, shape, "BF16")
    os.truncate(path, path.stat().st_size + sum(4 * math.prod(dims) + 32 for _, dims in shape.tensors))
    header = read_header(path)
    assert (header.architecture, header.quant) == (shape.gguf, "BF16")
    assert tuple((tensor.name, tensor.shape) for tensor in header.tensors) == shape.tensors


@pytest.mark.parametrize(("quant", "bytes_of_a_weight"), [("F32", 4), ("BF16", 2), ("F16", 2)])
def test_floats_are_written_without_a_quantizer(cache: Path, quant: str, bytes_of_a_weight: int) -> None:
    header = read_header(make_synthetic("qwen3-tiny", quant, cache=cache, quantizer=Path("/nowhere")))
    assert header.quant == quant
    assert {tensor.type for tensor in header.tensors} == {quant, "F32"}
    table = header.tensors[0]
    assert table.size_bytes == table.elements * bytes_of_a_weight


def test_the_weights_are_random_small_and_never_the_same_row_twice(cache: Path) -> None:
    path = make_synthetic("qwen3-tiny", "F32", cache=cache)
    tensors = {tensor.name: tensor for tensor in read_header(path).tensors}
    table, norm = (
        np.fromfile(path, np.float32, count=tensors[name].elements, offset=tensors[name].offset)
        for name in ("token_embd.weight", "output_norm.weight")
    )
    assert abs(table.mean()) < 0.001
    assert table.std() == pytest.approx(0.02, rel=0.01)
    assert len(np.unique(table.reshape(-1, 256), axis=0)) == 2048
    assert (norm == 1).all()


def test_the_same_bytes_are_written_every_time(cache: Path, tmp_path: Path) -> None:
    first = make_synthetic("qwen3-tiny", "BF16", cache=cache)
    second = make_synthetic("qwen3-tiny", "BF16", cache=tmp_path / "other")
    assert first.name == second.name
    assert first.read_bytes() == second.read_bytes()


def test_a_quant_is_made_once_and_found_again(cache: Path, quantizer: MakeQuantizer, tmp_path: Path) -> None:
    steps: list[str] = []
    program = quantizer(MARKS)
    first = make_synthetic("qwen3-tiny", "Q4_K_M", cache=cache, quantizer=program, on_progress=steps.append)
    assert read_header(first).quant == "Q4_K_M"
    assert steps[0] == "qwen3-tiny F16 (synthetic): writing random weights in F16: 10 %"
    assert steps[-1] == "qwen3-tiny Q4_K_M (synthetic): quantizing to Q4_K_M: 100 %"
    steps.clear()
    again = make_synthetic("qwen3-tiny", "Q4_K_M", cache=cache, quantizer=program, on_progress=steps.append)
    assert (again, steps, (tmp_path / "starts").read_text()) == (first, [], "x")


def test_the_f16_file_serves_every_quant(cache: Path, quantizer: MakeQuantizer) -> None:
    program = quantizer(MARKS)
    make_synthetic("qwen3-tiny", "Q4_K_M", cache=cache, quantizer=program)
    base = make_synthetic("qwen3-tiny", "F16", cache=cache)
    written = base.stat().st_mtime_ns
    make_synthetic("qwen3-tiny", "Q8_0", cache=cache, quantizer=program)
    assert base.stat().st_mtime_ns == written


def test_a_large_f16_file_is_removed_unless_it_was_asked_for(
    cache: Path, quantizer: MakeQuantizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(synthetic, "LARGE_BASE_BYTES", 1_000_000)
    program = quantizer(MARKS)
    made = make_synthetic("qwen3-tiny", "Q4_K_M", cache=cache, quantizer=program)
    assert sorted(cache.rglob("*.gguf")) == [made]
    asked_for = make_synthetic("qwen3-tiny", "F16", cache=cache)
    make_synthetic("qwen3-tiny", "Q8_0", cache=cache, quantizer=program)
    assert asked_for.exists()


def test_beside_each_file_stands_how_it_was_made(cache: Path, quantizer: MakeQuantizer) -> None:
    path = make_synthetic("qwen3-tiny", "Q4_K_M", cache=cache, quantizer=quantizer(MARKS))
    base = make_synthetic("qwen3-tiny", "F16", cache=cache)
    assert json.loads(path.with_suffix(".json").read_text()) == {
        "architecture": "qwen3-tiny",
        "quant": "Q4_K_M",
        "seed": synthetic.SEED,
        "generator_version": synthetic.GENERATOR_VERSION,
        "made_from": base.name,
        "quantizer_build": "1234 (abcdef)",
    }


def test_a_damaged_file_in_the_cache_is_made_again(cache: Path) -> None:
    path = make_synthetic("qwen3-tiny", "F16", cache=cache)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert make_synthetic("qwen3-tiny", "F16", cache=cache).read_bytes() == whole


def test_what_a_killed_maker_left_is_cleaned_up_and_not_used(cache: Path) -> None:
    leftover = cache / "qwen3-tiny" / ".qwen3-tiny-F16.gguf.1.unfinished"
    leftover.parent.mkdir(parents=True)
    leftover.write_bytes(b"GGUF")
    make_synthetic("qwen3-tiny", "F16", cache=cache)
    assert not leftover.exists()


def old_version(made: Path, quant: str, version: int = synthetic.GENERATOR_VERSION - 1) -> Path:
    """Leave what an earlier version of the generator left."""
    old = made.with_name(f"qwen3-tiny-{quant}-synthetic-0123abcd.gguf")
    old.write_bytes(b"GGUF")
    old.with_suffix(".json").write_text(json.dumps({"architecture": "qwen3-tiny", "generator_version": version}))
    return old


@pytest.mark.parametrize("made_now", [True, False])
def test_files_of_earlier_versions_go_once_their_successors_are_there(
    cache: Path, quantizer: MakeQuantizer, made_now: bool
) -> None:
    made = make_synthetic("qwen3-tiny", "Q8_0", cache=cache, quantizer=quantizer(MARKS))
    superseded = [old_version(made, quant) for quant in ("Q8_0", "F16")]
    needed = old_version(made, "Q4_K_M")  # it has no successor yet
    if made_now:
        made.unlink()
    assert make_synthetic("qwen3-tiny", "Q8_0", cache=cache, quantizer=quantizer(MARKS)) == made
    for path in superseded:
        assert not path.exists()
        assert not path.with_suffix(".json").exists()
    assert needed.exists()
    assert made.exists()


def test_nothing_else_in_the_folder_is_removed(cache: Path) -> None:
    made = make_synthetic("qwen3-tiny", "F16", cache=cache)
    later = old_version(made, "F16", version=synthetic.GENERATOR_VERSION + 1)
    others = [
        made.with_name(name)
        for name in (
            "qwen3-tiny-F16-synthetic-1123abcd.gguf",  # nothing beside it says who made it
            "qwen3-tiny-F16-synthetic-0123abcd.gguf.bak",
            "my-qwen3-tiny-F16-synthetic-0123abcd.gguf",
            "qwen3-tiny-mine-synthetic-0123abcd.gguf",
            "qwen3-tiny-F16.gguf",
        )
    ]
    for path in others:
        path.write_bytes(b"GGUF")
    before = set(made.parent.iterdir())
    make_synthetic("qwen3-tiny", "F16", cache=cache)
    assert set(made.parent.iterdir()) == before
    assert later in before


def test_an_old_file_stays_while_another_process_makes_some(cache: Path) -> None:
    made = make_synthetic("qwen3-tiny", "F16", cache=cache)
    old = old_version(made, "F16")
    with FileLock(made.parent / ".lock"):
        assert make_synthetic("qwen3-tiny", "F16", cache=cache) == made
    assert old.exists()
    make_synthetic("qwen3-tiny", "F16", cache=cache)
    assert not old.exists()


def test_a_cache_that_may_only_be_read_is_used_as_it_is(open_folder: Path, powerless: Powerless) -> None:
    made = make_synthetic("qwen3-tiny", "F16", cache=open_folder)
    old = old_version(made, "F16")
    (made.parent / ".lock").unlink()
    made.parent.chmod(0o555)
    with powerless():
        assert make_synthetic("qwen3-tiny", "F16", cache=open_folder) == made
    made.parent.chmod(0o755)
    assert old.exists()


def test_two_who_ask_at_once_get_one_file_made_once(cache: Path, quantizer: MakeQuantizer, tmp_path: Path) -> None:
    program = quantizer(MARKS)

    def ask(_: int) -> Path:
        return make_synthetic("qwen3-tiny", "Q4_K_M", cache=cache, quantizer=program)

    with ThreadPoolExecutor(4) as askers:
        assert len(set(askers.map(ask, range(4)))) == 1
    assert (tmp_path / "starts").read_text() == "x"


def test_waiting_for_another_maker_is_told(cache: Path) -> None:
    (cache / "qwen3-tiny").mkdir(parents=True)
    told = Event()

    def listen(step: str) -> None:
        if "waiting for another process" in step:
            told.set()

    with ThreadPoolExecutor(1) as asker:
        with FileLock(cache / "qwen3-tiny" / ".lock"):
            asked = asker.submit(make_synthetic, "qwen3-tiny", "F16", cache=cache, on_progress=listen)
            assert told.wait(60)
        assert asked.result().exists()


# --- what cannot be made ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("architecture", "quant", "problem"),
    [
        ("qwen3-0.6", "F16", r"no known architecture 'qwen3-0\.6'; did you mean 'qwen3-0\.6b'\?"),
        ("llama", "F16", "expected one of qwen3-0.6b, qwen3-1.7b"),
        ("qwen3-tiny", "q4_k_m", r"no GGUF quant 'q4_k_m'; did you mean 'Q4_K_M'\?"),
        ("qwen3-tiny", "AWQ", r"no GGUF quant 'AWQ'; expected one of F32, F16"),
    ],
)
def test_an_unknown_name_is_corrected(tmp_path: Path, architecture: str, quant: str, problem: str) -> None:
    with pytest.raises(ArtifactError, match=problem):
        make_synthetic(architecture, quant, cache=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_missing_packages_are_named_with_the_command(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "pytest_thor.artifacts.synthetic_weights", raising=False)
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(ArtifactError, match=r"pip install 'pytest-thor\[synthetic\]'"):
        make_synthetic("qwen3-tiny", "F16", cache=cache)


def test_a_quantizer_that_is_not_there_is_named(cache: Path) -> None:
    with pytest.raises(ArtifactError, match="/nowhere/llama-quantize: cannot be started: No such file"):
        make_synthetic("qwen3-tiny", "Q8_0", cache=cache, quantizer=Path("/nowhere/llama-quantize"))


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (
            "open(target, 'wb').write(b'half'); print('no imatrix', file=sys.stderr); sys.exit(3)",
            "status 3 .*no imatrix",
        ),
        ("open(target, 'wb').write(b'half'); os.kill(os.getpid(), 9)", r"was ended by signal 9 .*printed nothing"),
        ("open(target, 'wb').write(open(source, 'rb').read())", "asked for Q8_0 and made F16"),
        ("open(target, 'wb').write(open(source, 'rb').read()[:-4096])", "truncated or still being downloaded"),
        ("pass", "there is no such file"),
    ],
)
def test_a_quantizer_that_fails_leaves_nothing(cache: Path, quantizer: MakeQuantizer, body: str, problem: str) -> None:
    with pytest.raises(ArtifactError, match=f"(?s){problem}"):
        make_synthetic("qwen3-tiny", "Q8_0", cache=cache, quantizer=quantizer(body))
    assert [path.name for path in cache.rglob("*Q8_0*")] == []


def test_an_interrupt_ends_the_quantizer_and_all_it_started(
    cache: Path, quantizer: MakeQuantizer, tmp_path: Path
) -> None:
    # Whoever holds the writing end of this pipe is alive; reading it ends when nobody is.
    os.mkfifo(tmp_path / "alive")
    reading = os.open(tmp_path / "alive", os.O_RDONLY | os.O_NONBLOCK)
    program = quantizer(f"""
held = os.open({str(tmp_path / "alive")!r}, os.O_WRONLY)
os.set_inheritable(held, True)
if os.fork():
    print("[  20/  20]", flush=True)
time.sleep(600)
""")

    def interrupt(step: str) -> None:
        if "quantizing" in step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_synthetic("qwen3-tiny", "Q8_0", cache=cache, quantizer=program, on_progress=interrupt)
    os.set_blocking(reading, True)
    assert os.read(reading, 1) == b""
    os.close(reading)


def test_a_disk_without_room_is_noticed_before_anything_is_written(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nearly_full(_: object) -> SimpleNamespace:
        return SimpleNamespace(free=1_000_000)

    monkeypatch.setattr(shutil, "disk_usage", nearly_full)
    with pytest.raises(ArtifactError, match=r"needs about 1.79 GiB, but .* are free there"):
        make_synthetic("qwen3-0.6b", "Q8_0", cache=cache)
    assert list(cache.rglob("*.gguf")) == []


def test_a_disk_that_fills_up_leaves_nothing(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(synthetic_weights, "_write_repeated", full)
    with pytest.raises(ArtifactError, match="No space left on device; free some space"):
        make_synthetic("qwen3-tiny", "F16", cache=cache)
    assert list(cache.rglob("*.gguf")) == []


def test_a_limit_on_file_sizes_leaves_nothing(cache: Path) -> None:
    usual, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, hard))
    try:
        with pytest.raises(ArtifactError, match="cannot be made: File too large"):
            make_synthetic("qwen3-tiny", "F16", cache=cache)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (usual, hard))
    assert list(cache.rglob("*.gguf")) == []


def test_a_cache_that_is_no_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "cache").touch()
    with pytest.raises(ArtifactError, match="Not a directory"):
        make_synthetic("qwen3-tiny", "F16", cache=tmp_path / "cache")
