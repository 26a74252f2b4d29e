"""A launch of llama-perplexity: the figures, the reference's logits and what becomes of them, and what goes wrong."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_thor.cell import ArtifactReference, Cell, Setting
from pytest_thor.cores import cores
from pytest_thor.engines import perplexity_launch
from pytest_thor.engines.kept_logits import KEPT_S, read_head
from pytest_thor.engines.llama_perplexity import LlamaPerplexity
from pytest_thor.engines.reference_model import ReferenceModel
from pytest_thor.errors import EngineFailure, EngineMissing
from pytest_thor.measurement import Launch
from tests.cells import build_cell

STUB = Path(__file__).parents[2] / "fakes" / "stub_llama_perplexity.py"
F16 = ArtifactReference(format="gguf", location="tiny-F16.gguf")


class StubPerplexity:
    """A scripted program with a text, a model and a reference to measure."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.program = folder / "llama-perplexity"
        shutil.copy(STUB, self.program)
        self.program.chmod(0o755)
        self.text = folder / "text.txt"
        self.text.write_text("It was a bright cold day in April. " * 100, encoding="utf-8")
        self.model = folder / "tiny-Q4_K_M.gguf"
        self.reference = ReferenceModel(path=folder / "tiny-F16.gguf", sha256="f" * 64, vocabulary=32)
        self.kept = folder / "logits"
        self.steps: list[str] = []

    def script(self, **behaviour: object) -> None:
        (self.folder / "llama-perplexity.json").write_text(json.dumps(behaviour), encoding="utf-8")

    def cell(
        self,
        *,
        beside: bool = False,
        settings: dict[str, Setting] | None = None,
        timeout_s: float = 30.0,
        **parameters: Setting,
    ) -> Cell:
        digest = hashlib.sha256(self.text.read_bytes()).hexdigest()
        asked: dict[str, Setting] = {
            "text": "text.txt",
            "text_sha256": digest,
            "ctx_size": 64,
            "chunks": 4,
            "reference": "F16" if beside else None,
            **parameters,
        }
        return build_cell(
            "quality",
            asked,
            workload="text",
            quant="Q4_K_M",
            engine="llama-perplexity",
            settings=settings,
            timeout_s=timeout_s,
            path=self.folder / "test.yaml",
            reference=F16 if beside else None,
        )

    def launch(self, cell: Cell) -> Launch:
        engine = LlamaPerplexity(self.program, lambda _: self.reference, self.kept)
        [batch] = engine.batches([cell])
        [(measured, launch)] = engine.launch(batch, self.model, lambda progress: self.steps.append(progress.step))
        assert measured is cell
        assert list(self.kept.glob(".*")) == []  # nothing half-written
        return launch

    def runs(self) -> list[list[str]]:
        lines = self.program.with_name("llama-perplexity.runs").read_text().splitlines()
        return [json.loads(line) for line in lines]


@pytest.fixture
def stub(tmp_path: Path) -> StubPerplexity:
    return StubPerplexity(tmp_path)


def test_without_a_reference_there_is_a_perplexity(stub: StubPerplexity) -> None:
    launch = stub.launch(stub.cell(settings={"threads": 2}))
    assert launch.failure is None
    assert launch.samples == {"perplexity": (13.0,)}
    assert launch.evidence == {"chunks": 4, "perplexity_after_chunk": [10.0, 11.0, 12.0, 13.0]}
    assert (launch.engine.name, launch.engine.version, launch.engine.commit) == (
        "llama-perplexity",
        "0.0.0-stub (build 7)",
        "abcdef0",
    )
    [(begin, end)] = launch.windows
    assert begin < end
    [arguments] = stub.runs()
    assert arguments == [
        *("-m", str(stub.model), "--no-warmup", "-c", "64", "-b", "64", "-t", "2"),
        *("-f", str(stub.text), "--chunks", "4", "--ppl-output-type", "1"),
    ]
    assert stub.steps[0] == "perplexity: 0 of 4 chunks"
    assert stub.steps[-1] == "perplexity: 4 of 4 chunks"


def test_where_it_may_not_use_every_core_it_is_told_how_many(
    stub: StubPerplexity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: len(os.sched_getaffinity(0)) + 1)
    stub.launch(stub.cell())
    stub.launch(stub.cell(settings={"threads": 1}))
    threads = [arguments[arguments.index("-t") + 1] for arguments in stub.runs()]
    assert threads == [str(cores()), "1"]


def test_all_of_a_text_is_as_many_chunks_as_it_has(stub: StubPerplexity) -> None:
    launch = stub.launch(stub.cell(chunks="all"))
    assert launch.evidence["chunks"] == 4
    assert "--chunks" not in stub.runs()[0]


