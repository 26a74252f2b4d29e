from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from pytest_thor.artifacts.discover import claimants, resolve
from pytest_thor.cell import ArtifactReference
from pytest_thor.errors import ArtifactError, ArtifactInvalid, ArtifactMissing
from tests.unit.artifacts.conftest import Powerless


def gguf(location: str) -> ArtifactReference:
    return ArtifactReference(format="gguf", location=location)


def hf(location: str) -> ArtifactReference:
    return ArtifactReference(format="hf", location=location)


@pytest.fixture
def roots(tmp_path: Path) -> list[Path]:
    """Two model roots: a GGUF store, and one with HF directories."""
    store, hub = tmp_path / "store", tmp_path / "hub"
    (store / "Qwen").mkdir(parents=True)
    for name in ("Qwen3-8B-Q4_K_M.gguf", "Qwen3-8B-Q8_0.gguf", "Größe 30B.gguf"):
        (store / "Qwen" / name).touch()
    (hub / "Qwen" / "Qwen3-8B").mkdir(parents=True)
    (hub / "Qwen" / "Qwen3-8B" / "config.json").touch()
    (hub / "Qwen" / "notes").mkdir()
    return [store, hub]


def test_a_relative_file_is_found_under_a_root(roots: list[Path]) -> None:
    assert resolve(gguf("Qwen/Qwen3-8B-Q8_0.gguf"), roots) == roots[0] / "Qwen/Qwen3-8B-Q8_0.gguf"
    assert resolve(gguf("Qwen/Größe 30B.gguf"), roots) == roots[0] / "Qwen/Größe 30B.gguf"
    assert resolve(hf("Qwen/Qwen3-8B"), roots) == roots[1] / "Qwen/Qwen3-8B"


def test_the_first_root_that_has_it_wins(roots: list[Path]) -> None:
    (roots[1] / "Qwen" / "Qwen3-8B-Q8_0.gguf").touch()
    assert resolve(gguf("Qwen/Qwen3-8B-Q8_0.gguf"), roots).is_relative_to(roots[0])
    assert resolve(gguf("Qwen/Qwen3-8B-Q8_0.gguf"), roots[::-1]).is_relative_to(roots[1])


def test_an_absolute_path_is_taken_as_it_is(roots: list[Path]) -> None:
    path = roots[0] / "Qwen" / "Qwen3-8B-Q8_0.gguf"
    assert resolve(gguf(str(path)), []) == path


def test_home_is_where_it_is(roots: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(roots[0]))
    assert resolve(gguf("~/Qwen/Qwen3-8B-Q8_0.gguf"), []) == roots[0] / "Qwen/Qwen3-8B-Q8_0.gguf"
    with pytest.raises(ArtifactInvalid, match="home"):
        resolve(gguf("~nobody-of-that-name/x.gguf"), [])


def test_a_split_model_is_found_by_its_whole_name(roots: list[Path]) -> None:
    for number in (1, 2):
        (roots[0] / "Qwen" / f"big-Q4_K_M-{number:05d}-of-00002.gguf").touch()
    assert resolve(gguf("Qwen/big-Q4_K_M.gguf"), roots) == roots[0] / "Qwen/big-Q4_K_M-00001-of-00002.gguf"


def test_a_model_split_in_two_ways_is_ambiguous(roots: list[Path]) -> None:
    for count in (2, 3):
        (roots[0] / "Qwen" / f"big-00001-of-{count:05d}.gguf").touch()
    with pytest.raises(ArtifactInvalid, match=r"more than one splitting: big-00001-of-00002\.gguf, big-00001-of-00003"):
        resolve(gguf("Qwen/big.gguf"), roots)


def test_what_is_missing_is_told_with_every_place_and_the_nearest_name(roots: list[Path]) -> None:
    with pytest.raises(ArtifactMissing) as caught:
        resolve(gguf("Qwen/Qwen3-8B-Q4_K_S.gguf"), roots)
    assert str(caught.value) == (
        f"no GGUF file at {roots[0]}/Qwen/Qwen3-8B-Q4_K_S.gguf or "
        f"{roots[1]}/Qwen/Qwen3-8B-Q4_K_S.gguf; did you mean 'Qwen3-8B-Q4_K_M.gguf' in {roots[0]}/Qwen?"
    )


