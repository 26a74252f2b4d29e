"""The JSON Schema says in an editor what the loader says of types, names and settings."""

import json
from typing import Any

import jsonschema
import pytest

from pytest_thor.matrix import Vocabulary, json_schema, schema_text

GOOD: dict[str, Any] = {
    "name": "a",
    "models": {
        "m": {"architecture": "qwen3-8b", "gguf": "{quant}.gguf", "quants": ["Q8_0"]},
        "h": {"hf": "h{s}", "quants": {"BF16": {"s": ""}}},
    },
    "backends": {"b": {"engine": "llama-bench", "settings": {"flash_attn": "on"}, "timeout": "90s"}},
    "workloads": {
        "w": {"kind": "prefill", "n_prompt": 8},
        "s": {
            "kind": "serving",
            "input_len": {"min": 1, "max": 8},
            "output_len": 4,
            "duration": "60s",
            "ramp_up": 0,
            "max_failed": "1%",
            "slo": {"ttft_ms": 500},
            "sweep": {"request_rate": [0.5, 2]},
        },
    },
    "thresholds": {"pp_tps": "3%", "ttft_ms.p99": 0.1},
    "exclude": [{"model": "m", "quant": ["Q*"]}],
    "overrides": [{"match": {"backend": "b"}, "thresholds": {"tg_tps": 0.5}}],
}


@pytest.fixture(scope="module")
def validator(vocabulary: Vocabulary) -> jsonschema.Draft202012Validator:
    schema = json_schema(vocabulary)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_a_good_matrix_is_valid(validator: jsonschema.Draft202012Validator) -> None:
    validator.validate(GOOD)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("name", "a b"),
        ("nam", "a"),
        ("models/m/architecture", "qwen4"),
        ("models/m/hf", "also"),
        ("models/m/quants", []),
        ("models/bad name", {"gguf": "x", "quants": ["Q"]}),
        ("backends/b/engine", "llama-bnech"),
        ("backends/b/settings/flash_attn", "perhaps"),
        ("backends/b/settings/threads", 0),
        ("backends/b/settings/ctx_size", 4096),
        ("backends/b/timeout", "soon"),
        ("workloads/w/kind", "prefil"),
        ("workloads/w/n_gen", 3),
        ("workloads/w/n_prompt", 0),
        ("workloads/s/input_len", [1, 8]),
        ("workloads/s/input_len", None),
        ("workloads/s/input_len/min", 0),
        ("workloads/s/duration", "soon"),
        ("workloads/s/max_failed", "1 in 100"),
        ("workloads/s/slo", {}),
        ("workloads/s/slo/ttft", 3),
        ("workloads/s/sweep", {"request_rate": [1], "max_concurrency": [1]}),
        ("workloads/s/sweep/request_rate", []),
        ("workloads/s/api", "chats"),
        ("workloads/s", {"kind": "serving", "input_len": 8, "output_len": 4, "num_prompts": 8}),
        ("workloads/s", {"kind": "serving", "input_len": 8, "output_len": 4, "max_concurrency": 8}),
        ("workloads/s", {"kind": "serving", "input_len": 8, "num_prompts": 4, "max_concurrency": 8}),
        ("thresholds/tg_tsp", "3%"),
        ("thresholds/tg_tps.p99", "3%"),
        ("thresholds/tg_tps", 3),
        ("exclude/0", {}),
        ("overrides/0/match", {"modle": "m"}),
    ],
)
def test_a_mistake_is_marked(validator: jsonschema.Draft202012Validator, path: str, value: object) -> None:
    document = json.loads(json.dumps(GOOD))
    place: Any = document
    *way, last = path.split("/")
    for step in way:
        place = place[int(step)] if isinstance(place, list) else place[step]
    place[int(last) if isinstance(place, list) else last] = value
    assert not validator.is_valid(document)


def test_settings_are_those_of_their_engine(validator: jsonschema.Draft202012Validator) -> None:
    backend = {"engine": "llama-server", "settings": {"ctx_size": 4096}}
    validator.validate({**GOOD, "backends": {"b": backend}})


def test_on_is_valid_as_text_and_as_the_boolean_of_yaml_1_1(validator: jsonschema.Draft202012Validator) -> None:
    for value in ("on", True):
        validator.validate({**GOOD, "backends": {"b": {"engine": "llama-bench", "settings": {"flash_attn": value}}}})


def test_every_key_has_a_description(vocabulary: Vocabulary) -> None:
    schema = json_schema(vocabulary)
    sections = ["BackendEntry", "Match", "ModelEntry", "OverrideEntry", "Serving", "Slo", "Sweep", "LengthRange"]
    for holder in (schema, *(schema["$defs"][section] for section in sections)):
        assert all("description" in key for name, key in holder["properties"].items() if name != "kind")


def test_the_text_of_the_schema_is_the_schema(vocabulary: Vocabulary) -> None:
    text = schema_text(vocabulary)
    assert json.loads(text) == json_schema(vocabulary)
    assert text.endswith("}\n")
