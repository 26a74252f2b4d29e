"""What a run with a matrix was asked for: the command line and its ini twins, read once into one frozen record."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, cast, get_args

import pytest

from pytest_thor.artifacts.means import Means, converter_of
from pytest_thor.declaration import DEFAULT_LAUNCHES, InconclusivePolicy, InvalidPolicy, ListFormat, UpdateMode
from pytest_thor.files import cache_folder
from pytest_thor.units import parse_duration

if TYPE_CHECKING:
    from pytest_thor.host.part import Part

_LAUNCHES = re.compile(r"(?P<minimum>\d+)(?::(?P<maximum>\d+))?")
_PROJECT_MARKERS = ("pyproject.toml", "pytest.ini", "tox.ini", "setup.cfg", ".git")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Everything that the user asked for; paths are absolute."""

    matrices: tuple[Path, ...]
    matrices_from_command_line: bool
    models: tuple[Path, ...]
    engines: Mapping[str, Path]
    against: Mapping[str, Path]
    devices: tuple[Part, ...]
    baseline: Path | None
    update_baseline: UpdateMode | None
    launches: tuple[int, int]
    budget_s: float | None
    relative: bool
    cool_down_c: float | None
    inconclusive: InconclusivePolicy
    invalid: InvalidPolicy
    strict: bool
    full_hash: bool
    means: Means
    report: Path
    exports: tuple[str, ...]
    serving_block: bool
    reference_quant: str | None
    resume: bool
    list_format: ListFormat | None
    shards: int | None
    cache: Path

    @property
    def journal(self) -> Path:
        """Where every finished launch is kept."""
        return self.report / "journal.jsonl"

    def baseline_root(self, matrix: Path) -> Path:
        """Return the baseline store of a matrix: the one asked for, else ``baselines/`` at its project's root."""
        if self.baseline is not None:
            return self.baseline
        for folder in matrix.parents:
            if any((folder / marker).exists() for marker in _PROJECT_MARKERS):
                return folder / "baselines"
        return matrix.parent / "baselines"


def read_options(config: pytest.Config) -> Options:
    """Read the options of this run.

    Raises:
        pytest.UsageError: one is malformed.
    """
    here = config.invocation_params.dir
    given = config.getoption("--thor-matrix") or ()
    matrices = tuple(here / path for path in given) or tuple(config.getini("thor_matrix"))
    report = _text(config, "report") or "thor-report"
    baseline = _text(config, "baseline")
    return Options(
        matrices=tuple(dict.fromkeys(Path(os.path.abspath(path)) for path in matrices)),  # noqa: PTH100 - links stay
        matrices_from_command_line=bool(given),
        models=_model_roots(config, here),
        engines=_programs(config, here, "engine"),
        against=_programs(config, here, "against"),
        devices=_devices(config),
        baseline=here / baseline if baseline else None,
        update_baseline=cast("UpdateMode | None", _choice(config, "update-baseline", get_args(UpdateMode), None)),
        launches=_launches(_text(config, "launches") or DEFAULT_LAUNCHES),
        budget_s=_budget(_text(config, "budget")),
        relative=_flag(config, "relative"),
        cool_down_c=_celsius(_text(config, "cool-down")),
        inconclusive=cast(InconclusivePolicy, _choice(config, "inconclusive", get_args(InconclusivePolicy), "warn")),
        invalid=cast(InvalidPolicy, _choice(config, "invalid", get_args(InvalidPolicy), "fail")),
        strict=_flag(config, "strict"),
        full_hash=_flag(config, "full-hash"),
        means=_means(config, here),
        report=here / report,
        exports=_exports(config),
        serving_block=_flag(config, "serving-block"),
        reference_quant=_text(config, "reference-quant") or None,
        resume=_flag(config, "resume"),
        list_format=config.getoption("--thor-list"),
        shards=_shards(_text(config, "shards")),
        cache=cache_folder(),
    )


def _means(config: pytest.Config, here: Path) -> Means:
    imatrix = _text(config, "imatrix")
    if imatrix and not (here / imatrix).is_file():
        raise pytest.UsageError(f"--thor-imatrix {imatrix}: there is no such file")
    return Means(
        download=_flag(config, "download"),
        quantize=_flag(config, "quantize"),
        imatrix=here / imatrix if imatrix else None,
        converter=converter_of(_programs(config, here, "engine")),
    )


def _text(config: pytest.Config, name: str) -> str | None:
    value = config.getoption(f"--thor-{name}")
    return value if value is not None else config.getini(f"thor_{name.replace('-', '_')}") or None


