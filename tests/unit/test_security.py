"""What SECURITY.md promises, held against the code: no shell, nothing evaluated, loopback, secrets left out."""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pytest_thor.collection import vocabulary
from pytest_thor.engines import ENGINES
from pytest_thor.engines.background import background
from pytest_thor.engines.log_tail import LogTail
from pytest_thor.engines.server import ServerOrder
from pytest_thor.engines.vllm_settings import VllmSettings
from pytest_thor.errors import MatrixError
from pytest_thor.host.lock import Claim, exclusive
from pytest_thor.matrix import expand, load
from pytest_thor.redaction import names_a_secret, redacted

ROOT = Path(__file__).parents[2]
SOURCES = sorted([*(ROOT / "pytest_thor").rglob("*.py"), *(ROOT / ".ci").glob("*.py"), ROOT / "conftest.py"])
SECRET = "correct-horse-battery-staple"


SHELLS = frozenset(
    {
        *("os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput", "pty.spawn"),
        *("asyncio.create_subprocess_shell", "commands.getoutput", "os.startfile"),
    }
)
EVALUATES = frozenset(
    {
        *("eval", "exec", "compile", "__import__", "builtins.eval", "builtins.exec", "builtins.compile"),
        *("yaml.load", "yaml.unsafe_load", "yaml.full_load", "yaml.load_all", "yaml.unsafe_load_all"),
        *("runpy.run_path", "runpy.run_module", "code.interact", "pickle.load", "pickle.loads", "marshal.loads"),
        *("numpy.load", "torch.load", "joblib.load", "shelve.open", "dill.load", "dill.loads", "cloudpickle.loads"),
    }
)
STARTS = frozenset({"run", "Popen", "check_output", "check_call", "call"})


def calls(source: str) -> Iterator[tuple[str, ast.Call]]:
    """Yield every call in a source, with the full name of what is called, whatever it was imported as."""
    tree = ast.parse(source)
    full: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            full |= {alias.asname or alias.name: alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            full |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            first, dot, rest = ast.unparse(node.func).partition(".")
            yield f"{full.get(first, first)}{dot}{rest}", node


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
        for name, call in calls(path.read_text(encoding="utf-8"))
        if wanted(name, call)
    ]


def word(call: ast.Call, name: str) -> str | None:
    """Return a keyword argument of a call as it is written."""
    return next((ast.unparse(one.value) for one in call.keywords if one.arg == name), None)


def through_a_shell(name: str, call: ast.Call) -> bool:
    return word(call, "shell") is not None or name in SHELLS or name.startswith("os.spawn")


def of_one_text(name: str, call: ast.Call) -> bool:
    """Tell whether a program is started from a text, which somebody would have to take apart."""
    starts = name.startswith("subprocess.") and name.rpartition(".")[2] in STARTS
    return starts and (not call.args or isinstance(call.args[0], ast.Constant | ast.JoinedStr | ast.BinOp))


def evaluates(name: str, _: ast.Call) -> bool:
    return name in EVALUATES


@pytest.mark.parametrize(
    ("detector", "source"),
    [
        (through_a_shell, "import os; os.system(x)"),
        (through_a_shell, "from os import system; system(x)"),
        (through_a_shell, "from os import popen as p; p(x)"),
        (through_a_shell, "import subprocess as s; s.getoutput(x)"),
        (through_a_shell, "from subprocess import run; run(x, shell=True)"),
        (through_a_shell, "import asyncio; asyncio.create_subprocess_shell(x)"),
        (of_one_text, "import subprocess; subprocess.run(f'rm {x}')"),
        (of_one_text, "from subprocess import Popen; Popen('rm ' + x)"),
        (evaluates, "eval(x)"),
        (evaluates, "from builtins import exec as e; e(x)"),
        (evaluates, "from pickle import loads; loads(x)"),
        (evaluates, "import yaml; yaml.load(x, yaml.SafeLoader)"),
    ],
)
def test_what_is_looked_for_is_found(detector: Callable[[str, ast.Call], bool], source: str) -> None:
    assert [name for name, call in calls(source) if detector(name, call)] != []


def test_no_command_passes_through_a_shell() -> None:
    assert places(through_a_shell) == []


def test_every_command_is_a_list_of_words() -> None:
    assert places(of_one_text) == []
    assert places(lambda name, _: name == "subprocess.Popen")  # there are some


def test_nothing_that_is_read_is_evaluated() -> None:
    assert places(evaluates) == []
    unsafe = {"pickle", "marshal", "shelve", "dill", "joblib", "cloudpickle", "code", "runpy"}
    assert not [(path, name) for path in SOURCES for name in imports(path) if name.split(".")[0] in unsafe]


