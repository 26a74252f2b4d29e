"""YAML that is not what it looks like is told, where it stands, with what to write instead."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from pytest_thor.errors import MatrixError
from pytest_thor.matrix import Matrix, Vocabulary, load, yaml_text
from pytest_thor.matrix.findings import Findings

REST = """\
models: {m: {gguf: m.gguf, quants: [Q8_0]}}
backends: {b: {engine: llama-bench}}
workloads: {w: {kind: prefill, n_prompt: 8}}
"""

Problems = Callable[[str], list[str]]


@pytest.fixture(params=["CSafeLoader", "SafeLoader"], autouse=True)
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything here holds with libyaml and without."""
    if not hasattr(yaml, request.param):
        pytest.skip("PyYAML is built without libyaml")
    monkeypatch.setattr(yaml_text, "_LOADER", getattr(yaml, request.param))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name: a\nname: b\n", "2:1: the key 'name' stands here a second time; first in line 1, column 1"),
        ("name: no\n", '1:7: name: unquoted no is a boolean to YAML 1.1, not text: quote it ("no")'),
        ("name: y\n", '1:7: name: unquoted y is a boolean to YAML 1.1, not text: quote it ("y")'),
        (
            "name: 1e3\n",
            '1:7: 1e3 is text to YAML 1.1, not a number: write 1000 or 1.0e+3, or quote it ("1e3") if it is text',
        ),
        (
            "name: 0777\n",
            (
                "1:7: 0777 has a leading zero, which makes it octal to YAML 1.1: write 777 for the number, or quote it "
                '("0777") if it is text'
            ),
        ),
        (
            "name: 1:30\n",
            (
                "1:7: 1:30 is a number in base 60 to YAML 1.1: write a plain number (a duration as 90s or 30m), or "
                'quote it ("1:30") if it is text'
            ),
        ),
        ("name: 0x1F\n", '1:7: 0x1F is not a decimal number: write it in decimal, or quote it ("0x1F") if it is text'),
        (
            "name: 1_000\n",
            '1:7: 1_000 is the number 1000 to YAML 1.1: write 1000, or quote it ("1_000") if it is text',
        ),
        ("name: 2025-10-12\n", '1:7: 2025-10-12 is a date to YAML 1.1, and a matrix has none: quote it ("2025-10-12")'),
        ("name: .inf\n", '1:7: .inf is not a finite number; quote it (".inf") if it is text'),
        ("name: a\n\tb: 1\n", "2:1: a tab: YAML is indented and spaced with spaces only"),
        (
            "name: !!python/object/apply:os.system [id]\n",
            "1:7: the tag 'tag:yaml.org,2002:python/object/apply:os.system'",
        ),
        ("name: !mine x\n", "1:7: the tag '!mine': a matrix has no tags; quote what shall be text"),
        (
            "name: a\n---\nname: b\n",
            "2:1: a second document begins here: a matrix is one document, in a file of its own",
        ),
        ("name: *nowhere\n", "1:7: the alias *nowhere has no anchor &nowhere before it"),
        ("name: &a [*a]\n", "1:11: the alias *a stands inside its own anchor: it would never end"),
        ("name: a\x01b\n", "1:8: the character '\\x01' is not allowed in YAML"),
        ("? [a, b]\n: c\n", "1:3: a key must be a plain name, not a list or a mapping"),
        ("name: {on: 1}\n", '1:8: the key on is a boolean to YAML 1.1: quote it ("on")'),
        ("name: {~: 1}\n", "1:8: a key is missing or null: give it a name"),
        ("name: {<<: 3}\n", "1:12: the merge key << takes an alias of a mapping, or a list of them"),
        ("name: " + "9" * 19 + "\n", f"1:7: the number {'9' * 19} is far too large; quote it if it is text"),
    ],
)
def test_a_surprise_is_told_where_it_stands(problems: Problems, text: str, expected: str) -> None:
    told = problems(text + ("" if "\n---" in text else REST))
    assert any(problem.startswith(expected) for problem in told), told


def test_a_syntax_error_says_where_the_broken_part_begins(problems: Problems) -> None:
    (told,) = problems("name: {a: 1\nmodels: 2\n")
    assert told.startswith("2:7: not valid YAML: ")
    assert told.endswith(", while parsing a flow mapping that begins in line 1")


