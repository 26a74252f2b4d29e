"""``extra_args``: what pytest-thor says itself, and what has a setting of its own, is not said again."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, ValidationError

from pytest_thor.engines.llama_bench import LlamaBenchSettings
from pytest_thor.engines.llama_perplexity import LlamaPerplexitySettings
from pytest_thor.engines.llama_server_settings import LlamaServerSettings
from pytest_thor.engines.vllm_settings import VllmSettings


@pytest.mark.parametrize(
    ("settings", "words", "why"),
    [
        (LlamaBenchSettings, ("-p", "8"), "-p is set by the workload"),
        (LlamaBenchSettings, ("--n_prompt", "8"), "--n-prompt is set by the workload"),
        (LlamaBenchSettings, ("--model=x",), "--model is set by the artifact"),
        (LlamaBenchSettings, ("-t", "1"), "-t has a setting of its own: threads"),
        (LlamaBenchSettings, ("-ot", "a=CPU,b=CPU"), "a comma asks llama-bench for several tests"),
        (LlamaPerplexitySettings, ("--chunks=4",), "--chunks is set by the workload's chunks"),
        (LlamaPerplexitySettings, ("-f", "x"), "-f is set by the workload's text"),
        (LlamaPerplexitySettings, ("--hellaswag",), "--hellaswag is another measure"),
        (LlamaPerplexitySettings, ("--ctx_size", "8"), "--ctx-size is set by the workload's ctx_size"),
        (LlamaPerplexitySettings, ("--threads", "1"), "--threads has a setting of its own: threads"),
        (LlamaServerSettings, ("--port=1",), "--port has a setting of its own: port"),
        (LlamaServerSettings, ("-m", "x"), "-m is set by the artifact"),
        (LlamaServerSettings, ("--ctx_size", "1"), "--ctx-size has a setting of its own: ctx_size"),
        (LlamaServerSettings, ("--api-key", "x"), "attach to yours with engine: openai"),
        (VllmSettings, ("--model=x",), "--model is set by the artifact"),
        (VllmSettings, ("--max_model_len", "8"), "--max-model-len has a setting of its own: max_model_len"),
        (VllmSettings, ("--api-key", "x"), "attach to yours with engine: openai"),
    ],
)
def test_what_is_said_elsewhere_is_refused(settings: type[BaseModel], words: tuple[str, ...], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        settings.model_validate({"extra_args": words})


@pytest.mark.parametrize("settings", [LlamaBenchSettings, LlamaPerplexitySettings, LlamaServerSettings, VllmSettings])
def test_other_words_are_handed_over_and_long_options_have_one_spelling(settings: type[BaseModel]) -> None:
    words = ("--seed", "3", "--an_option", "a_value", "--other_one=b_c", "-m_2", "model")
    told = ("--seed", "3", "--an-option", "a_value", "--other-one=b_c", "-m_2", "model")
    assert settings.model_validate({"extra_args": words}).model_dump()["extra_args"] == told


def test_a_key_within_an_option_of_vllm_stays_as_it_is() -> None:
    words = ("--hf_overrides.rope_scaling.rope_type", "yarn", "--compilation_config.cudagraph_mode=FULL_DECODE_ONLY")
    told = ("--hf-overrides.rope_scaling.rope_type", "yarn", "--compilation-config.cudagraph_mode=FULL_DECODE_ONLY")
    assert VllmSettings.model_validate({"extra_args": words}).extra_args == told
