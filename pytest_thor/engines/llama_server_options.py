"""How a setting of a llama-server backend is said on the command line of the build at hand.

llama-server's switches are flags with a negative twin, and its ``--help`` is laid out in columns: both unlike
llama-bench's. As there, ``--help`` decides, and an option that is missing is named with the build.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from pytest_thor.cell import Setting
from pytest_thor.engines.llama_options import HelpText
from pytest_thor.errors import EngineMissing

_HEADING = re.compile(r"^(-\S.*?)(?:(?<![,\s])\s{2,}.*)?$")
_NAME = re.compile(r"(?:^|,)\s*(--?[A-Za-z][\w-]*)")
_LONGEST_LINE, _LONGEST_TEXT, _MOST_NAMES = 1000, 20_000, 16  # several times what any option has


def read_server_help(program: str, text: str) -> HelpText:
    """Read the options out of llama-server's help, each with all that is said of it."""
    options: dict[str, str] = {}
    names: list[str] = []
    for line in (line[:_LONGEST_LINE] for line in text.splitlines()):
        heading = _HEADING.match(line)
        if heading:
            names = list(dict.fromkeys(_NAME.findall(heading[1])))[:_MOST_NAMES]
        elif not line.startswith(" "):
            names = []
        for name in names:
            said = options.get(name, "")
            if len(said) < _LONGEST_TEXT:
                options[name] = f"{said} {line.strip()}"
    return HelpText(program=program, options=options)


def _plain(value: Setting) -> str:
    return ",".join(f"{part}" for part in value) if isinstance(value, tuple) else str(value)


_VALUES: Mapping[str, tuple[str, ...]] = {
    "threads": ("-t", "--threads"),
    "ctx_size": ("-c", "--ctx-size"),
    "parallel": ("-np", "--parallel"),
    "batch_size": ("-b", "--batch-size"),
    "ubatch_size": ("-ub", "--ubatch-size"),
    "cache_type_k": ("-ctk", "--cache-type-k"),
    "cache_type_v": ("-ctv", "--cache-type-v"),
    "main_gpu": ("-mg", "--main-gpu"),
    "split_mode": ("-sm", "--split-mode"),
    "tensor_split": ("-ts", "--tensor-split"),
    "numa": ("--numa",),
    "poll": ("--poll",),
    "reasoning_budget": ("--reasoning-budget",),
    "reasoning_format": ("--reasoning-format",),
    "alias": ("-a", "--alias"),
    "host": ("--host",),
    "port": ("--port",),
}
_SWITCHES: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "no_kv_offload": (("-nkvo", "--no-kv-offload"), ("-kvo", "--kv-offload")),
    "no_op_offload": (("--no-op-offload",), ("--op-offload",)),
    "no_host": (("--no-host",), ()),
    "repack": (("--repack",), ("-nr", "--no-repack")),
    "jinja": (("--jinja",), ("--no-jinja",)),
}
"""Flags that say yes, and flags that say no, where no is not simply what an absent flag means."""
_LAYERS = ("-ngl", "--gpu-layers", "--n-gpu-layers")
_FLASH_ATTENTION = ("-fa", "--flash-attn")
_LOAD_MODE = ("-lm", "--load-mode")
_MMAP, _NO_MMAP, _MLOCK = ("--mmap",), ("--no-mmap",), ("--mlock",)
_ALL_LAYERS = "999"  # how builds without the word "all" are told

SETTING_OPTIONS: Mapping[str, str] = {
    **{option: setting for setting, names in _VALUES.items() for option in names},
    **{option: setting for setting, (yes, no) in _SWITCHES.items() for option in (*yes, *no)},
    **dict.fromkeys(_LAYERS, "n_gpu_layers"),
    **dict.fromkeys(_FLASH_ATTENTION, "flash_attn"),
    **dict.fromkeys((*_MMAP, *_NO_MMAP), "mmap"),
    **dict.fromkeys(_MLOCK, "mlock"),
}
"""The setting that stands for an option, by option."""


def server_arguments(settings: Mapping[str, Setting], help_text: HelpText) -> list[str]:
    """Turn settings (those that are not None, without ``extra_args``) into arguments of this build.

    Raises:
        EngineMissing: the build lacks an option, or a value of it.
    """
    words: list[str] = []
    for setting, value in settings.items():
        if setting in _VALUES:
            words += [help_text.require(_VALUES[setting], f"the setting {setting}"), _plain(value)]
        elif setting in _SWITCHES:
            words += _switch(setting, help_text, on=bool(value))
        elif setting in _SPECIAL:
            words += _SPECIAL[setting](value, help_text)
    return words + _loading(settings.get("mmap"), settings.get("mlock"), help_text)


def _switch(setting: str, help_text: HelpText, *, on: bool) -> list[str]:
    yes, no = _SWITCHES[setting]
    if on:
        return [help_text.require(yes, f"the setting {setting}")]
    said = help_text.first(*no)
    return [said] if said else []


def _layers(value: Setting, help_text: HelpText) -> list[str]:
    option = help_text.require(_LAYERS, "the setting n_gpu_layers")
    if value == -1:
        return [option, "all" if "'all'" in help_text.options[option] else _ALL_LAYERS]
    return [option, _plain(value)]


def _flash_attention(value: Setting, help_text: HelpText) -> list[str]:
    """``-fa on|off|auto`` took the place of a bare ``-fa``."""
    option = help_text.require(_FLASH_ATTENTION, "the setting flash_attn")
    if "auto" in help_text.options[option]:
        return [option, str(value)]
    if value == "auto":
        raise EngineMissing(f"{help_text.program} takes flash_attn on or off, and has no auto yet")
    return [option] if value == "on" else []


def _loading(mmap: Setting, mlock: Setting, help_text: HelpText) -> list[str]:
    """``-lm MODE`` took the place of ``--no-mmap`` and ``--mlock``; by default a file is mapped."""
    if mmap is None and mlock is None:
        return []
    if help_text.first(*_LOAD_MODE):
        parts = [name for name, on in (("mmap", mmap is not False), ("mlock", mlock)) if on]
        return [help_text.require(_LOAD_MODE, "the setting mmap"), "+".join(parts) or "none"]
    words = []
    if mmap is False:
        words.append(help_text.require((*_NO_MMAP, *_LOAD_MODE), "the setting mmap"))
    if mlock:
        words.append(help_text.require((*_MLOCK, *_LOAD_MODE), "the setting mlock"))
    return words


_SPECIAL: Mapping[str, Callable[[Setting, HelpText], list[str]]] = {
    "n_gpu_layers": _layers,
    "gpu_layers": _layers,
    "flash_attn": _flash_attention,
}