def test_beside_a_reference_its_logits_are_made_once(stub: StubPerplexity) -> None:
    first, second = stub.launch(stub.cell(beside=True)), stub.launch(stub.cell(beside=True))
    assert first.failure is None
    assert first.samples == second.samples == {"perplexity": (13.0,), "kl_divergence": (0.0123,)}
    assert first.evidence["statistics"]["Same top p"] == 96.774
    assert first.evidence["statistics"]["99.9% KLD"] == 0.1
    [kept] = stub.kept.glob("*.logits")
    assert first.evidence["reference"] == {
        "path": str(stub.reference.path),
        "sha256": "f" * 64,
        "logits": str(kept),
        "made_now": True,
    }
    assert second.evidence["reference"]["made_now"] is False
    models = [arguments[1] for arguments in stub.runs()]
    assert models == [str(stub.reference.path), str(stub.model), str(stub.model)]


@pytest.mark.parametrize(
    "change",
    [
        lambda stub: setattr(stub, "reference", replace(stub.reference, sha256="e" * 64)),
        lambda stub: stub.text.write_text(stub.text.read_text() + "The clocks were striking thirteen."),
    ],
)
def test_another_model_or_text_has_other_logits(stub: StubPerplexity, change: Any) -> None:
    stub.launch(stub.cell(beside=True))
    change(stub)
    assert stub.launch(stub.cell(beside=True)).evidence["reference"]["made_now"] is True
    assert len(list(stub.kept.glob("*.logits"))) == 2


@pytest.mark.parametrize(
    ("settings", "made_now"),
    [
        ({"threads": 7}, False),
        ({"cache_type_k": "q8_0", "flash_attn": "on"}, False),
        ({"n_gpu_layers": 99}, True),
        ({"batch_size": 16}, True),
        ({"extra_args": ("--rope-scale", "2")}, True),
    ],
)
def test_what_shapes_the_reference_makes_other_logits(
    stub: StubPerplexity, settings: dict[str, Setting], made_now: bool
) -> None:
    stub.launch(stub.cell(beside=True))
    launch = stub.launch(stub.cell(beside=True, settings=settings))
    assert launch.failure is None
    assert launch.evidence["reference"]["made_now"] is made_now


def test_the_reference_keeps_its_own_cache_type(stub: StubPerplexity) -> None:
    stub.launch(stub.cell(beside=True, settings={"cache_type_k": "q8_0", "threads": 2}))
    of_reference, of_quant = stub.runs()
    assert "-ctk" in of_quant
    assert "-ctk" not in of_reference
    assert "-t" in of_reference


def test_what_was_not_used_for_long_is_removed_when_more_is_made(stub: StubPerplexity) -> None:
    stub.kept.mkdir()
    old, used, lost = (stub.kept / name for name in ("old.logits", "used.logits", ".lost.logits.1.unfinished"))
    for file in (old, used, lost):
        file.write_bytes(b"")
    long_ago = time.time() - KEPT_S - 60
    os.utime(old, (long_ago, long_ago))
    os.utime(lost, (long_ago, long_ago))
    stub.launch(stub.cell(beside=True))
    assert not old.exists()
    assert used.exists()


def test_a_divergence_below_the_last_digit_is_that_digit(stub: StubPerplexity) -> None:
    stub.script(kld=-0.000002)
    launch = stub.launch(stub.cell(beside=True))
    assert launch.samples["kl_divergence"] == (1e-6,)
    assert launch.evidence["statistics"]["Mean KLD"] == -0.000002


@pytest.mark.parametrize("beside", [False, True])
def test_lines_that_are_lost_at_the_end_are_asked_for_again(stub: StubPerplexity, *, beside: bool) -> None:
    stub.script(lose=2)
    launch = stub.launch(stub.cell(beside=beside))
    assert launch.failure is None
    assert launch.samples["perplexity"] == (13.0,)
    assert launch.evidence["attempts"] == (2 if beside else 3)  # logits that are whole need no last line


def test_what_never_prints_a_result_is_given_up(stub: StubPerplexity, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perplexity_launch, "PATIENCE_S", 0.0)
    stub.script(lose=1000)
    launch = stub.launch(stub.cell())
    assert launch.failure is not None
    assert launch.failure.startswith("llama-perplexity ended well 3 times and printed no result: ")
    assert launch.samples == {}


