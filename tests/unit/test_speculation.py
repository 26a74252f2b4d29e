"""Which settings say that an engine guesses ahead."""

from __future__ import annotations

import pytest

from pytest_thor.cell import Setting
from pytest_thor.speculation import guesses_ahead


@pytest.mark.parametrize(
    "settings",
    [
        {"speculative_config": '{"method": "eagle3"}'},
        {"extra_args": ("--model-draft", "small.gguf")},
        {"extra_args": ("-md", "small.gguf")},
        {"extra_args": ("--lookup-ngram-min", "3")},
        {"extra_args": ("--spec-type", "draft-mtp")},
    ],
)
def test_an_engine_guesses_ahead_by_its_settings_or_its_arguments(settings: dict[str, Setting]) -> None:
    assert guesses_ahead(settings)


@pytest.mark.parametrize(
    "settings", [{}, {"ctx_size": 2048, "flash_attn": "on"}, {"extra_args": ("--perf", "--no-warmup", "-mg", "0")}]
)
def test_others_do_not(settings: dict[str, Setting]) -> None:
    assert not guesses_ahead(settings)
