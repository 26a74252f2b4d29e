import pytest

from pytest_thor.artifacts.synthetic_vocabulary import make_vocabulary


@pytest.mark.parametrize("size", [2048, 151_936])
def test_a_vocabulary_has_the_size_asked_for_and_no_token_twice(size: int) -> None:
    vocabulary = make_vocabulary(size)
    assert len(vocabulary.tokens) == len(vocabulary.types) == size
    assert len(set(vocabulary.tokens)) == size


def test_the_full_vocabulary_is_laid_out_as_qwen3_has_it() -> None:
    vocabulary = make_vocabulary(151_936)
    assert len(vocabulary.merges) == 151_387
    assert vocabulary.tokens[151_643] == "<|endoftext|>"
    assert vocabulary.tokens[151_645] == "<|im_end|>"
    assert vocabulary.tokens[151_668] == "</think>"
    assert vocabulary.tokens[151_669] == "[PAD151669]"
    assert (vocabulary.end_of_text, vocabulary.end_of_turn) == (151_643, 151_645)


def test_every_token_is_whole_characters_of_ascii() -> None:
    first = make_vocabulary(2048).tokens[:256]
    characters = [token for token in first if len(token) == 1]
    assert len(characters) == 128
    assert all(token.isprintable() and not token.isspace() for token in characters)
    assert "Ġ" in characters  # how byte-level BPE writes a space
    assert all(token == f"byte{number}" for number, token in enumerate(first) if len(token) > 1)


def test_every_merge_joins_earlier_tokens_into_the_next_one() -> None:
    vocabulary = make_vocabulary(4096)
    rank = {token: number for number, token in enumerate(vocabulary.tokens)}
    for number, merge in enumerate(vocabulary.merges):
        left, right = merge.split(" ")
        assert rank[left + right] == 256 + number
        assert max(rank[left], rank[right]) < 256 + number
