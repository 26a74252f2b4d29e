"""What README and docs name exists: files, options, ini twins, subcommands; and every option is in the reference."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_thor.command import SUBCOMMANDS

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "baselines").glob("*.md")])
NAMED = re.compile(r"--thor-[a-z]+(?:-[a-z]+)*")
LINK = re.compile(r"\]\((?!https?://|mailto:|#)([^)\s#]+)(?:#[^)\s]*)?\)")
FENCED = re.MULTILINE | re.DOTALL
SUBCOMMAND = re.compile(r"(?:`|^ {4}|^\$ |run: )pytest-thor ([a-z]+)", re.MULTILINE)


@pytest.fixture(scope="session")
def options(pytestconfig: pytest.Config) -> set[str]:
    """Every option that the plugin declares."""
    parser = pytestconfig._parser
    [group] = [group for group in parser._groups if group.name == "thor"]
    return {name for option in group.options for name in option.names() if name.startswith("--thor")}


def texts() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        yield page.relative_to(ROOT).as_posix(), page.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = [*LINK.findall(text), *re.findall(r' (?:src|srcset)="(?!https?://)([^"]+)"', text)]
    assert [name for name in named if not (page.parent / name).exists()] == []


def test_every_picture_is_shown_and_loads_quickly() -> None:
    shown = {name for _, text in texts() for name in re.findall(r'images/([\w.-]+)"', text)}
    kept = {path.name: path.stat().st_size for path in (ROOT / "docs" / "images").iterdir()}
    assert set(kept) == shown
    assert max(kept.values()) <= 400_000


def anchors(page: Path) -> set[str]:
    """Return what GitHub makes of a page's headings."""
    heads = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", page.read_text(), flags=FENCED), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_to_a_heading_finds_it(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)\s#]*)#([^)\s]+)\)", page.read_text(encoding="utf-8"))
    broken = [(link, name) for link, name in links if name not in anchors(page.parent / link if link else page)]
    assert broken == []


def test_every_option_that_is_named_exists(options: set[str]) -> None:
    named = {(name, page) for page, text in texts() if page != "CHANGELOG.md" for name in NAMED.findall(text)}
    assert sorted((name, page) for name, page in named if name not in options) == []


def test_every_option_stands_in_the_reference(options: set[str]) -> None:
    reference = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
    assert sorted(options - set(NAMED.findall(reference))) == []


def test_every_option_has_the_ini_twin_that_the_reference_promises(
    pytestconfig: pytest.Config, options: set[str]
) -> None:
    without = set(
        re.findall(r"`(--thor-[a-z]+)[^`]*` \|[^\n]*no ini twin", (ROOT / "docs/command-line.md").read_text())
    )
    declared = pytestconfig._parser._inidict
    missing = {name for name in options if name.removeprefix("--").replace("-", "_") not in declared}
    assert missing == without


def test_every_subcommand_that_is_named_exists_and_each_has_a_page() -> None:
    named = {name for _, text in texts() for name in SUBCOMMAND.findall(text)}
    assert named - set(SUBCOMMANDS) == set()
    assert set(SUBCOMMANDS) - named == set()


def test_every_page_can_be_reached_from_the_readme() -> None:
    found, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop().resolve()
        if page in found or page.suffix != ".md" or not page.exists():
            continue
        found.add(page)
        waiting += [page.parent / link for link in LINK.findall(page.read_text(encoding="utf-8"))]
    assert sorted(page.name for page in (ROOT / "docs").glob("*.md") if page.resolve() not in found) == []
