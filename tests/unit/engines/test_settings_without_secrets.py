"""A key that somebody writes into a matrix is refused, and no message repeats it."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pytest_thor.collection import vocabulary
from pytest_thor.engines import ENGINES
from pytest_thor.engines.llama_bench import LlamaBenchSettings
from pytest_thor.engines.llama_perplexity import LlamaPerplexitySettings
from pytest_thor.engines.llama_server_settings import LlamaServerSettings
from pytest_thor.engines.openai_settings import OpenAiSettings
from pytest_thor.engines.vllm_settings import VllmSettings
from pytest_thor.errors import MatrixError
from pytest_thor.matrix import load

SECRET = "CorrectHorseBattery"
MATRIX = """\
name: small
models: {m: {hf: a/b, quants: [BF16]}}
backends: {b: {engine: openai, settings: SETTINGS}}
workloads: {w: {kind: serving, input_len: 8, output_len: 8, num_prompts: 2, max_concurrency: 1}}
"""
MISTAKEN = [
    {"url": f"http://user:{SECRET}@host"},
    {"url": f"http://{SECRET}@host"},
    {"url": f"user:{SECRET}@host"},
    {"url": f"//user:{SECRET}@host"},
    {"url": f"http:/user:{SECRET}@host"},
    {"url": f"ftp://user:{SECRET}@host"},
    {"url": f"http://user:{SECRET}@"},
    {"url": f"http://user:{SECRET}/x@host:1"},
    {"url": f"http://user:{SECRET}@[::1"},
    {"url": f"http://user:{SECRET}@host:99999"},
    {"url": f"http://host:{SECRET}"},
    {"url": f"http://host:80{SECRET}/"},
    {"url": f"http://[{SECRET}]/"},
    {"url": f"http://{SECRET}%40host/"},
    {"url": f"http://host\\@{SECRET}"},
    {"url": f"https://host/v1?api_key={SECRET}"},
    {"url": f"https://host/v1;key={SECRET}"},
    {"url": f"https://host/#{SECRET}"},
    {"url": SECRET},
    {"url": "http://host", "health": f"https://user:{SECRET}@host"},
    {"url": "http://host", "health": f"/health?api_key={SECRET}"},
    {"url": "http://host", "health": SECRET},
    {"url": "http://host", "api_key_env": f"sk-{SECRET}"},
    {"url": "http://host", "api_key_env": f"hf_{SECRET}"},
    {"url": "http://host", "api_key": SECRET},
    {"url": "http://host", "headers": {"Authorization": f"Bearer {SECRET}"}},
]
WITH_ARGUMENTS = [LlamaBenchSettings, LlamaServerSettings, LlamaPerplexitySettings, VllmSettings]


@pytest.mark.parametrize("settings", MISTAKEN, ids=json.dumps)
def test_a_secret_in_the_settings_of_a_server_is_refused_and_not_repeated(
    settings: dict[str, object], tmp_path: Path
) -> None:
    matrix = tmp_path / "matrix.yaml"
    matrix.write_text(MATRIX.replace("SETTINGS", json.dumps(settings)), encoding="utf-8")

    with pytest.raises(MatrixError) as raised:
        load(matrix, vocabulary())

    assert SECRET not in str(raised.value)
    assert "matrix.yaml:3:" in str(raised.value)


@given(st.text())
def test_no_text_as_an_address_is_repeated(text: str) -> None:
    url = f"http://{text}{SECRET}@{text}"

    with pytest.raises(ValidationError) as raised:
        OpenAiSettings(url=url)

    [error] = raised.value.errors(include_input=False)
    assert SECRET not in error["msg"]


@pytest.mark.parametrize("settings", WITH_ARGUMENTS)
@pytest.mark.parametrize(
    "option",
    ["--api-key", "--api_key", "--api-ke", "--hf-token", "--hf_token", "--hf-tok", "-hft", "--token", "--ssl-password"],
)
@pytest.mark.parametrize("joined", [True, False])
def test_an_option_that_takes_a_secret_is_no_further_argument(
    settings: type[LlamaServerSettings], option: str, joined: bool
) -> None:
    words = [f"{option}={SECRET}"] if joined else [option, SECRET]

    with pytest.raises(ValidationError) as raised:
        settings(extra_args=words)

    [error] = raised.value.errors(include_input=False)
    assert SECRET not in error["msg"]
    assert option.replace("_", "-") in error["msg"]


@pytest.mark.parametrize("settings", WITH_ARGUMENTS)
@pytest.mark.parametrize(
    "word", ["--max-tokens", "--tokenizer-mode", "--api-server-count", "--hf-overrides", "--key-file-of-nothing"]
)
def test_an_option_that_only_sounds_like_one_is_handed_over(settings: type[LlamaServerSettings], word: str) -> None:
    assert settings(extra_args=[word]).extra_args == (word,)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        *((LlamaServerSettings, name) for name in ("host", "alias", "cache_type_k", "split_mode", "reasoning_format")),
        *((VllmSettings, name) for name in ("host", "dtype", "served_model_name", "quantization", "load_format")),
        (LlamaBenchSettings, "cache_type_v"),
    ],
)
@pytest.mark.parametrize("value", ["-x", "--api-key", "--host=0.0.0.0", "-", "a b", "a\nb", "$(id)", ""])
def test_a_setting_cannot_become_an_option_of_its_own(settings: type[VllmSettings], name: str, value: str) -> None:
    with pytest.raises(ValidationError):
        settings.model_validate({name: value})


@pytest.mark.parametrize("engine", list(ENGINES))
@pytest.mark.parametrize("value", ["-x", "--host=0.0.0.0"])
def test_no_setting_of_any_engine_takes_an_option_for_its_value(engine: str, value: str) -> None:
    settings = ENGINES[engine].traits.settings
    required = {"url": "http://127.0.0.1:9"} if engine == "openai" else {}
    takes = set()
    for name in settings.model_fields:
        with contextlib.suppress(ValidationError):
            settings.model_validate({**required, name: value})
            takes.add(name)

    assert takes == ({"model"} if engine == "openai" else set())  # which stands in no command, but in a request
