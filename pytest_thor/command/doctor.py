"""``pytest-thor doctor``: what this machine is, what is ready, what would spoil a measurement, and what mends it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pytest_thor.checkup import Checkup, EngineFound, check
from pytest_thor.command.drawing import show, show_json
from pytest_thor.engines import ENGINES
from pytest_thor.host.device import HERE, Device
from pytest_thor.host.findings import Finding
from pytest_thor.host.lock import claim_of, exclusive
from pytest_thor.roofline import Roof
from pytest_thor.seat import part_chosen
from pytest_thor.units import counted, format_bytes, format_percent, format_significant

_WIDTH = 100
_UNITS = {"power_w": "W", "temperature_c": "°C", "clock_hz": "MHz"}
_SCALES = {"clock_hz": 1e-6}
_TITLES = {"power_w": "power", "temperature_c": "heat", "clock_hz": "clocks", "energy_j": "energy"}
_MOST = 6


@click.command(
    help="Say what this machine is, which engines it has, and what would spoil a measurement.\n\n"
    "Exit status: 0 ready, 1 something would spoil a measurement, 2 nothing can be measured."
)
@click.option("--json", "as_json", is_flag=True, help="print JSON (schema pytest-thor/doctor/1)")
@click.option(
    "--root",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=HERE,
    help="read the recorded file tree of another machine",
)
@click.option(
    "--engine",
    "engines",
    multiple=True,
    metavar="NAME=PATH",
    help="which program an engine is, as pytest's --thor-engine; may be repeated",
)
@click.option(
    "--device",
    metavar="[NAME=]PART",
    help="look over this part of the machine, as pytest's --thor-device; else $THOR_DEVICE",
)
@click.option(
    "--measure-limits",
    is_flag=True,
    help="measure now what the processor reaches, while nobody else measures here, and keep the best of it",
)
@click.pass_context
def command(
    context: click.Context,
    *,
    as_json: bool,
    root: Path,
    engines: tuple[str, ...],
    device: str | None,
    measure_limits: bool,
) -> None:
    """Look over the machine."""
    if measure_limits and root.resolve() != HERE:
        raise click.UsageError("--measure-limits: a recorded tree cannot be measured; leave --root out")
    if device is not None and root.resolve() != HERE:
        raise click.UsageError("--device: a recorded tree is looked over as a whole; leave --root out")
    part = part_chosen(device) if root.resolve() == HERE else None
    checkup = check(root.resolve(), part=part, engines=_chosen(engines), measure=_alone if measure_limits else None)
    if as_json:
        show_json(checkup.to_json())
    else:
        show(lambda console: _draw(console, checkup))
    context.exit(checkup.status)


def _alone(device: Device) -> AbstractContextManager[None]:
    return exclusive(claim_of(device), on_wait=lambda sentence: click.echo(sentence, err=True))


def _chosen(words: tuple[str, ...]) -> dict[str, Path]:
    found = {}
    for word in words:
        name, separator, path = word.partition("=")
        if not separator or not path:
            raise click.UsageError(
                f"--engine {word}: write NAME=PATH, such as llama-bench=/opt/llama.cpp/bin/llama-bench"
            )
        if name not in ENGINES:
            raise click.UsageError(f"--engine {word}: there is no engine {name}; there are {', '.join(ENGINES)}")
        found[name] = Path(path)
    return found


def _draw(console: Console, checkup: Checkup) -> None:
    for title, rows in (
        ("Machine", [*_machine(checkup.device), *_limits(checkup), *_lock(checkup)]),
        ("Watched", _telemetry(checkup.channels)),
        ("Engines", [_engine(engine) for engine in checkup.engines or ()]),
    ):
        table = Table.grid(padding=(0, 2))
        table.add_column(width=16)
        table.add_column(overflow="fold")
        for name, value in rows:
            table.add_row(Text(name), value if isinstance(value, Text) else Text(value))
        if table.row_count:
            console.print(Text(title, style="bold"))
            console.print(table)
            console.print()
    for finding in checkup.findings:
        _tell(console, finding)
    if checkup.findings:
        console.print()
    console.print(_verdict(checkup))


def _machine(device: Device) -> Iterator[tuple[str, str]]:
    yield "name", f"{device.name} ({device.slug})"
    if device.part is not None:
        yield "part", device.part.written
    cpus = counted(device.logical_cpus, "CPU")
    yield "processor", ", ".join(filter(None, (f"{cpus}: {device.cpu}", device.soc, device.machine)))
    memory = "not known" if device.memory_bytes is None else format_bytes(device.memory_bytes)
    swap = {None: "", 0: ", no swap"}.get(device.swap_bytes, f", {format_bytes(device.swap_bytes or 0)} swap")
    yield "memory", memory + swap
    for gpu in device.gpus:
        held = None if gpu.memory_bytes is None else format_bytes(gpu.memory_bytes)
        limit = None if gpu.power_limit_w is None else f"limited to {gpu.power_limit_w:g} W"
        yield "gpu", ", ".join(filter(None, (gpu.name, held, limit)))
    if device.l4t:
        yield "L4T", device.l4t + (f" (JetPack {device.jetpack})" if device.jetpack else "")
    if device.driver or device.cuda:
        yield "driver", f"{device.driver or 'not known'}, CUDA {device.cuda or 'not known'}"
    yield "kernel", device.kernel
    if device.power_mode:
        yield "power mode", device.power_mode
    if device.clocks:
        yield "clocks", device.clocks
    if device.cpu_governor:
        yield "governor", device.cpu_governor
    if device.container and device.container != "none":
        yield "container", device.container


def _limits(checkup: Checkup) -> Iterator[tuple[str, str]]:
    """Yield what figures are held against, or why nothing is known, and what was measured just now beside it."""
    yield "limits", (checkup.roofless or "not known") if checkup.roof is None else _roof(checkup.roof)
    if checkup.processor is not None and checkup.processor != checkup.roof:
        yield "processor's", _roof(checkup.processor)


def _lock(checkup: Checkup) -> Iterator[tuple[str, str]]:
    if checkup.lock is not None:
        spoiled = any(finding.topic == "lock" and finding.level == "spoils" for finding in checkup.findings)
        yield "lock", f"{'not to be had now' if spoiled else 'free'}, in {checkup.lock}"


def _roof(roof: Roof) -> str:
    """Return what a device reaches, and where that comes from."""
    peaks: dict[float, list[str]] = {}
    for arithmetic, peak in roof.peaks.items():
        peaks.setdefault(peak, []).append(arithmetic)
    told = [f"{format_significant(peak / 1e12, 3)} {'/'.join(names)}" for peak, names in sorted(peaks.items())]
    reading = "" if roof.bandwidth is None else f"{format_significant(roof.bandwidth / 1e9, 3)} GB/s from memory, "
    return f"{reading}TFLOP/s: {', '.join(told)} ({_source(roof)})"


def _source(roof: Roof) -> str:
    return "measured here, tolerance " + format_percent(roof.tolerance) if roof.measured else f"data sheet: {roof.name}"


def _telemetry(channels: Mapping[str, Mapping[str, float | None]]) -> Iterator[tuple[str, str]]:
    for group, title in _TITLES.items():
        table = channels.get(group) or {}
        unit, scale = _UNITS.get(group, ""), _SCALES.get(group, 1.0)
        shown = [
            name
            if group == "energy_j" and value is not None
            else f"{name} {'missing' if value is None else f'{format_significant(value * scale, 3)} {unit}'}"
            for name, value in list(table.items())[:_MOST]
        ]
        if shown:
            more = len(table) - _MOST
            yield title, ", ".join(shown) + (f" and {more} more" if more > 0 else "")
    throttling = [*(channels.get("throttle") or {}), *(channels.get("throttle_events") or {})]
    if throttling:
        yield "throttling", ", ".join(throttling)


def _engine(engine: EngineFound) -> tuple[str, Text]:
    if engine.needs_nothing:
        return engine.name, Text("attaches to a server that runs already", style="dim")
    if engine.build is None:
        first = (engine.problem or "").splitlines()[0].removeprefix(f"{engine.name}: ")
        return engine.name, Text.assemble(("✗ ", "red"), first.split(". ")[0])
    build = engine.build
    version = (
        " ".join(filter(None, (build.version, f"({build.commit})" if build.commit else None))) or "no version told"
    )
    return engine.name, Text.assemble(("✓ ", "green"), version, ("  " + build.path, "dim"))


def _tell(console: Console, finding: Finding) -> None:
    sign, style = ("✗", "bold red") if finding.level == "spoils" else ("·", "yellow")
    grid = Table.grid(padding=(0, 1))
    grid.add_row(Text(sign, style=style), Text(finding.sentence))
    console.print(grid)
    if finding.remedy:  # a command is not wrapped, so that it can be copied
        console.print(Text.assemble(("  → ", style), (finding.remedy, "bold")), soft_wrap=True)


def _verdict(checkup: Checkup) -> Text:
    if checkup.status == 2:
        return Text.assemble(
            ("Nothing can be measured: no engine is installed. ", "bold red"),
            "Run `make bench` in a clone of pytest-thor.",
        )
    spoilers = sum(finding.level == "spoils" for finding in checkup.findings)
    if spoilers:
        things = "One thing" if spoilers == 1 else f"{spoilers} things"
        return Text(f"{things} would spoil a measurement.", style="bold red")
    if checkup.engines is None:
        return Text("Nothing in this tree would spoil a measurement.", style="bold green")
    return Text("Ready to measure.", style="bold green")
