"""What the tables of the docs say of options, settings, engines, fixtures and limits is what the code has."""

from __future__ import annotations

import json
import re
from pathlib import Path

import click
import pytest
from pydantic import BaseModel

import pytest_thor
from pytest_thor.cell import Cell
from pytest_thor.command import SUBCOMMANDS, main
from pytest_thor.engines import ENGINES
from pytest_thor.engines.llama_server_settings import LlamaServerSettings
from pytest_thor.engines.openai_settings import OpenAiSettings
from pytest_thor.engines.service import Served
from pytest_thor.engines.vllm_settings import VllmSettings
from pytest_thor.measurement import Launch
from pytest_thor.report.document import CellRecord
from pytest_thor.report.html.changes import MOST_CARDS
from pytest_thor.verdict import Verdict
from tests.docs.documented import ROOT

HOME = {
    "baseline": "baselines.md",
    "compare": "comparing.md",
    "doctor": "thor-telemetry.md",
    "import": "published.md",
    "merge": "comparing.md",
    "models": "models.md",
    "report": "exports.md",
}
"""The page that has each subcommand."""


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def section(text: str, title: str) -> str:
    """Return what stands below a heading, as far as the next of the same or a higher level."""
    head = re.search(rf"^(#+) {re.escape(title)}$", text, re.MULTILINE)
    assert head is not None, title
    rest = text[head.end() :]
    following = re.search(rf"^#{{1,{len(head[1])}}} ", rest, re.MULTILINE)
    return rest[: following.start()] if following else rest


def first_column(text: str) -> list[str]:
    """Return every `name` in the first column of a table's rows."""
    cells = re.findall(r"^\| (`[^|]*) \|", text, re.MULTILINE)
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def below(command: click.Command) -> list[click.Command]:
    """Return a command, or the commands of a group."""
    return list(command.commands.values()) if isinstance(command, click.Group) else [command]


def test_every_public_name_of_the_package_is_told() -> None:
    assert sorted(first_column(section(page("fixtures.md"), "Names for your code"))) == pytest_thor.__all__


def test_every_subcommand_has_a_page() -> None:
    assert set(HOME) == set(SUBCOMMANDS)


@pytest.mark.parametrize("name", HOME)
def test_the_page_of_a_subcommand_has_all_its_options(name: str) -> None:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    text = page(HOME[name])
    missing = [
        parameter.opts
        for each in below(command)
        for parameter in each.params
        if isinstance(parameter, click.Option)
        and parameter.name != "help"
        and not any(re.search(rf"(?<![\w-]){option}(?![\w-])", text) for option in parameter.opts)
    ]
    assert missing == []


@pytest.mark.parametrize(
    ("title", "settings"),
    [
        ("llama-server", LlamaServerSettings),
        ("vLLM", VllmSettings),
        ("openai: a server that runs already", OpenAiSettings),
    ],
)
def test_the_settings_of_a_server_are_those_it_takes(title: str, settings: type[BaseModel]) -> None:
    assert sorted(set(first_column(section(page("serving.md"), title)))) == sorted(settings.model_fields)


def test_what_engines_take_and_measure_is_what_they_say() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| ([a-z, ]+) \| ([a-z, ]+) \|$", page("matrix.md"), re.MULTILINE)
    told = {
        name: (set(formats.split(", ")), set(kinds.split(", "))) for name, formats, kinds in rows if name in ENGINES
    }
    assert told == {name: (set(engine.traits.formats), set(engine.traits.kinds)) for name, engine in ENGINES.items()}


def test_what_a_fixture_gives_is_there() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", page("fixtures.md"), re.MULTILINE))
    cell = {name.split(".")[0] for name in re.findall(r"`\.([a-z.]+)`", rows["thor_cell"])}
    record = set(re.findall(r"`\.([a-z]+)[`\[]", rows["thor_run"]))
    launches = set(re.findall(r"`\.([a-z]+)[`\[]", rows["llama_bench"] + rows["serving_benchmark"]))
    served = set(re.findall(r"`\.([a-z_]+)`", rows["thor_server"]))
    assert all((cell, record, launches, served))
    assert [name for name in cell if name not in {*dir(Cell), *Cell.__dataclass_fields__}] == []
    assert [name for name in record if name not in CellRecord.model_fields] == []
    assert [name for name in launches if name not in Launch.__dataclass_fields__] == []
    assert [name for name in served if name not in dir(Served)] == []


def test_every_verdict_has_its_letter_and_its_row() -> None:
    shown = dict(
        re.findall(r"`(\S)` ([a-z ]+?)[,)]", section(page("command-line.md"), "What is shown").replace("\n", " "))
    )
    assert {verdict.letter: verdict.value.replace("-", " ") for verdict in Verdict}.items() <= shown.items()
    assert set(shown) - {verdict.letter for verdict in Verdict} == {"E"}
    judged = set(first_column(section(page("statistics.md"), "The verdict")))
    assert judged == {verdict.value for verdict in Verdict}


def test_the_pages_limits_are_those_that_it_names() -> None:
    assets = ROOT / "pytest_thor" / "report" / "html" / "assets"
    constants = "\n".join(path.read_text(encoding="utf-8") for path in assets.glob("*.js"))
    rows, curves = (re.findall(rf"const {name} = (\d+);", constants)[0] for name in ("MOST_ROWS", "MOST_CURVES"))
    text = " ".join(page("report.md").split())
    assert f"at most {rows} rows ({curves} curves)" in text
    assert f"At most {MOST_CARDS} paragraphs" in text


def test_the_published_references_hold_as_much_as_the_page_says() -> None:
    rows = re.findall(r"^\| `([\w.-]+)` \| (\d+) \| (\d+)", page("published.md"), re.MULTILINE)  # fmt: skip
    told = {name: (int(results), int(figures)) for name, results, figures in rows}
    kept = {}
    for path in (ROOT / "baselines" / "published").glob("*.json"):
        results = json.loads(path.read_text(encoding="utf-8"))["results"]
        kept[path.stem] = (len(results), sum(len(result["metrics"]) for result in results))
    assert told == kept


def test_a_benchmark_or_a_test_that_is_named_is_there() -> None:
    folders = r"benchmarks|tests|matrices|baselines|pytest_thor|\.ci|\.github"
    pages = [ROOT / "README.md", ROOT / "SECURITY.md", *(ROOT / "docs").glob("*.md")]
    text = "\n".join(each.read_text(encoding="utf-8") for each in pages)
    named = set(re.findall(rf"`((?:{folders})/[\w./-]+)`", text))
    assert sorted(name for name in named if not (ROOT / name).exists()) == []
    scripts = {path.stem for path in (ROOT / "benchmarks").glob("*.py")}
    assert {Path(name).stem for name in named if name.startswith("benchmarks/") and name.endswith(".py")} <= scripts
