"""Finding an engine's program: the user's word first, and no silent second choice."""

from __future__ import annotations

import sysconfig
from pathlib import Path

import pytest

from pytest_thor.engines.locate import chosen, find, variable
from pytest_thor.errors import EngineMissing


def program_in(folder: Path, name: str = "engine") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("engine", "name"),
    [("llama-bench", "THOR_LLAMA_BENCH"), ("llama-cpp-python", "THOR_LLAMA_CPP_PYTHON"), ("vllm", "THOR_VLLM")],
)
def test_each_engine_has_a_variable(engine: str, name: str) -> None:
    assert variable(engine) == name


def test_the_option_comes_before_the_variable_and_the_variable_before_path(tmp_path: Path) -> None:
    option, named, on_path = (program_in(tmp_path / name) for name in ("option", "variable", "path"))
    environ = {"THOR_ENGINE": str(named), "PATH": str(on_path.parent)}

    assert find("engine", "engine", option, environ) == option
    assert find("engine", "engine", None, environ) == named
    assert find("engine", "engine", None, {"PATH": str(on_path.parent)}) == on_path
    assert find("engine", "engine", None, {"THOR_ENGINE": "", "PATH": str(on_path.parent)}) == on_path


def test_this_pythons_own_installation_comes_before_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packages, on_path = tmp_path / "site-packages", program_in(tmp_path / "path")
    own = program_in(packages / "bin")
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(packages))
    assert find("engine", "engine", None, {"PATH": str(on_path.parent)}) == own


@pytest.mark.parametrize("entry", ["", ".", "bin", "./bin", "../here"])
def test_a_folder_that_depends_on_where_one_stands_is_not_looked_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: str
) -> None:
    program_in(tmp_path / "here")
    program_in(tmp_path / "here" / "bin")
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(EngineMissing):
        find("engine", "engine", None, {"PATH": f"{entry}:/nowhere"})
    on_path = program_in(tmp_path / "path")
    assert find("engine", "engine", None, {"PATH": f"{entry}:{on_path.parent}:{entry}"}) == on_path


def test_a_wrong_choice_is_named_and_nothing_is_tried_in_its_place(tmp_path: Path) -> None:
    good, plain = program_in(tmp_path / "path"), tmp_path / "plain"
    plain.touch()
    environ = {"PATH": str(good.parent)}

    with pytest.raises(EngineMissing, match=r"--thor-engine engine=.*nothing: .* does not exist"):
        find("engine", "engine", tmp_path / "nothing", environ)
    with pytest.raises(EngineMissing, match="is not executable"):
        find("engine", "engine", plain, environ)
    with pytest.raises(EngineMissing, match="is a folder; give the program in it"):
        find("engine", "engine", tmp_path, environ)
    with pytest.raises(EngineMissing, match=r"THOR_ENGINE=.*nothing: .* does not exist"):
        find("engine", "engine", None, environ | {"THOR_ENGINE": str(tmp_path / "nothing")})


def test_an_engine_that_is_nowhere_lists_every_place_and_what_to_do() -> None:
    with pytest.raises(EngineMissing) as caught:
        find("engine", "no-such-engine", None, {"PATH": "/nowhere"})
    for place in ("--thor-engine engine=PATH", "THOR_ENGINE", "bin/no-such-engine", "PATH", "Run `make`"):
        assert place in str(caught.value)


def test_a_link_is_kept_since_a_virtual_environment_is_one(tmp_path: Path) -> None:
    target, link = program_in(tmp_path / "base"), tmp_path / "python"
    link.symlink_to(target)
    assert chosen("engine", link) == link