def test_anchors_that_explode_are_stopped_before_anything_is_built(problems: Problems) -> None:
    levels = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]\n" for n in range(1, 9))
    (told,) = problems("l0: &l0 [x, x, x, x, x, x, x, x, x, x]\n" + levels)
    assert told.startswith("5:")
    assert told.endswith(": more than 20,000 values, with aliases counted at each use")


@pytest.mark.parametrize("bracket", ["[", "{a: "])
def test_deep_nesting_ends_in_a_sentence(problems: Problems, bracket: str) -> None:
    (told,) = problems("name: " + bracket * 10_000)
    assert told.endswith(": nested more than 20 levels deep: a matrix needs five")


def test_depth_through_aliases_is_counted(problems: Problems) -> None:
    chain = "".join(f"l{n}: &l{n} [*l{n - 1}]\n" for n in range(1, 5000))
    (told,) = problems("l0: &l0 [x]\n" + chain)
    assert told == "20:12: nested more than 20 levels deep through aliases"


def test_an_escape_for_half_a_character_is_no_text(problems: Problems) -> None:
    assert len(problems('name: "\\ud800"\n' + REST)) == 1


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "1:1: the file is empty: a matrix needs name, models, backends and workloads"),
        (b"# only a comment\n", "1:1: the file is empty: a matrix needs name, models, backends and workloads"),
        (b"- a\n", "1:1: a matrix is a mapping with name, models, backends and workloads"),
        (b"just text\n", "1:1: a matrix is a mapping with name, models, backends and workloads"),
        (b"name: a\nmodels: caf\xe9\n", "2:12: not UTF-8 text (the byte 0xe9): save the file as UTF-8"),
        ("name: a\n".encode("utf-16"), "1:1: not UTF-8 text (UTF-16): save the file as UTF-8"),
        (
            b"#" * (1024 * 1024 + 1),
            "1:1: larger than 1 MiB: a matrix of 10,000 cells needs a few kilobytes; is this the right file?",
        ),
    ],
)
def test_what_is_not_a_matrix_at_all(tmp_path: Path, vocabulary: Vocabulary, content: bytes, expected: str) -> None:
    path = tmp_path / "m.yaml"
    path.write_bytes(content)
    with pytest.raises(MatrixError) as caught:
        load(path, vocabulary)
    assert str(caught.value) == f"{path}:{expected}"


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path, vocabulary: Vocabulary) -> None:
    path = tmp_path / "m.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + f"name: a\n{REST}".encode())
    assert load(path, vocabulary).name == "a"


def test_a_missing_file_names_its_neighbour(tmp_path: Path, vocabulary: Vocabulary) -> None:
    (tmp_path / "qwen3.yaml").touch()
    with pytest.raises(MatrixError, match=r"qwen.yaml:1:1: there is no such file; did you mean 'qwen3.yaml'\?"):
        load(tmp_path / "qwen.yaml", vocabulary)


def test_a_folder_is_not_a_file(tmp_path: Path, vocabulary: Vocabulary) -> None:
    with pytest.raises(MatrixError, match="1:1: not a file: a matrix is a YAML file"):
        load(tmp_path, vocabulary)


def test_merge_keys_work_and_keep_the_positions_of_their_origin(
    load_text: Callable[[str], Matrix], problems: Problems
) -> None:
    text = (
        "name: a\nmodels: {m: {gguf: m.gguf, quants: [Q8_0]}}\nbackends:\n"
        "  one: &base {engine: llama-bench, settings: {threads: 2}}\n"
        "  two: {<<: *base, timeout: 90s}\n"
        "workloads: {w: {kind: prefill, n_prompt: 8}}\n"
    )
    one, two = (declared.backend for declared in load_text(text).backends)
    assert (one.settings, two.settings) == ((("threads", 2),), (("threads", 2),))
    assert (one.timeout_s, two.timeout_s) == (1800.0, 90.0)
    assert problems(text.replace("threads: 2", "threads: 0")) == ["4:56: threads: expected at least 1, got 0"]


def test_a_value_through_an_alias_is_complained_of_where_it_is_used(problems: Problems) -> None:
    text = f"name: a\nthresholds: {{pp_tps: &t 3%, tg_tps: *t}}\n{REST.replace('n_prompt: 8', 'n_prompt: *t')}"
    assert problems(text) == ["5:42: n_prompt: expected a whole number, got '3%'"]


def test_comments_may_hold_tabs() -> None:
    findings = Findings("m.yaml")
    assert yaml_text.read_yaml("name: a # one\ttwo\n#\tthree\n", findings) is not None
    assert not findings
