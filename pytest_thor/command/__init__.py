"""``pytest-thor``: a thin shell over the rooms below, one file per subcommand, each imported only when it is called."""

from __future__ import annotations

from importlib import import_module
from keyword import iskeyword
from typing import NoReturn

import click

from pytest_thor.errors import ThorError

SUBCOMMANDS: dict[str, str] = {
    "baseline": "Show, accept, prune and compare stored baselines.",
    "compare": "Show reports, builds, devices, quants or engines side by side.",
    "doctor": "Say what this machine is, what is ready, and what would spoil a measurement.",
    "import": "Read figures that others published, and say which cannot be believed.",
    "merge": "Join the reports of shards into one, with the exit status of all.",
    "models": "List the models under the roots: what uses them, what fits, and a matrix to start from.",
    "report": "Render a finished run again: Markdown, comments, tables and exports.",
}
"""Every subcommand with one line of help; ``baseline`` is ``command`` in ``pytest_thor/command/baseline.py``."""


class _Group(click.Group):
    """Knows its subcommands by name and loads the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return sorted(SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in SUBCOMMANDS:
            return None
        command: click.Command = import_module(f"pytest_thor.command.{_module(cmd_name)}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the subcommands without importing any."""
        rows = [(name, SUBCOMMANDS[name]) for name in self.list_commands(ctx)]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> object:
        """Say in one line what went wrong where a room says so; everything else is a bug and keeps its traceback."""
        try:
            return super().invoke(ctx)
        except ThorError as error:
            _end(error)


def _module(name: str) -> str:
    """Return the module of a subcommand: ``import`` is a word of Python's, and no file here is called ``models``."""
    return f"{name}_" if iskeyword(name) or name == "models" else name


def _end(error: ThorError) -> NoReturn:
    click.echo(f"pytest-thor: {error}", err=True)
    raise SystemExit(2) from None


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="pytest-thor", prog_name="pytest-thor")
def main() -> None:
    """Look after what pytest --thor-matrix measures: baselines, reports, models and the machine."""
