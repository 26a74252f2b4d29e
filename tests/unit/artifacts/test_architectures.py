import pytest

from pytest_thor.artifacts.architectures import ARCHITECTURES


@pytest.mark.parametrize(
    ("name", "published_millions"),
    [
        # As the model cards give them (0.6 B, 1.7 B, 4.0 B, …) and llama-bench prints them, in millions.
        ("qwen3-0.6b", 596.05),
        ("qwen3-1.7b", 1720.57),
        ("qwen3-4b", 4022.47),
        ("qwen3-8b", 8190.74),
        ("qwen3-14b", 14768.31),
        ("qwen3-32b", 32762.12),
        ("qwen3-30b-a3b", 30532.12),
        ("gpt-oss-20b", 20914.76),
        ("gpt-oss-120b", 116829.16),
    ],
)
def test_a_known_shape_has_the_published_number_of_parameters(name: str, published_millions: float) -> None:
    assert ARCHITECTURES[name].parameters / 1e6 == pytest.approx(published_millions, abs=0.005)


def test_the_published_0_6b_file_counts_its_tied_table_twice() -> None:
    # llama-bench prints 751.63 M for Qwen3-0.6B: the checkpoint carries lm_head.weight although it is tied to the
    # embeddings, and the converter writes it as a tensor of its own.
    shape = ARCHITECTURES["qwen3-0.6b"]
    assert shape.tied_embeddings
    assert (shape.parameters + shape.width * shape.vocabulary) / 1e6 == pytest.approx(751.63, abs=0.005)


@pytest.mark.parametrize(("name", "tensors"), [("qwen3-8b", 399), ("qwen3-30b-a3b", 579), ("gpt-oss-20b", 459)])
def test_a_known_shape_has_as_many_tensors_as_the_published_file(name: str, tensors: int) -> None:
    assert len(ARCHITECTURES[name].tensors) == tensors


def test_the_toys_are_a_few_megabytes_and_take_every_k_quant() -> None:
    for name in ("qwen3-tiny", "qwen3moe-tiny"):
        toy = ARCHITECTURES[name]
        assert toy.parameters < 5_000_000
        rows = {shape[0] for tensor, shape in toy.tensors if len(shape) > 1}
        assert all(row % 256 == 0 for row in rows)


def test_the_toy_of_gpt_oss_has_rows_of_its_blocks_and_no_more_as_the_real_ones_do() -> None:
    assert ARCHITECTURES["gpt-oss-tiny"].parameters < 6_000_000
    for name in ("gpt-oss-tiny", "gpt-oss-20b"):
        rows = {shape[0] for tensor, shape in ARCHITECTURES[name].tensors if "_exps.weight" in tensor}
        assert all(row % 32 == 0 and row % 256 for row in rows)


def test_every_shape_stands_under_its_own_name() -> None:
    assert all(name == shape.name for name, shape in ARCHITECTURES.items())


def test_a_mixture_uses_some_of_its_experts_and_has_no_dense_layer() -> None:
    for shape in ARCHITECTURES.values():
        if shape.experts is None:
            assert shape.ffn is not None
            assert shape.experts_used is None
        else:
            assert shape.ffn is None
            assert shape.experts_used is not None
            assert shape.experts_used < shape.experts