def test_a_wrong_folder_is_corrected_at_the_folder(roots: list[Path]) -> None:
    with pytest.raises(ArtifactMissing, match=f"did you mean 'Qwen' in {roots[0]}"):
        resolve(gguf("Qwenn/deeper/Qwen3-8B-Q4_K_M.gguf"), roots)


def test_a_file_where_a_folder_is_expected_is_missing_below(roots: list[Path]) -> None:
    with pytest.raises(ArtifactMissing):
        resolve(gguf("Qwen/Qwen3-8B-Q8_0.gguf/model.gguf"), roots)


def test_without_roots_a_relative_path_leads_nowhere() -> None:
    with pytest.raises(ArtifactMissing, match="name one with --thor-models DIR"):
        resolve(gguf("model.gguf"), [])


@pytest.mark.parametrize("location", ["../secret.gguf", "Qwen/../../secret.gguf", "/models/../secret.gguf"])
def test_nothing_leads_out_of_the_roots(roots: list[Path], location: str) -> None:
    with pytest.raises(ArtifactInvalid, match=r"leads out of the model roots"):
        resolve(gguf(location), roots)


def test_links_inside_a_root_are_followed(roots: list[Path], tmp_path: Path) -> None:
    blob = tmp_path / "blob"
    blob.touch()
    link = roots[0] / "Qwen" / "linked.gguf"
    link.symlink_to(blob)
    assert resolve(gguf("Qwen/linked.gguf"), roots) == link


def test_a_broken_link_is_named_with_its_target(roots: list[Path]) -> None:
    (roots[0] / "Qwen" / "broken.gguf").symlink_to("blobs/gone")
    with pytest.raises(ArtifactMissing, match="is a broken link to blobs/gone"):
        resolve(gguf("Qwen/broken.gguf"), roots)


def test_a_loop_of_links_is_an_error(roots: list[Path]) -> None:
    (roots[0] / "Qwen" / "loop.gguf").symlink_to("loop.gguf")
    with pytest.raises(ArtifactError, match=r"loop\.gguf: cannot be looked at: Too many levels"):
        resolve(gguf("Qwen/loop.gguf"), roots)


def test_an_unreadable_folder_is_an_error(open_folder: Path, powerless: Powerless) -> None:
    closed = open_folder / "Qwen"
    closed.mkdir()
    (closed / "there.gguf").touch()
    for mode, location, problem in (
        (0o000, "Qwen/there.gguf", r"there\.gguf: cannot be looked at: Permission denied"),
        (0o311, "Qwen/absent.gguf", "Qwen: cannot be looked into: Permission denied"),
    ):
        closed.chmod(mode)
        with powerless(), pytest.raises(ArtifactError, match=problem):
            resolve(gguf(location), [open_folder])
    closed.chmod(0o755)


def test_all_who_claim_one_name_are_told_in_the_order_of_the_roots(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for root in (first, second):
        (root / "Qwen").mkdir(parents=True)
        (root / "Qwen" / "config.json").touch()
        (root / "m.gguf").touch()
    (second / "m-00001-of-00002.gguf").touch()
    assert claimants(hf("Qwen"), [first, second]) == (first / "Qwen", second / "Qwen")
    files = (first / "m.gguf", second / "m.gguf", second / "m-00001-of-00002.gguf")
    assert claimants(gguf("m.gguf"), [first, second]) == files
    assert claimants(gguf("absent.gguf"), [first, second]) == ()


@pytest.mark.parametrize(
    ("form", "location", "problem"),
    [
        ("gguf", "Qwen", "is a folder; expected a GGUF file"),
        ("hf", "Qwen/Qwen3-8B-Q8_0.gguf", "is a file; expected the folder of an HF model"),
        ("hf", "Qwen/notes", r"has no config\.json"),
        ("gguf", " ", "is not a path"),
        ("gguf", "a\0b", "is not a path"),
        ("synthetic", "qwen3-0.6b", "made and not looked for"),
    ],
)
def test_something_else_than_expected_is_refused(
    roots: list[Path], form: Literal["gguf", "hf", "synthetic"], location: str, problem: str
) -> None:
    with pytest.raises(ArtifactInvalid, match=problem):
        resolve(ArtifactReference(format=form, location=location), roots[::-1] if location == "Qwen/notes" else roots)
