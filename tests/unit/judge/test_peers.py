from __future__ import annotations

from pytest_thor.judge.peers import Peer, unusually_slow


def peer(name: str, value: float, *, efficiency: float | None = None, workload: str = "high-load") -> Peer:
    return Peer(
        id=name,
        workload=workload,
        architecture="qwen3-8b",
        values={"output_tps": value},
        efficiencies={} if efficiency is None else {"output_tps": efficiency},
    )


def test_a_cell_far_below_its_peers_share_of_the_limit_is_named() -> None:
    peers = [*(peer(f"fast-{number}", 100, efficiency=0.6) for number in range(3)), peer("slow", 100, efficiency=0.1)]

    [(name, sentence)] = unusually_slow(peers).items()

    assert name == "slow"
    assert "10.0 % of what the device can reach" in sentence
    assert "reach 60.0 %" in sentence


def test_the_published_gguf_row_is_named_though_its_quant_is_not_known() -> None:
    # Qwen3-8B under high load on vLLM: BF16, FP4, GPTQ-Int4, AWQ and the GGUF, tok/s.
    published = {"BF16": 82.47, "FP4": 167.20, "GPTQ-Int4": 100.70, "AWQ": 100.45, "GGUF": 7.91}

    advice = unusually_slow([peer(name, value) for name, value in published.items()])

    assert list(advice) == ["GGUF"]
    assert "7.910 tok/s" in advice["GGUF"]
    assert "100.6 tok/s" in advice["GGUF"]


def test_too_few_peers_or_another_workload_say_nothing() -> None:
    assert unusually_slow([]) == {}
    assert unusually_slow([peer("a", 100), peer("b", 100), peer("slow", 1)]) == {}
    others = [peer(f"fast-{number}", 100, workload="low-load") for number in range(3)]
    assert unusually_slow([*others, peer("slow", 1)]) == {}


def test_quants_of_one_model_may_differ_as_their_bits_do() -> None:
    peers = [peer("BF16", 40), peer("FP8", 80), peer("AWQ", 150), peer("FP4", 160)]

    assert unusually_slow(peers) == {}
