"""Prompts: ordinary token ids only, the same for a seed, and none like another from its very start."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_thor.serving.load import TokenIds
from pytest_thor.serving.prompts import Prompts

QWEN3 = TokenIds(size=151_936, forbidden=frozenset(range(151_643, 151_936)))
SEEDS = st.integers(0, 2**64 - 1)
VOCABULARIES = st.builds(
    lambda size, forbidden: TokenIds(size=size, forbidden=frozenset(id_ % (size - 2) for id_ in forbidden)),
    st.integers(3, 3000),
    st.sets(st.integers(0, 3000), max_size=40),
)


@given(token_ids=VOCABULARIES, seed=SEEDS, number=st.integers(-5, 10_000), length=st.integers(1, 80))
@settings(deadline=None)
def test_a_prompt_has_its_length_and_ordinary_tokens_only(
    token_ids: TokenIds, seed: int, number: int, length: int
) -> None:
    prompt = Prompts(token_ids, seed).prompt(number, length)
    assert len(prompt) == length
    assert all(0 <= token < token_ids.size for token in prompt)
    assert token_ids.forbidden.isdisjoint(prompt)


@given(token_ids=VOCABULARIES, seed=SEEDS, number=st.integers(-5, 10_000), lengths=st.tuples(*[st.integers(1, 40)] * 2))
@settings(deadline=None)
def test_the_seed_and_the_number_decide_a_prompt(
    token_ids: TokenIds, seed: int, number: int, lengths: tuple[int, int]
) -> None:
    short, long = sorted(lengths)
    first = Prompts(token_ids, seed).prompt(number, long)
    assert Prompts(token_ids, seed).prompt(number, long) == first
    assert Prompts(token_ids, seed).prompt(number, short) == first[:short]


@given(seed=SEEDS)
@settings(deadline=None, max_examples=20)
def test_no_two_prompts_begin_with_one_token_while_there_are_tokens(seed: int) -> None:
    token_ids = TokenIds(size=500, forbidden=frozenset({0, 1, 2, 499}))
    prompts = Prompts(token_ids, seed)
    assert len({prompts.prompt(number, 3)[0] for number in range(-8, 488)}) == 496


@given(token_ids=VOCABULARIES.filter(lambda ids: len(ids.usable) > 8), seed=SEEDS)
@settings(deadline=None, max_examples=20)
def test_no_two_prompts_share_their_first_16_tokens(token_ids: TokenIds, seed: int) -> None:
    prompts = Prompts(token_ids, seed)
    heads = {prompts.prompt(number, 20)[:16] for number in range(-10, 2000)}
    assert len(heads) == 2010


def test_another_run_begins_no_prompt_alike() -> None:
    heads = [{Prompts(QWEN3, seed).prompt(number, 16) for number in range(300)} for seed in (1, 2)]
    assert heads[0].isdisjoint(heads[1])
    both = {head[:4] for head in heads[0]} & {head[:4] for head in heads[1]}
    assert not both


def test_every_ordinary_token_is_as_likely_at_the_start_as_later() -> None:
    token_ids = TokenIds(size=10, forbidden=frozenset({3, 9}))
    counts = [dict.fromkeys(range(10), 0) for _ in range(6)]
    for seed in range(4000):
        for place, token in enumerate(Prompts(token_ids, seed).prompt(seed, 20)[::4]):
            counts[place][token] += 1
    for count in counts[:5]:
        assert count.pop(3) == count.pop(9) == 0
        assert all(400 < times < 600 for times in count.values())  # 500 expected, 21 the standard deviation


def test_a_sample_is_uniform_over_the_usable_ids() -> None:
    drawn = TokenIds(size=6, forbidden=frozenset({0, 5, 77})).sample(Random(1), 40_000)
    assert {token: round(drawn.count(token) / 10_000, 1) for token in set(drawn)} == {1: 1.0, 2: 1.0, 3: 1.0, 4: 1.0}


@pytest.mark.parametrize(("size", "forbidden"), [(0, ()), (1, ()), (5, (0, 1, 2, 3))])
def test_a_vocabulary_without_ordinary_tokens_makes_no_prompts(size: int, forbidden: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=f"a vocabulary of {size} ids with [01] ordinary ones makes no prompts"):
        TokenIds(size=size, forbidden=frozenset(forbidden))
