"""How the subcommands print: tables for eyes, plain where nobody watches, and JSON; a terminal obeys none of it."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable

import click
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from pytest_thor.plain_text import inert_json, printable

_WIDTH = 160


class InertConsole(Console):
    """A console on which text from outside is only text: no markup, no sequences, no commands of a runner."""

    def __init__(self, **settings: int | io.StringIO | bool | None) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **settings)  # type: ignore[arg-type] # rich's own

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield the segments of anything that is drawn, each as it may be shown."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)


def show(draw: Callable[[Console], None]) -> None:
    """Draw on a terminal as wide as it is; elsewhere without colours, wide, and without blanks at the ends."""
    console = InertConsole()
    if console.is_terminal:
        draw(console)
        return
    wide = InertConsole(width=_WIDTH, file=io.StringIO())
    with wide.capture() as capture:
        draw(wide)
    click.echo("\n".join(line.rstrip() for line in capture.get().splitlines()))


def show_json(value: object) -> None:
    """Print a value as JSON; letters stay letters, and what a terminal would obey is an escape."""
    click.echo(inert_json(json.dumps(value, indent=1, ensure_ascii=False)))