def test_no_code_and_no_template_of_a_model_runs_here() -> None:
    """A checkpoint brings code (``auto_map``) and templates; only engines, in processes of their own, know of them."""
    reading = {"transformers", "torch", "tokenizers", "safetensors", "vllm", "llama_cpp", "tensorflow", "keras"}
    found = {
        (path.name, name.split(".")[0])
        for path in SOURCES
        for name in imports(path)
        if name.split(".")[0] in {*reading, "jinja2"}
    }
    workers = {"llama_cpp_worker.py", "vllm_client_worker.py", "vllm_probe.py", "quantize_worker.py"}
    assert {file for file, name in found if name in reading} <= workers
    assert {file for file, name in found if name == "jinja2"} == {"page.py"}
    [made] = [ast.unparse(call) for path in SOURCES for name, call in calls(path.read_text()) if "from_string" in name]
    assert made == "environment.from_string(_text('assets/page.html'))"
    assert "--trust-remote-code" not in VllmSettings().arguments()
    assert "--trust-remote-code" in VllmSettings(trust_remote_code=True).arguments()


def test_templates_escape_what_they_show() -> None:
    made = [
        word(call, "autoescape")
        for path in SOURCES
        for name, call in calls(path.read_text(encoding="utf-8"))
        if name == "jinja2.Environment"
    ]
    assert made == ["True"]
    assert places(lambda name, _: name.rpartition(".")[2] in {"Template", "Markup"}) == []


TAGS = ["!!python/object/apply:os.system ['touch pwned']", "!!python/name:os.system", "!Ref x", "!!binary aGk="]


@pytest.mark.parametrize("value", TAGS)
def test_a_matrix_makes_no_objects(tmp_path: Path, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "matrix.yaml"
    path.write_text(f"name: {value}\nmodels: {{}}\nbackends: {{}}\nworkloads: {{}}\n")
    with pytest.raises(MatrixError):
        load(path, vocabulary())
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("engine", list(ENGINES))
@pytest.mark.parametrize("name", ["environment", "env", "environ", "LD_PRELOAD", "PATH", "command", "program", "path"])
def test_no_setting_reaches_the_environment_or_the_program_of_an_engine(engine: str, name: str) -> None:
    required = {"url": "http://127.0.0.1:9"} if engine == "openai" else {}

    ENGINES[engine].traits.settings.model_validate(required)
    with pytest.raises(ValidationError, match=name):
        ENGINES[engine].traits.settings.model_validate({**required, name: {"LD_PRELOAD": "/tmp/x.so"}})


CONDITIONS = ["__import__('os').mkdir('pwned')", "{{ 1 + 1 }}", "$(mkdir pwned)", "`mkdir pwned`", "${HF_TOKEN}"]


@pytest.mark.parametrize("text", CONDITIONS)
def test_a_condition_of_a_matrix_is_a_pattern_and_a_template_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_TOKEN", SECRET)
    path = tmp_path / "matrix.yaml"
    path.write_text(
        f"name: m\nmodels: {{a: {{gguf: {json.dumps(text)}, quants: [F16]}}}}\n"
        "backends: {b: {engine: llama-bench}}\nworkloads: {w: {kind: decode, n_gen: 8}}\n"
        f"overrides: [{{match: {{model: {json.dumps(text)}}}, thresholds: {{tg_tps: 4%}}}}]\n",
        encoding="utf-8",
    )
    try:
        shown = repr([cell.artifact for cell in expand(load(path, vocabulary()))])
    except MatrixError as error:
        shown = str(error)
    assert list(tmp_path.iterdir()) == [path]
    assert SECRET not in shown


@pytest.mark.parametrize("engine", ["llama-server", "vllm"])
def test_a_server_that_is_started_is_reached_from_this_machine_only(engine: str) -> None:
    settings = ENGINES[engine].traits.settings
    assert settings().host is None
    for told in (["--host", "0.0.0.0"], ["--host=0.0.0.0"]):
        with pytest.raises(ValidationError, match="--host has a setting of its own: host"):
            settings(extra_args=told)


def test_a_server_listens_on_loopback_unless_the_matrix_says_otherwise() -> None:
    assert ServerOrder(name="x", command=lambda port: [str(port)]).host == "127.0.0.1"
    written = [
        call
        for path in SOURCES
        for name, call in calls(path.read_text(encoding="utf-8"))
        if name.endswith(".ServerOrder")
    ]
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


def test_what_an_engine_prints_without_a_line_end_is_kept_without_secrets_wherever_it_is_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_TOKEN", SECRET)
    command = [sys.executable, "-c", "import os; print('x' * 99 + os.environ['HF_TOKEN'] + 'y' * 99, end='')"]
    with background(command) as process:
        while process.wait(1.0) is None:
            pass
        for limit in range(90, 140):
            shown = process.printed(limit)
            assert not any(SECRET[at : at + 8] in shown for at in range(len(SECRET) - 7))


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


def test_everything_that_is_held_names_the_tests_that_hold_it() -> None:
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    held = text.partition("## What is held")[2].partition("\n## ")[0]
    claims = re.split(r"\n- (?=\*\*)", held)[1:]
    named = {claim: re.findall(r"`(tests/[\w/]+\.py)`", claim) for claim in claims}

    assert len(claims) >= 10
    assert [claim for claim, tests in named.items() if not tests] == []
    assert [test for tests in named.values() for test in tests if not (ROOT / test).is_file()] == []
