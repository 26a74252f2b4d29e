"""How a setting of a llama-bench backend is said on the command line of the build at hand.

Options come and go between builds, so ``--help`` decides, and an option that is missing is named with the build.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pytest_thor.cell import Setting
from pytest_thor.errors import EngineMissing

_OPTION_LINE = re.compile(r"^\s*(-[^<(]*?)\s*(?:<([^>]*)>.*|\(.*|\s{2}.*)?$")


@dataclass(frozen=True, slots=True, kw_only=True)
class HelpText:
    """The options that a program's ``--help`` lists, each with what stands in its angle brackets (or "")."""

    program: str
    options: Mapping[str, str]

    def first(self, *names: str) -> str | None:
        """Return the first of these names that the program knows."""
        return next((name for name in names if name in self.options), None)

    def require(self, names: tuple[str, ...], wanted_by: str) -> str:
        """Return the first of these names that the program knows.

        Raises:
            EngineMissing: it knows none of them.
        """
        found = self.first(*names)
        if found is not None:
            return found
        near = difflib.get_close_matches(max(names, key=len), self.options, n=1)
        raise EngineMissing(
            f"{self.program} has no option {' or '.join(names)}, which {wanted_by} needs"
            + (f"; the nearest that it has is {near[0]}" if near else "")
            + ". Use a build that has it, or leave the setting out."
        )


def read_help(program: str, text: str) -> HelpText:
    """Read the options out of a program's help."""
    options: dict[str, str] = {}
    for line in text.splitlines():
        match = _OPTION_LINE.match(line)
        if match:
            for name in re.findall(r"(?:^|[\s,])(--?[A-Za-z][\w-]*)", match[1]):
                options.setdefault(name, match[2] or "")
    return HelpText(program=program, options=options)


def _plain(value: Setting) -> str:
    return "/".join(f"{part}" for part in value) if isinstance(value, tuple) else str(value)


def _switch(value: Setting) -> str:
    return "1" if value else "0"


_NAMES: Mapping[str, tuple[tuple[str, ...], Callable[[Setting], str]]] = {
    "n_gpu_layers": (("-ngl", "--n-gpu-layers"), _plain),
    "threads": (("-t", "--threads"), _plain),
    "batch_size": (("-b", "--batch-size"), _plain),
    "ubatch_size": (("-ub", "--ubatch-size"), _plain),
    "cache_type_k": (("-ctk", "--cache-type-k"), _plain),
    "cache_type_v": (("-ctv", "--cache-type-v"), _plain),
    "no_kv_offload": (("-nkvo", "--no-kv-offload"), _switch),
    "no_op_offload": (("-nopo", "--no-op-offload"), _switch),
    "n_cpu_moe": (("-ncmoe", "--n-cpu-moe"), _plain),
    "split_mode": (("-sm", "--split-mode"), _plain),
    "main_gpu": (("-mg", "--main-gpu"), _plain),
    "tensor_split": (("-ts", "--tensor-split"), _plain),
    "device": (("-dev", "--device"), _plain),
    "numa": (("--numa",), _plain),
    "cpu_mask": (("-C", "--cpu-mask"), _plain),
    "cpu_strict": (("--cpu-strict",), _switch),
    "poll": (("--poll",), _plain),
    "prio": (("--prio",), _plain),
    "delay": (("--delay",), _plain),
    "no_host": (("--no-host",), _switch),
    "repack": (("--repack",), _switch),
}
_FLASH_ATTENTION = ("-fa", "--flash-attn")
_LOAD_MODE = ("-lm", "--load-mode")
_MMAP = ("-mmp", "--mmap")

SETTING_OPTIONS: Mapping[str, str] = {
    **{option: setting for setting, (names, _) in _NAMES.items() for option in names},
    **dict.fromkeys(_FLASH_ATTENTION, "flash_attn"),
    **dict.fromkeys(_LOAD_MODE, "load_mode"),
    **dict.fromkeys(_MMAP, "mmap"),
}
"""The setting that stands for an option, by option."""


def arguments(settings: Mapping[str, Setting], help_text: HelpText) -> list[str]:
    """Turn settings (those that are not None, without ``extra_args``) into arguments of this build.

    Raises:
        EngineMissing: the build lacks an option, or a value of it.
    """
    words: list[str] = []
    for setting, value in settings.items():
        if setting == "flash_attn":
            words += _flash_attention(str(value), help_text)
        elif setting in ("load_mode", "mmap"):
            words += _load_mode(setting, value, help_text)
        else:
            names, say = _NAMES[setting]
            words += [help_text.require(names, f"the setting {setting}"), say(value)]
    return words


def _flash_attention(value: str, help_text: HelpText) -> list[str]:
    option = help_text.require(_FLASH_ATTENTION, "the setting flash_attn")
    if "auto" in help_text.options[option]:
        return [option, value]
    if value == "auto":
        raise EngineMissing(f"{help_text.program} takes flash_attn on or off, and has no auto yet")
    return [option, "1" if value == "on" else "0"]


def _load_mode(setting: str, value: Setting, help_text: HelpText) -> list[str]:
    """``-lm MODE`` took the place of ``-mmp 0|1``; either setting is said in the way that the build has."""
    mode = ("mmap" if value else "none") if setting == "mmap" else str(value)
    if help_text.first(*_LOAD_MODE):
        return [help_text.require(_LOAD_MODE, f"the setting {setting}"), mode]
    option = help_text.require((*_MMAP, *_LOAD_MODE), f"the setting {setting}")
    if mode not in ("mmap", "none"):
        raise EngineMissing(f"{help_text.program} has no load_mode {mode}: this build only knows {option} 0|1")
    return [option, "1" if mode == "mmap" else "0"]