@pytest.mark.parametrize(
    ("behaviour", "parameters", "expected"),
    [
        (
            {"tokens": 100},
            {},
            "has 100 tokens in this model's vocabulary, and ctx_size 64 needs 128 or more: give a longer text",
        ),
        (
            {"tokens": 200},
            {},
            "has 3 chunks of 64 tokens in this model's vocabulary, and 4 were asked for: give a longer text, or lower",
        ),
        (
            {"perplexities": [10, "nan", 12, 13]},
            {},
            "tiny-Q4_K_M.gguf gives no numbers: its perplexity is nan after 2 of 4",
        ),
        ({"perplexities": [10, "inf", 12, 13]}, {}, "gives no numbers: its perplexity is inf after 2 of 4 chunks"),
        ({"kld": "nan"}, {"beside": True}, "the divergence of tiny-Q4_K_M.gguf from the reference is nan, no number"),
        ({"fault": "crash"}, {}, "llama-perplexity crashed (SIGSEGV"),
        ({"fault": "decode"}, {}, "could not calculate a chunk of 64 tokens with tiny-Q4_K_M.gguf"),
        ({"fault": "hang"}, {"timeout_s": 0.5}, "llama-perplexity did not finish within 0.5 s and was stopped"),
        ({}, {"text_sha256": "0" * 64}, "changed since the matrix was read: run again"),
        ({}, {"text": "gone.txt"}, "the text cannot be read: "),
        (
            {"tokens": 200},
            {"beside": True},
            "has 3 chunks of 64 tokens in this model's vocabulary, and 4 were asked for",
        ),
        (
            {"perplexities": [10, 11, 12]},
            {"beside": True, "chunks": "all"},
            "has 3 chunks of 64 tokens with 93 that are predicted, and a divergence from the reference needs 100: ",
        ),
        (
            {"perplexities": {"tiny-F16.gguf": ["nan", 1, 1, 1]}},
            {"beside": True},
            "tiny-F16.gguf gives no numbers: its perplexity is nan after 1 of 4",
        ),
        ({"fault": "crash", "of": "tiny-F16.gguf"}, {"beside": True}, "llama-perplexity crashed (SIGSEGV"),
        (
            {"fault": "vocabulary", "of": "tiny-Q4_K_M.gguf"},
            {"beside": True},
            "the reference knows 32 tokens and tiny-Q4_K_M.gguf 33: they are not quants of one model; name another",
        ),
        ({"short_by": 1}, {"beside": True}, "are not whole: is the disk full ("),
    ],
)
def test_what_goes_wrong_is_told_with_what_to_do(
    stub: StubPerplexity, behaviour: dict[str, object], parameters: dict[str, Any], expected: str
) -> None:
    stub.script(**behaviour)
    launch = stub.launch(stub.cell(**parameters))
    assert launch.failure is not None
    assert expected in launch.failure
    assert launch.samples == {}
    assert (
        list(stub.kept.glob("*.logits")) == []
        or behaviour.get("of") == "tiny-Q4_K_M.gguf"
        or "93" in expected
        or "kld" in behaviour
    )


def test_a_disk_is_not_filled(stub: StubPerplexity) -> None:
    stub.reference = replace(stub.reference, vocabulary=10**14)
    launch = stub.launch(stub.cell(beside=True))
    assert launch.failure is not None
    assert "the logits of tiny-F16.gguf over 4 chunks take" in launch.failure
    assert "lower chunks, free some space, or choose another cache with THOR_CACHE" in launch.failure


def test_a_reference_that_does_not_fit_is_not_tried_unless_its_logits_are_there(stub: StubPerplexity) -> None:
    fits = stub.reference
    stub.reference = replace(fits, too_large="tiny F16 needs 40 GiB")
    launch = stub.launch(stub.cell(beside=True))
    assert launch.failure == "the reference cannot be run here: tiny F16 needs 40 GiB"
    stub.reference = fits
    stub.launch(stub.cell(beside=True))
    stub.reference = replace(fits, too_large="tiny F16 needs 40 GiB")
    assert stub.launch(stub.cell(beside=True)).failure is None


def test_a_folder_that_cannot_be_written_is_told(stub: StubPerplexity) -> None:
    stub.kept = stub.text / "logits"
    launch = stub.launch(stub.cell(beside=True))
    assert launch.failure is not None
    assert "the reference's logits cannot be kept in" in launch.failure


def test_a_kept_file_that_was_cut_is_made_anew(stub: StubPerplexity) -> None:
    stub.launch(stub.cell(beside=True))
    [kept] = stub.kept.glob("*.logits")
    kept.write_bytes(kept.read_bytes()[:-1])
    assert read_head(kept) is None
    launch = stub.launch(stub.cell(beside=True))
    assert launch.failure is None
    assert launch.evidence["reference"]["made_now"] is True
    assert read_head(kept) is not None


def test_a_reference_without_a_finder_is_a_failure(stub: StubPerplexity) -> None:
    with pytest.raises(EngineFailure, match="without a way to find the reference"):
        LlamaPerplexity(stub.program).launch([stub.cell(beside=True)], stub.model, print)


def test_a_setting_that_the_build_lacks_is_named_with_it(stub: StubPerplexity) -> None:
    with pytest.raises(EngineMissing, match=r"llama-perplexity 0\.0\.0-stub .* has no option -sm or --split-mode"):
        stub.launch(stub.cell(settings={"split_mode": "row"}))
