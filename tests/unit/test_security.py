"""What SECURITY.md promises, held against the code: no shell, nothing evaluated, loopback, secrets left out."""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_thor.collection import vocabulary
from pytest_thor.engines.background import background
from pytest_thor.engines.log_tail import LogTail
from pytest_thor.engines.server import ServerOrder
from pytest_thor.errors import MatrixError
from pytest_thor.host.lock import Claim, exclusive
from pytest_thor.matrix import load
from pytest_thor.redaction import names_a_secret, redacted

ROOT = Path(__file__).parents[2]
SOURCES = sorted([*(ROOT / "pytest_thor").rglob("*.py"), *(ROOT / ".ci").glob("*.py"), ROOT / "conftest.py"])
SECRET = "correct-horse-battery-staple"


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """Yield every call in a file, with the name that is called as it is written."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module)


def places(wanted: Callable[[str, ast.Call], bool]) -> list[str]:
    """Return where the calls stand that are wanted."""
    return [
        f"{path.relative_to(ROOT)}:{call.lineno} {name}"
        for path in SOURCES
        for name, call in calls(path)
        if wanted(name, call)
    ]


def word(call: ast.Call, name: str) -> str | None:
    """Return a keyword argument of a call as it is written."""
    return next((ast.unparse(one.value) for one in call.keywords if one.arg == name), None)


def test_no_command_passes_through_a_shell() -> None:
    def shell(name: str, call: ast.Call) -> bool:
        spawns = name in {"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"}
        return word(call, "shell") is not None or spawns or name.startswith(("os.spawn", "pty."))

    assert places(shell) == []


def test_every_command_is_a_list_of_words() -> None:
    def text(name: str, call: ast.Call) -> bool:
        starts = name in {"subprocess.run", "subprocess.Popen", "subprocess.check_output", "subprocess.call"}
        return starts and (not call.args or isinstance(call.args[0], ast.Constant | ast.JoinedStr | ast.BinOp))

    assert places(text) == []
    assert places(lambda name, _: name == "subprocess.Popen")  # what is looked for is there to be found


def test_nothing_that_is_read_is_evaluated() -> None:
    evaluates = {"eval", "exec", "compile", "__import__", "yaml.load", "yaml.unsafe_load", "yaml.full_load"}
    assert places(lambda name, _: name in evaluates) == []
    unsafe = {"pickle", "marshal", "shelve", "dill", "joblib", "cloudpickle", "code"}
    assert not [(path, name) for path in SOURCES for name in imports(path) if name.split(".")[0] in unsafe]


def test_templates_escape_what_they_show() -> None:
    made = [
        call for path in SOURCES if "jinja2" in imports(path) for name, call in calls(path) if name == "Environment"
    ]
    assert all(word(call, "autoescape") == "True" for call in made)
    assert places(lambda name, _: name in {"Template", "jinja2.Template", "Markup", "markupsafe.Markup"}) == []


TAGS = ["!!python/object/apply:os.system ['touch pwned']", "!!python/name:os.system", "!Ref x", "!!binary aGk="]


@pytest.mark.parametrize("value", TAGS)
def test_a_matrix_makes_no_objects(tmp_path: Path, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "matrix.yaml"
    path.write_text(f"name: {value}\nmodels: {{}}\nbackends: {{}}\nworkloads: {{}}\n")
    with pytest.raises(MatrixError):
        load(path, vocabulary())
    assert not (tmp_path / "pwned").exists()


def test_a_server_listens_on_loopback_unless_the_matrix_says_otherwise() -> None:
    assert ServerOrder(name="x", command=lambda port: [str(port)]).host == "127.0.0.1"
    written = [call for path in SOURCES for name, call in calls(path) if name == "ServerOrder"]
    hosts = {word(call, "host") for call in written}
    assert written
    assert hosts <= {None, "host", "settings.host or LOOPBACK", "settings.host or '127.0.0.1'"}, hosts


@pytest.mark.parametrize(
    "name",
    [
        "HF_TOKEN",
        "GITHUB_TOKEN",
        "OPENAI_API_KEY",
        "AWS_SECRET_ACCESS_KEY",
        "PGPASSWORD",
        "LLAMA_ARG_API_KEY",
        "MY_KEY",
    ],
)
def test_a_variables_name_tells_that_it_holds_a_secret(name: str) -> None:
    assert names_a_secret(name)


@pytest.mark.parametrize("name", ["PATH", "THOR_MODELS", "KEYBOARD", "LLAMA_ARG_THREADS", "TERM", "MONKEY", "COMPASS"])
def test_an_ordinary_variable_is_none(name: str) -> None:
    assert not names_a_secret(name)


@given(st.text(), st.text(min_size=8).filter(lambda text: text == text.strip() and "*" not in text), st.text())
def test_no_secret_is_left_in_a_text(before: str, secret: str, after: str) -> None:
    assert secret not in redacted(before + secret + after, {"MY_TOKEN": secret})


@given(st.text())
def test_a_text_without_a_secret_stays_as_it_is(text: str) -> None:
    assert redacted(text, {"PATH": text, "TOKEN": "", "KEY": "short"}) == text


def test_the_longer_of_two_secrets_goes_first() -> None:
    assert redacted("abcdefgh-1234", {"A_TOKEN": "abcdefgh", "B_TOKEN": "abcdefgh-1234"}) == "***"


def test_what_an_engine_prints_is_kept_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", SECRET)
    command = [sys.executable, "-c", "import os; print('401 for', os.environ['HF_TOKEN'])"]
    with background(command) as process:
        while process.wait(1.0) is None:
            pass
        assert process.printed() == "401 for ***"


def test_a_logs_end_is_kept_without_secrets_wherever_it_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", SECRET)
    for limit in range(1, 60):
        tail = LogTail(limit)
        tail.add(f"token {SECRET} was refused")
        assert not any(SECRET[at : at + 8] in str(tail) for at in range(len(SECRET) - 7))
        assert SECRET not in (tail.last or "")


def test_who_holds_a_device_is_told_without_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THOR_LOCK_DIR", str(tmp_path))
    monkeypatch.setenv("MY_TOKEN", SECRET)
    monkeypatch.setattr(sys, "argv", ["pytest", f"--token={SECRET}"])
    with exclusive(Claim(device="thor"), on_wait=lambda _: None):
        [holder] = tmp_path.glob("*.lock")
        assert json.loads(holder.read_text())["command"] == "pytest --token=***"
