"""What the environment keeps secret is in nothing that a run leaves, whatever an engine prints."""

from __future__ import annotations

import pytest

from tests.plugin.project import Project

SECRET = "hf_ThisIsNobodysTokenAtAll"


@pytest.mark.parametrize("stream", [1, 2])
def test_an_engine_that_prints_a_token_leaves_it_nowhere(
    project: Project, monkeypatch: pytest.MonkeyPatch, stream: int
) -> None:
    monkeypatch.setenv("HF_TOKEN", SECRET)
    project.engine.rename(project.engine.with_name("real"))
    project.engine.write_text(
        f'#!/bin/sh\ncase "$*" in *--help*|*--version*) exec "$0-real" "$@";; esac\n'
        f'echo "error: 401 with $HF_TOKEN" >&{stream}\nexit 3\n'
    )
    project.engine.with_name("real").rename(project.engine.with_name("llama-bench-real"))
    project.engine.chmod(0o755)

    result = project.run("-vv", "--junitxml=junit.xml")

    kept = {path: path.read_bytes() for path in (project.root / "thor-report").rglob("*") if path.is_file()}
    kept[project.root / "junit.xml"] = (project.root / "junit.xml").read_bytes()
    assert any(b"401 with ***" in content for content in kept.values())
    assert [path for path, content in kept.items() if SECRET.encode() in content] == []
    assert SECRET not in result.stdout.str() + result.stderr.str()
    assert "401 with ***" in result.stdout.str()
