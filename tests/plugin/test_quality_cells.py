"""Quality cells from the matrix to the exit status: one launch where every launch says the same."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from pytest_thor.beside import Beside
from pytest_thor.judge.conditions import Condition
from tests.plugin.project import Project

STUB = Path(__file__).parents[1] / "fakes" / "stub_llama_perplexity.py"
MATRIX = """\
name: small
models:
  tiny:
    gguf: tiny/tiny-{quant}.gguf
    quants: [F16, Q8_0]
backends:
  perplexity: {engine: llama-perplexity}
workloads:
  text: {kind: quality, text: ../texts/text.txt, ctx_size: 64, chunks: 4, reference: F16}
"""
F16 = "tiny-F16-perplexity-text"
Q8_0 = "tiny-Q8_0-perplexity-text"


class Quality:
    """A project whose cells are measured by a scripted llama-perplexity."""

    def __init__(self, project: Project, cache: Path) -> None:
        self.project = project
        self.cache = cache
        project.matrix.write_text(MATRIX, encoding="utf-8")
        os.link(project.model, project.model.with_name("tiny-Q8_0.gguf"))
        self.text = project.root / "texts" / "text.txt"
        self.text.parent.mkdir()
        self.text.write_text("It was a bright cold day in April. " * 100, encoding="utf-8")
        self.program = project.root / "bin" / "llama-perplexity"
        shutil.copy(STUB, self.program)
        self.program.chmod(0o755)

    def script(self, **behaviour: object) -> None:
        self.program.with_name("llama-perplexity.json").write_text(json.dumps(behaviour), encoding="utf-8")

    def run(self, *arguments: str) -> pytest.RunResult:
        return self.project.run(
            *("--thor-engine", f"llama-perplexity={self.program}", "--thor-launches", "2:8"), *arguments
        )

    def launches(self) -> list[str]:
        return [entry["cell"] for entry in self.project.journal]

    def fingerprint(self) -> dict[str, Any]:
        found: dict[str, Any] = self.project.cell(Q8_0)["fingerprint"]["must_match"]
        return found


@pytest.fixture
def quality(project: Project, monkeypatch: pytest.MonkeyPatch) -> Quality:
    cache = project.root / "cache"
    monkeypatch.setenv("THOR_CACHE", str(cache))
    return Quality(project, cache)


@pytest.fixture
def stored(quality: Quality) -> Quality:
    """A project whose cells have a baseline."""
    assert quality.run("--thor-update-baseline=missing").ret == 0
    return quality


def test_a_first_baseline_takes_one_launch(stored: Quality) -> None:
    assert stored.launches() == [F16, Q8_0]
    content = json.loads(stored.project.baseline_file(Q8_0).read_text())
    assert "0.0123" in json.dumps(content)
    assert [path.suffix for path in (stored.cache / "logits").glob("*.*") if path.suffix == ".logits"] == [".logits"]


def test_the_same_figures_are_unchanged_after_one_launch(stored: Quality) -> None:
    result = stored.run()

    result.assert_outcomes(passed=2)
    assert stored.launches() == [F16, Q8_0]
    assert [cell["verdict"] for cell in stored.project.report["cells"]] == ["unchanged", "unchanged"]
    reference = stored.project.cell(F16)["metrics"]
    beside = stored.project.cell(Q8_0)["metrics"]
    assert set(reference) == {"perplexity"}
    assert beside["kl_divergence"]["unit"] == "nat"
    assert beside["kl_divergence"]["value"] == beside["kl_divergence"]["baseline"] == 0.0123
    assert beside["perplexity"]["limit"] is None


def test_what_predicts_worse_regressed_and_was_launched_twice(stored: Quality) -> None:
    stored.script(perplexities={"tiny-Q8_0.gguf": [10, 11, 12, 13.5]})

    result = stored.run()

    assert result.ret == 1
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*Perplexity rose 3.8 %, from 13.00 to 13.50 ppl; threshold 1.0 %; it has no noise*"])
    assert stored.launches() == [F16, Q8_0, Q8_0]


def test_a_threshold_gates_a_divergence(stored: Quality) -> None:
    stored.script(kld=0.0150)
    assert stored.run().ret == 1
    assert stored.project.cell(Q8_0)["metrics"]["kl_divergence"]["verdict"] == "regressed"
    stored.project.matrix.write_text(f"{MATRIX}thresholds: {{kl_divergence: 50%, tg_tps: 3%, load_s: 20%}}\n")
    assert stored.run().ret == 0


def test_another_text_makes_figures_incomparable_and_another_name_of_it_does_not(stored: Quality) -> None:
    stored.text.rename(stored.text.with_name("same.txt"))
    stored.project.matrix.write_text(MATRIX.replace("text.txt", "same.txt"))
    stored.run()
    assert stored.project.cell(Q8_0)["verdict"] == "unchanged"

    stored.text.with_name("same.txt").write_text("The clocks were striking thirteen. " * 100)
    stored.run()
    assert stored.project.cell(Q8_0)["verdict"] == "incomparable"
    assert "workload.text sha256" in stored.project.cell(Q8_0)["reason"]


def test_another_reference_makes_figures_incomparable(stored: Quality) -> None:
    before = stored.fingerprint()["model.reference_sha256"]
    content = bytearray(stored.project.model.read_bytes())
    content[-1] ^= 1
    stored.project.model.unlink()
    stored.project.model.write_bytes(content)

    stored.run("-k", "Q8_0")

    assert stored.fingerprint()["model.reference_sha256"] != before
    assert stored.project.cell(Q8_0)["verdict"] == "incomparable"


def test_a_missing_reference_skips_the_cell_with_the_reason(quality: Quality) -> None:
    quality.project.model.unlink()

    result = quality.run("-rs")

    result.assert_outcomes(skipped=2)
    assert "tiny-F16.gguf" in quality.project.cell(Q8_0)["reason"]


def test_a_text_that_is_too_short_says_so(quality: Quality) -> None:
    quality.script(tokens=100)

    result = quality.run()

    assert result.ret != 0
    assert "ctx_size 64 needs 128 or more: give a longer text" in quality.project.cell(F16)["reason"]
    assert quality.project.cell(F16)["outcome"] == "error"


def test_a_reference_engine_is_launched_beside_it(stored: Quality) -> None:
    other = stored.program.with_name("other")
    other.mkdir()
    program = other / "llama-perplexity"
    shutil.copy(STUB, program)
    program.with_name("llama-perplexity.json").write_text(json.dumps({"perplexities": [10, 11, 12, 12.5]}))

    result = stored.run("--thor-against", f"llama-perplexity={program}")

    assert result.ret == 1
    cell = stored.project.cell(F16)
    assert cell["verdict"] == "regressed"
    assert (len(cell["launches"]), len(cell["reference_launches"])) == (2, 2)


def test_what_slows_the_machine_is_told_and_makes_no_figure_invalid(
    stored: Quality, monkeypatch: pytest.MonkeyPatch
) -> None:
    throttled = Condition(name="throttled", rule="invalid", sentence="the hardware throttled all the time")
    monkeypatch.setattr(Beside, "conditions", lambda *_: (throttled,))
    stored.run()
    cell = stored.project.cell(Q8_0)
    assert cell["verdict"] == "unchanged"
    assert cell["advice"] == ["the hardware throttled all the time"]


def test_a_users_own_test_gets_the_figures(quality: Quality) -> None:
    own = quality.project.pytester.makepyfile(
        """
        import pytest

        @pytest.mark.thor_cells(kind="quality", quant="Q8_0")
        def test_close_to_the_reference(thor_run):
            assert thor_run().metrics["kl_divergence"].value < 0.05
        """
    )
    result = quality.run(str(own))
    result.assert_outcomes(passed=1)
