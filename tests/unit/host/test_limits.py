"""What a machine can reach: by the table, and measured on this very processor."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_thor.host import measured_roof as measuring
from pytest_thor.host.datasheets import DATASHEETS, Datasheet
from pytest_thor.host.device import Device, Gpu, identify
from pytest_thor.host.limits import known_roof, roof_of
from pytest_thor.host.measured_roof import UNKNOWN_CACHE_BYTES, cache_bytes, measured_roof

DOCUMENTED = (Path(__file__).parents[3] / "docs/limits.md").read_text(encoding="utf-8")
BARE = Device(
    slug="some-cpu-4c",
    name="Some CPU",
    cpu="Some CPU",
    logical_cpus=2,
    memory_bytes=8 << 30,
    gpus=(),
    power_mode=None,
    l4t=None,
    driver=None,
    cuda=None,
    kernel="6.8",
    machine="x86_64",
)


@pytest.mark.parametrize(
    ("identity", "title"),
    [
        ("NVIDIA Jetson AGX Thor Developer Kit", "Jetson AGX Thor (T5000)"),
        ("jetson-agx-thor", "Jetson AGX Thor (T5000)"),
        ("NVIDIA Thor", "Jetson AGX Thor (T5000)"),
        ("NVIDIA Jetson T4000", "Jetson T4000"),
        ("NVIDIA Jetson AGX Orin Developer Kit", "Jetson AGX Orin 64GB"),
        ("NVIDIA Jetson Orin NX Engineering Reference Developer Kit", "Jetson Orin NX"),
        ("NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super", "Jetson Orin Nano"),
        ("NVIDIA GB10", "DGX Spark (GB10)"),
        ("NVIDIA A100-SXM4-40GB", "A100 40GB"),
        ("NVIDIA A100 80GB PCIe", "A100 80GB"),
        ("NVIDIA H100 80GB HBM3", "H100 SXM"),
        ("NVIDIA H100 PCIe", "H100 PCIe"),
        ("NVIDIA H200", "H200 SXM"),
        ("NVIDIA B200", "B200"),
        ("NVIDIA GB200", "GB200"),
        ("NVIDIA B300 SXM6 AC", "B300, GB300"),
        ("NVIDIA GB300", "B300, GB300"),
        ("Tesla T4", "T4"),
        ("NVIDIA L4", "L4"),
        ("NVIDIA L40S", "L40S"),
        ("NVIDIA RTX 6000 Ada Generation", "RTX 6000 Ada"),
        ("NVIDIA GeForce RTX 3090", "GeForce RTX 3090"),
        ("NVIDIA GeForce RTX 4080", "GeForce RTX 4080"),
        ("NVIDIA GeForce RTX 4090", "GeForce RTX 4090"),
        ("NVIDIA GeForce RTX 5080", "GeForce RTX 5080"),
        ("NVIDIA GeForce RTX 5090", "GeForce RTX 5090"),
        ("NVIDIA RTX PRO 6000 Blackwell Server Edition", "RTX PRO 6000 Blackwell"),
    ],
)
def test_a_device_is_found_by_the_name_it_gives_itself(identity: str, title: str) -> None:
    roof = known_roof(identity)

    assert roof is not None
    assert roof.name == title


@pytest.mark.parametrize(
    "identity",
    [
        "NVIDIA GeForce RTX 4090 Laptop GPU",
        "NVIDIA GeForce RTX 4080 SUPER",
        "NVIDIA GeForce RTX 4090 D",
        "NVIDIA GeForce RTX 3090 Ti",
        "NVIDIA H20",
        "",
    ],
)
def test_another_device_of_a_like_name_is_not_taken_for_it(identity: str) -> None:
    assert known_roof(identity) is None


def test_memory_tells_two_orins_apart() -> None:
    small = known_roof("NVIDIA Jetson AGX Orin Developer Kit", memory_bytes=32 * 10**9)

    assert small is not None
    assert small.name == "Jetson AGX Orin 32GB"


def test_the_figures_of_a_thor() -> None:
    roof = known_roof("jetson-agx-thor")

    assert roof is not None
    assert roof.bandwidth == 273e9
    assert roof.peaks == {"fp32": 8.1e12, "bf16": 258e12, "fp16": 258e12, "int8": 516e12, "fp8": 516e12, "fp4": 1032e12}
    assert roof.cache_bytes == 32 << 20


@pytest.mark.parametrize("row", DATASHEETS, ids=lambda row: row.title)
def test_every_row_is_plausible_and_has_a_source(row: Datasheet) -> None:
    assert len(row.source) > 20
    assert 50 <= row.bandwidth <= 20_000, "GB/s"
    assert 1 <= row.cache_mib <= 512, "MiB"
    assert 1 <= row.headroom <= 1.2
    assert row.fp32 < row.fp16
    for less, more in (("bf16", "fp16"), ("fp16", "int8"), ("fp16", "fp8"), ("fp8", "fp4")):
        slow, fast = getattr(row, less), getattr(row, more)
        if slow is not None and fast is not None:
            assert slow <= fast <= 4.2 * slow, f"{less} and {more}"
            assert fast / slow == pytest.approx(round(fast / slow), rel=0.03), f"{more} is a multiple of {less}"


@pytest.mark.parametrize("row", DATASHEETS, ids=lambda row: row.title)
def test_the_documentation_has_the_same_figures(row: Datasheet) -> None:
    peaks = (row.fp32, row.bf16, row.fp16, row.fp8, row.int8, row.fp4)
    figures = [row.bandwidth, row.cache_mib, *peaks]
    cells = [row.title, *("" if figure is None else f"{figure:g}" for figure in figures)]
    cells.append("" if row.headroom == 1 else f"×{row.headroom:g}")
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in DOCUMENTED.splitlines()]

    assert cells in lines


def test_titles_are_names_of_one_device_each() -> None:
    assert len({row.title for row in DATASHEETS}) == len(DATASHEETS)
    assert all(re.compile(row.names) for row in DATASHEETS)


def test_equal_gpus_count_together_and_a_mixture_is_not_known(tmp_path: Path) -> None:
    card, other = Gpu(name="NVIDIA L4", memory_bytes=24 << 30), Gpu(name="NVIDIA L40S", memory_bytes=48 << 30)
    two = replace(BARE, name="NVIDIA L4", gpus=(card, card))
    mixed = replace(BARE, name="Board", gpus=(card, other))

    roof = roof_of(replace(two, name="Board"), cache=tmp_path)

    assert roof is not None
    assert (roof.name, roof.bandwidth) == ("2 × L4", 600e9)
    assert roof_of(mixed, cache=tmp_path) is None


def test_a_gpu_that_the_table_lacks_has_no_limits(tmp_path: Path) -> None:
    card = Gpu(name="NVIDIA Something New", memory_bytes=None)

    assert roof_of(replace(BARE, name=card.name, gpus=(card,)), cache=tmp_path) is None
    assert list(tmp_path.iterdir()) == [], "nothing was measured"


def caches(root: Path, *levels: tuple[int, int, str, str, str]) -> Path:
    for cpu, level, kind, size, shared in levels:
        folder = root / f"sys/devices/system/cpu/cpu{cpu}/cache/index{level}{kind[0]}".replace("D", "0").replace(
            "U", "1"
        )
        folder.mkdir(parents=True)
        for name, content in (("level", level), ("type", kind), ("size", size), ("shared_cpu_list", shared)):
            (folder / name).write_text(f"{content}\n")
    return root


def test_the_last_cache_is_that_of_every_group_of_cores_together(tmp_path: Path) -> None:
    root = caches(
        tmp_path,
        (0, 2, "Unified", "1024K", "0"),
        (0, 3, "Unified", "32768K", "0-1"),
        (1, 3, "Unified", "32768K", "0-1"),
        (2, 3, "Unified", "32M", "2-3"),
    )

    assert cache_bytes(root) == 64 << 20


def test_a_machine_that_hides_its_last_cache_is_given_a_large_one(tmp_path: Path) -> None:
    assert cache_bytes(tmp_path) == UNKNOWN_CACHE_BYTES
    assert cache_bytes(caches(tmp_path, (0, 2, "Unified", "1024K", "0"))) == UNKNOWN_CACHE_BYTES


def kept(root: Path) -> Path:
    [path] = (root / "limits").iterdir()
    return path


def test_a_processor_is_measured_once_and_only_ever_found_faster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "_LEAST_ARRAY_BYTES", 8 << 20)
    monkeypatch.setattr(measuring, "_LEAST_PRODUCT_S", 1e-6)
    monkeypatch.setattr(measuring, "cache_bytes", lambda _root=None: 1 << 20)

    first = measured_roof(BARE, cache=tmp_path)
    text = kept(tmp_path).read_text()
    second = measured_roof(BARE, cache=tmp_path)
    third = measured_roof(BARE, cache=tmp_path, again=True)

    assert first is not None
    assert second == first
    assert third is not None
    assert first.bandwidth is not None
    assert third.bandwidth is not None
    assert 1e8 < first.bandwidth <= third.bandwidth, "no machine reads less than 0.1 GB/s"
    assert 1e8 < first.peaks["fp32"] <= third.peaks["fp32"]
    assert first.measured
    assert json.loads(text)["read_bytes_per_s"] == first.bandwidth


def test_what_was_kept_is_kept_when_a_later_measurement_is_slower(tmp_path: Path) -> None:
    fast = {"schema": "pytest-thor/measured-limits/1", "read_bytes_per_s": 1e15, "fp32_per_s": 1e18}
    monkey = pytest.MonkeyPatch()
    with monkey.context() as patch:
        patch.setattr(measuring, "_measure", lambda *_: (1e9, 1e9))
        measured_roof(BARE, cache=tmp_path)
        kept(tmp_path).write_text(json.dumps(fast))
        again = measured_roof(BARE, cache=tmp_path, again=True)

    assert again is not None
    assert again.bandwidth == 1e15


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{", '{"schema": "other", "read_bytes_per_s": 1, "fp32_per_s": 1}', '{"read_bytes_per_s": -1}'],
)
def test_what_is_kept_and_not_sound_is_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    monkeypatch.setattr(measuring, "_measure", lambda *_: (2e9, 3e9))
    measured_roof(BARE, cache=tmp_path)
    kept(tmp_path).write_text(content)

    found = measured_roof(BARE, cache=tmp_path)

    assert found is not None
    assert found.bandwidth == 2e9


def test_a_cache_that_cannot_be_written_costs_only_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "_measure", lambda *_: (2e9, 3e9))
    (tmp_path / "limits").write_text("in the way")

    found = measured_roof(BARE, cache=tmp_path)

    assert found is not None
    assert found.bandwidth == 2e9


def test_without_numpy_nothing_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)

    assert measured_roof(BARE, cache=tmp_path) is None


@pytest.mark.parametrize(
    ("line", "int8", "bf16"),
    [
        ("flags\t\t: fpu avx2", 2, 1),
        ("flags\t\t: fpu avx512_vnni avx512_bf16", 4, 2),
        ("flags\t\t: amx_int8 amx_bf16 avx512_vnni", 32, 16),
        ("Features\t: fp asimddp i8mm bf16", 8, 4),
    ],
)
def test_the_processors_flags_say_what_whole_numbers_gain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, int8: float, bf16: float
) -> None:
    monkeypatch.setattr(measuring, "_measure", lambda *_: (1e9, 1e9))
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text(f"processor\t: 0\n{line}\n")

    found = measured_roof(BARE, cache=tmp_path / "cache", root=tmp_path)

    assert found is not None
    assert found.peaks["int8"] == int8 * 1e9
    assert found.peaks["bf16"] == bf16 * 1e9


def test_the_processor_is_measured_on_request_beside_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "_measure", lambda *_: (1e9, 1e9))
    machine = replace(BARE, name="NVIDIA L4", gpus=(Gpu(name="NVIDIA L4", memory_bytes=24 << 30),))

    found = roof_of(machine, cache=tmp_path, measure=True)

    assert found is not None
    assert found.measured
    assert found.name == "Some CPU"


def test_this_very_machine_has_limits_where_it_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "_measure", lambda *_: (1e9, 1e9))
    device = identify()
    found = roof_of(device, cache=tmp_path)

    assert found is not None or device.gpus
