"""Settings as options of the build at hand: today's llama-server and one of a year ago."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from pydantic import ValidationError

from pytest_thor.cell import Setting
from pytest_thor.engines.llama_server_options import read_server_help, server_arguments
from pytest_thor.engines.llama_server_settings import LlamaServerSettings
from pytest_thor.errors import EngineMissing

TODAY = """----- common params -----

-t,    --threads N                      number of CPU threads to use during generation (default: -1)
                                        (env: LLAMA_ARG_THREADS)
-c,    --ctx-size N                     size of the prompt context (default: 0, 0 = loaded from model)
-fa,   --flash-attn [on|off|auto]       set Flash Attention use ('on', 'off', or 'auto', default: 'auto')
-kvo,  --kv-offload, -nkvo, --no-kv-offload
                                        whether to enable KV cache offloading (default: enabled)
--op-offload, --no-op-offload           whether to offload host tensor operations to device (default: true)
--repack, -nr, --no-repack              whether to enable weight repacking (default: enabled)
--no-host                               bypass host buffer allowing extra buffers to be used
-lm,   --load-mode MODE                 model loading mode (default: auto)
                                        - mlock: force system to keep model in RAM
-ngl,  --gpu-layers, --n-gpu-layers N   max. number of layers to store in VRAM, either an exact number,
                                        'auto', or 'all' (default: auto)
-ts,   --tensor-split N0,N1,N2,...      fraction of the model to offload to each GPU
-np,   --parallel N                     number of server slots (default: -1, -1 = auto)
--jinja, --no-jinja                     whether to use jinja template engine for chat (default: enabled)
--reasoning-format FORMAT               controls whether thought tags are allowed
--reasoning-budget N                    token budget for thinking: -1 for unrestricted, 0 for immediate end
"""
A_YEAR_AGO = """----- common params -----

-t,    --threads N                      number of threads to use during generation (default: -1)
-c,    --ctx-size N                     size of the prompt context (default: 4096, 0 = loaded from model)
-fa,   --flash-attn                     enable Flash Attention (default: disabled)
-nkvo, --no-kv-offload                  disable KV offload
--no-op-offload                         disable offloading host tensor operations to device (default: false)
-nr,   --no-repack                      disable weight repacking
--mlock                                 force system to keep model in RAM rather than swapping or compressing
--no-mmap                               do not memory-map model (slower load but may reduce pageouts)
-ngl,  --gpu-layers, --n-gpu-layers N   number of layers to store in VRAM
-np,   --parallel N                     number of parallel sequences to decode (default: 1)
--jinja                                 use jinja template for chat (default: disabled)
"""


def said(settings: Mapping[str, Setting], text: str) -> str:
    return " ".join(server_arguments(settings, read_server_help("llama-server x", text)))


@pytest.mark.parametrize(
    ("settings", "today", "a_year_ago"),
    [
        ({"threads": 14, "parallel": 14, "ctx_size": 0}, "-t 14 -np 14 -c 0", "-t 14 -np 14 -c 0"),
        ({"n_gpu_layers": -1}, "-ngl all", "-ngl 999"),
        ({"gpu_layers": 20}, "-ngl 20", "-ngl 20"),
        ({"flash_attn": "on"}, "-fa on", "-fa"),
        ({"flash_attn": "off"}, "-fa off", ""),
        ({"no_kv_offload": True, "no_op_offload": True}, "-nkvo --no-op-offload", "-nkvo --no-op-offload"),
        ({"no_kv_offload": False, "no_op_offload": False}, "-kvo --op-offload", ""),
        ({"jinja": True}, "--jinja", "--jinja"),
        ({"jinja": False}, "--no-jinja", ""),
        ({"repack": False}, "-nr", "-nr"),
        ({"mmap": False, "mlock": True}, "-lm mlock", "--no-mmap --mlock"),
        ({"mlock": True}, "-lm mmap+mlock", "--mlock"),
        ({"mmap": False}, "-lm none", "--no-mmap"),
        ({"mmap": True}, "-lm mmap", ""),
    ],
)
def test_a_setting_is_said_as_the_build_has_it(settings: dict[str, Setting], today: str, a_year_ago: str) -> None:
    assert said(settings, TODAY) == today
    assert said(settings, A_YEAR_AGO) == a_year_ago


def test_every_name_of_an_option_is_known_however_wide_its_column_is() -> None:
    options = read_server_help("llama-server", TODAY).options
    assert {"-t", "--threads", "-fa", "--flash-attn", "--kv-offload", "-nkvo", "--no-repack", "--no-jinja"} <= set(
        options
    )
    assert not {"--no-mmap", "RAM", "-lm,"} & set(options)


def test_shares_are_written_with_commas() -> None:
    assert said({"tensor_split": (3.0, 1.0)}, TODAY) == "-ts 3.0,1.0"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"reasoning_budget": 0}, "llama-server x has no option --reasoning-budget, which the setting"),
        ({"flash_attn": "auto"}, "takes flash_attn on or off, and has no auto yet"),
        ({"no_host": True}, "has no option --no-host"),
    ],
)
def test_what_a_build_lacks_is_named(settings: dict[str, Setting], words: str) -> None:
    assert said(settings, TODAY)
    with pytest.raises(EngineMissing, match=words):
        said(settings, A_YEAR_AGO)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"gpu_layers": 1, "n_gpu_layers": 1}, "say the same thing; keep one"),
        ({"port": 0}, "greater than or equal to 1"),
    ],
)
def test_what_is_not_the_users_to_give_is_refused(settings: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        LlamaServerSettings.model_validate(settings)
