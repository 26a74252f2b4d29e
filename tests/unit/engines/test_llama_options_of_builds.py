"""Settings become the options of the build at hand."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from pytest_thor.cell import Setting
from pytest_thor.engines.llama_bench import LlamaBenchSettings
from pytest_thor.engines.llama_options import HelpText, arguments, read_help
from pytest_thor.engines.version import parse_version
from pytest_thor.errors import EngineMissing

NEW = read_help(
    "new",
    """usage: llama-bench [options]

options:
  -h, --help
  --delay <0...N> (seconds)                   delay between each test (default: 0)
  -fa, --flash-attn <on|off|auto>                   (default: auto)
  -lm, --load-mode <auto|none|mmap|mlock|dio> (default: auto)
  -nkvo, --no-kv-offload <0|1>                      (default: 0)
  -ot --override-tensor <tensor name pattern>=<buffer type>;...
                                                    (default: disabled)
  -ts, --tensor-split <ts0/ts1/..>                  (default: 0)
Multiple values can be given for each parameter by separating them with ','
""",
)
OLD = read_help(
    "old build b4000",
    """  -fa, --flash-attn <0|1>                   (default: 0)
  -mmp, --mmap <0|1>                        (default: 1)
  -t, --threads <n>                         (default: 8)
""",
)


def test_options_are_read_with_what_they_take() -> None:
    assert NEW.options == {
        "-h": "",
        "--help": "",
        "--delay": "0...N",
        "-fa": "on|off|auto",
        "--flash-attn": "on|off|auto",
        "-lm": "auto|none|mmap|mlock|dio",
        "--load-mode": "auto|none|mmap|mlock|dio",
        "-nkvo": "0|1",
        "--no-kv-offload": "0|1",
        "-ts": "ts0/ts1/..",
        "--tensor-split": "ts0/ts1/..",
        "-ot": "tensor name pattern",
        "--override-tensor": "tensor name pattern",
    }


@pytest.mark.parametrize(
    ("build", "settings", "words"),
    [
        (NEW, {"flash_attn": "on", "no_kv_offload": True}, ["-fa", "on", "-nkvo", "1"]),
        (OLD, {"flash_attn": "on", "threads": 4}, ["-fa", "1", "-t", "4"]),
        (OLD, {"flash_attn": "off"}, ["-fa", "0"]),
        (NEW, {"mmap": False}, ["-lm", "none"]),
        (OLD, {"mmap": False}, ["-mmp", "0"]),
        (OLD, {"load_mode": "mmap"}, ["-mmp", "1"]),
        (NEW, {"load_mode": "dio"}, ["-lm", "dio"]),
        (NEW, {"tensor_split": (3.0, 1.0), "delay": 2}, ["-ts", "3.0/1.0", "--delay", "2"]),
    ],
)
def test_a_setting_is_said_in_the_builds_own_way(
    build: HelpText, settings: dict[str, Setting], words: list[str]
) -> None:
    assert arguments(settings, build) == words


@pytest.mark.parametrize(
    ("build", "settings", "sentence"),
    [
        (OLD, {"flash_attn": "auto"}, "old build b4000 takes flash_attn on or off"),
        (OLD, {"load_mode": "dio"}, "has no load_mode dio: this build only knows -mmp 0|1"),
        (NEW, {"threads": 4}, "new has no option -t or --threads, which the setting threads needs"),
        (NEW, {"no_op_offload": True}, "the nearest that it has is --no-kv-offload"),
    ],
)
def test_what_a_build_cannot_do_is_named(build: HelpText, settings: dict[str, Setting], sentence: str) -> None:
    with pytest.raises(EngineMissing) as caught:
        arguments(settings, build)
    assert sentence in str(caught.value)


@pytest.mark.parametrize("value", [True, 1, "on"])
def test_flash_attention_may_be_written_in_every_way_that_yaml_and_llama_cpp_know(value: object) -> None:
    assert LlamaBenchSettings.model_validate({"flash_attn": value}).flash_attn == "on"


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"n_gpu_layer": 99}, "Extra inputs are not permitted"),
        ({"threads": True}, "valid integer"),
        ({"threads": 0}, "greater than or equal to 1"),
        ({"threads": "4,8"}, "valid integer"),
        ({"cache_type_k": "f16,q8_0"}, "should match pattern"),
        ({"mmap": True, "load_mode": "mmap"}, "keep load_mode"),
    ],
)
def test_a_setting_that_would_measure_something_else_is_refused(settings: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValidationError) as caught:
        LlamaBenchSettings.model_validate(settings)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("printed", "version", "commit"),
    [
        ("version: 6123 (79c1160b)\nbuilt with gcc", "6123", "79c1160b"),
        ("version: 0.5.0-dev (build 1, commit 0c1e570)\n", "0.5.0-dev (build 1)", "0c1e570"),
        ("version: 0 (unknown)\n", "0 (unknown)", None),
        ("error: unknown argument", None, None),
    ],
)
def test_versions_of_every_age_are_read(printed: str, version: str | None, commit: str | None) -> None:
    assert parse_version(printed) == (version, commit)