def _exports(config: pytest.Config) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(config.getoption("--thor-export") or config.getini("thor_export")))
    if names:
        from pytest_thor.errors import ReportError
        from pytest_thor.report.outputs import format_of

        try:
            for name in names:
                format_of(name)
        except ReportError as error:
            raise pytest.UsageError(f"--thor-export {error}") from error
    return names


def _flag(config: pytest.Config, name: str) -> bool:
    return bool(config.getoption(f"--thor-{name}") or config.getini(f"thor_{name.replace('-', '_')}"))


def _choice(config: pytest.Config, name: str, choices: tuple[str, ...], default: str | None) -> str | None:
    value = _text(config, name)
    if value is None:
        return default
    if value not in choices:  # argparse checked the command line; this is the ini file's turn
        raise pytest.UsageError(f"thor_{name.replace('-', '_')} = {value!r}: expected one of {', '.join(choices)}")
    return value


def _launches(text: str) -> tuple[int, int]:
    match = _LAUNCHES.fullmatch(text.strip())
    minimum = int(match["minimum"]) if match else 0
    maximum = int(match["maximum"] or minimum) if match else 0
    if not 1 <= minimum <= maximum <= 1000:
        raise pytest.UsageError(
            f"--thor-launches {text}: expected MIN:MAX with 1 <= MIN <= MAX <= 1000, such as {DEFAULT_LAUNCHES}"
        )
    return minimum, maximum


def _shards(text: str | None) -> int | None:
    if text is None:
        return None
    from pytest_thor.sharding import MOST_JOBS

    if not (text.strip().isdecimal() and 1 <= int(text) <= MOST_JOBS):
        raise pytest.UsageError(f"--thor-shards {text}: expected how many jobs, 1 to {MOST_JOBS}")
    return int(text)


def _celsius(text: str | None) -> float | None:
    try:
        return None if text is None else float(text.strip().removesuffix("C").removesuffix("°"))
    except ValueError:
        raise pytest.UsageError(f"--thor-cool-down {text}: expected degrees Celsius, such as 55") from None


def _model_roots(config: pytest.Config, here: Path) -> tuple[Path, ...]:
    given = config.getoption("--thor-models")
    if given:
        return tuple(here / path for path in given)
    configured = config.getini("thor_models")
    if configured:
        return tuple(configured)
    environment = os.environ.get("THOR_MODELS", "")
    return tuple(here / path for path in environment.split(os.pathsep) if path) or (Path("/models"),)


def _programs(config: pytest.Config, here: Path, option: Literal["engine", "against"]) -> Mapping[str, Path]:
    programs = {}
    for text in [*config.getini(f"thor_{option}"), *(config.getoption(f"--thor-{option}") or ())]:
        name, separator, path = text.partition("=")
        if not (separator and name.strip() and path.strip()):
            raise pytest.UsageError(
                f"--thor-{option} {text}: expected NAME=PATH, such as llama-bench=/opt/llama.cpp/bin/llama-bench"
            )
        programs[name.strip()] = here / Path(path.strip()).expanduser()
    return MappingProxyType(programs)


def _devices(config: pytest.Config) -> tuple[Part, ...]:
    given = config.getoption("--thor-device") or config.getini("thor_device")
    given = given or [text for text in [os.environ.get("THOR_DEVICE", "").strip()] if text]
    if not given:
        return ()
    from pytest_thor.host.part import overlapping

    devices = [_device(text) for text in given]
    shared = overlapping(devices)
    if shared:
        raise pytest.UsageError(
            f"--thor-device {shared[0].written} and {shared[1].written} have a GPU or a CPU in common, so they cannot "
            "measure side by side"
        )
    names = [device.name for device in devices if device.name]
    if len(set(names)) < len(names):
        raise pytest.UsageError("--thor-device: two devices of one name would share baselines; give each its own")
    return tuple(devices)


def _device(text: str) -> Part:
    from pytest_thor.host.part import parse_part

    try:
        return parse_part(text)
    except ValueError as error:
        raise pytest.UsageError(f"--thor-device {text}: {error}") from None


def device_count(config: pytest.Config) -> int:
    """Return how many devices of this machine a run with a matrix measures on."""
    return max(len(_devices(config)), 1)


def _budget(text: str | None) -> float | None:
    try:
        return None if text is None else parse_duration(text)
    except ValueError as error:
        raise pytest.UsageError(f"--thor-budget {text}: {error}") from None
