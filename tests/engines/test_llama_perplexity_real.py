"""The real llama-perplexity, and that the stub which stands in for it elsewhere speaks as it does."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from pytest_thor.artifacts.kept import content_sha256
from pytest_thor.artifacts.synthetic import make_synthetic
from pytest_thor.cell import Setting
from pytest_thor.engines.kept_logits import read_head
from pytest_thor.engines.llama_perplexity import LlamaPerplexity
from pytest_thor.engines.reference_model import ReferenceModel
from pytest_thor.measurement import Launch
from tests.cells import SYNTHETIC, build_cell
from tests.engines.every_setting import EVERY_SETTING

pytestmark = pytest.mark.engine

ROOT = Path(__file__).parents[2]
TEXT = ROOT / "matrices" / "texts" / "weighing.txt"
STUB = ROOT / "tests" / "fakes" / "stub_llama_perplexity.py"
Measure: TypeAlias = Callable[..., Launch]


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    cache = tmp_path_factory.mktemp("synthetic")
    return {quant: make_synthetic("qwen3-tiny", quant, cache=cache) for quant in ("F16", "Q8_0", "Q4_K_M")}


@pytest.fixture
def measure(models: dict[str, Path], tmp_path: Path) -> Measure:
    kept = tmp_path / "logits"
    kept.mkdir()
    path = models["F16"]
    reference = ReferenceModel(path=path, sha256=content_sha256(path, kept, lambda _: None), vocabulary=2048)
    engine = LlamaPerplexity(None, lambda _: reference, kept)

    def measure(
        quant: str, *, beside: bool = False, settings: dict[str, Setting] | None = None, **parameters: Setting
    ) -> Launch:
        asked: dict[str, Setting] = {
            "text": str(TEXT),
            "text_sha256": hashlib.sha256(TEXT.read_bytes()).hexdigest(),
            "ctx_size": 64,
            "chunks": 4,
            "reference": "F16" if beside else None,
            **parameters,
        }
        cell = build_cell(
            "quality",
            asked,
            workload="text",
            quant=quant,
            artifact=SYNTHETIC,
            engine="llama-perplexity",
            settings={"threads": 1, **(settings or {})},
            timeout_s=120,
            path=tmp_path / "tiny.yaml",
            reference=SYNTHETIC if beside else None,
        )
        [(_, launch)] = engine.launch([cell], models[quant], lambda _: None)
        return launch

    return measure


def test_two_launches_give_one_figure(measure: Measure) -> None:
    first, second = measure("Q4_K_M"), measure("Q4_K_M")
    assert first.failure is None
    assert first.samples == second.samples
    assert len(first.evidence["perplexity_after_chunk"]) == 4
    [(begin, end)] = first.windows
    assert begin < end


def test_the_coarser_quant_lies_farther_from_the_reference(measure: Measure) -> None:
    q8_0, q4_k_m = measure("Q8_0", beside=True), measure("Q4_K_M", beside=True)
    assert q8_0.failure is None
    assert q4_k_m.failure is None
    assert 0 < q8_0.samples["kl_divergence"][0] < q4_k_m.samples["kl_divergence"][0]
    assert (q8_0.evidence["reference"]["made_now"], q4_k_m.evidence["reference"]["made_now"]) == (True, False)
    head = read_head(Path(q8_0.evidence["reference"]["logits"]))
    assert head is not None
    assert (head.ctx_size, head.vocabulary, head.chunks) == (64, 2048, 4)


def test_a_perplexity_is_the_same_alone_and_beside_a_reference(measure: Measure) -> None:
    [alone] = measure("Q4_K_M").samples["perplexity"]
    [beside] = measure("Q4_K_M", beside=True).samples["perplexity"]
    assert beside == pytest.approx(alone, rel=1e-5)


def test_the_reference_beside_itself_does_not_diverge(measure: Measure) -> None:
    assert measure("F16", beside=True).samples["kl_divergence"][0] <= 1e-5


def test_every_setting_is_an_option_that_it_takes_and_a_smaller_cache_costs_quality(measure: Measure) -> None:
    [plain] = measure("F16", beside=True, settings={"n_gpu_layers": 99}).samples["kl_divergence"]
    launch = measure("F16", beside=True, settings={**EVERY_SETTING, "batch_size": 32})
    assert launch.failure is None
    assert launch.samples["kl_divergence"][0] >= plain


def test_a_text_that_this_vocabulary_makes_too_short_says_so(measure: Measure) -> None:
    launch = measure("F16", ctx_size=4096)
    assert launch.failure is not None
    assert re.search(r"has \d+ tokens in this model's vocabulary, and ctx_size 4096 needs 8192 or more", launch.failure)
    launch = measure("F16", chunks=1000)
    assert launch.failure is not None
    assert re.search(r"has \d+ chunks of 64 tokens .* and 1000 were asked for", launch.failure)


def test_a_file_that_is_no_model_fails_in_its_words(measure: Measure, models: dict[str, Path], tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.gguf"
    foreign.write_bytes(b"not a model")
    sound, models["Q8_0"] = models["Q8_0"], foreign
    try:
        launch = measure("Q8_0")
    finally:
        models["Q8_0"] = sound
    assert launch.failure is not None
    assert "llama-perplexity ended with exit status 1" in launch.failure


def test_the_stub_writes_and_prints_what_the_real_one_does(models: dict[str, Path], tmp_path: Path) -> None:
    stub = tmp_path / "llama-perplexity"
    stub.write_bytes(STUB.read_bytes())
    stub.chmod(0o755)
    stub.with_name("llama-perplexity.json").write_text(json.dumps({"vocabulary": 2048}))
    programs = {"real": LlamaPerplexity().identify().path, "stub": str(stub)}
    common = ["-c", "64", "-b", "64", "--no-warmup"]
    of_text = ["-f", str(TEXT), "--chunks", "4", "--ppl-output-type", "1"]

    def shape(program: str, words: list[str], *, lines: int) -> list[str]:
        """What is printed, without its figures; a run that loses its end is made again."""
        for _ in range(50):
            run = subprocess.run([program, *common, *words], capture_output=True, text=True, check=True)
            rows = [line for line in run.stdout.splitlines() if re.match(r"\s+\d+\s|Mean PPL\(Q\)  |Mean +KLD", line)]
            if len(rows) == lines:
                break
        return [re.sub(r"[-\d.]+", "0", re.sub(r"\s+", " ", row))[:24] for row in rows]

    def announced(program: str, words: list[str]) -> str:
        for _ in range(50):
            run = subprocess.run([program, *common, *words], capture_output=True, text=True, check=True)
            found = re.search(r"\w+: \w+(?: perplexity)? over 4 chunks, n_ctx=64", run.stderr)
            if found:
                return found[0]
        raise AssertionError(run.stderr)

    kept = {name: str(tmp_path / f"{name}.logits") for name in programs}
    reference, quant = (["-m", str(models[name])] for name in ("F16", "Q4_K_M"))
    writing = {name: [*reference, *of_text, "--kl-divergence-base", kept[name]] for name in programs}
    reading = {name: [*quant, "--kl-divergence", "--kl-divergence-base", kept[name]] for name in programs}
    real, fake = (shape(path, writing[name], lines=4) for name, path in programs.items())
    assert fake == real
    assert Path(kept["stub"]).stat().st_size == Path(kept["real"]).stat().st_size
    assert read_head(Path(kept["stub"])) == read_head(Path(kept["real"]))
    real, fake = (shape(path, reading[name], lines=6) for name, path in programs.items())
    assert fake == real
    for words in (writing, reading):
        real_says, stub_says = (announced(path, words[name]) for name, path in programs.items())
        assert stub_says == real_says


def test_the_shipped_matrix_tells_the_same_twice(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THOR_CACHE", str(pytester.path / "cache"))
    (pytester.path / "pyproject.toml").write_text("")
    (pytester.path / "texts").mkdir()
    (pytester.path / "texts" / TEXT.name).write_bytes(TEXT.read_bytes())
    (pytester.path / "quality.yaml").write_bytes((ROOT / "matrices" / "quality.yaml").read_bytes())
    only = ("--thor-matrix", "quality.yaml", "-m", "thor_cell(kind='quality')")
    first = pytester.runpytest_subprocess(*only, "--thor-update-baseline=missing")
    second = pytester.runpytest_subprocess(*only)

    first.assert_outcomes(passed=3, deselected=3)
    second.assert_outcomes(passed=3, deselected=3)
    report = json.loads((pytester.path / "thor-report" / "report.json").read_text())
    assert [cell["verdict"] for cell in report["cells"]] == ["unchanged"] * 3
    assert [len(cell["launches"]) for cell in report["cells"]] == [1, 1, 1]
    assert [set(cell["metrics"]) for cell in report["cells"]] == [
        {"perplexity"},
        {"perplexity", "kl_divergence"},
        {"perplexity", "kl_divergence"},
    ]
    assert "text kl_divergence" in (pytester.path / "thor-report" / "report.md").read_text()
