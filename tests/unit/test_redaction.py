"""What tells by the way it is written that it is secret is left out, wherever it came from."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_thor.redaction import Secret, redacted

WORD = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="/?#\"'<>"), min_size=1)


@given(name=WORD, word=WORD, scheme=st.sampled_from(["http", "https", "socks5", "git+https"]))
def test_no_address_keeps_its_name_and_password(name: str, word: str, scheme: str) -> None:
    shown = redacted(f"through {scheme}://{name}:{word}@proxy.example.org:3128/x failed", {})

    assert shown.startswith(f"through {scheme}://***@")
    assert shown.endswith("proxy.example.org:3128/x failed")


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("GET https://h/x?X-Amz-Credential=AKIA/1&X-Amz-Signature=beef&n=1", "***&X-Amz-Signature=***&n=1"),
        ("https://h/v1?api_key=abcd refused", "https://h/v1?api_key=*** refused"),
        ("https://h/v1?n=1&access_token=abcd", "https://h/v1?n=1&access_token=***"),
        ("{'Authorization': 'Bearer abcd'}", "{'Authorization': 'Bearer ***'}"),
        ("> authorization: Basic dXNlcjpwYXNz", "> authorization: Basic ***"),
        ("read hf_AbCdEfGhIjKlMnOpQrStUv from ~/.cache", "read *** from ~/.cache"),
        ("ghp_AbCdEfGhIjKlMnOpQrStUv", "***"),
        ("sk-proj-AbCdEfGhIjKlMnOpQrStUv", "***"),
        ("read hf_oauth_eyJhbGciOiJFZERTQSJ9.eyJpYXQiOjE3NjM3MDAwMDB9.AbCd_fGhIj-lMnOpQrStUv now", "read *** now"),
    ],
)
def test_what_is_written_as_a_secret_is_left_out(said: str, shown: str) -> None:
    assert redacted(said, {}).endswith(shown)
    assert redacted(redacted(said, {}), {}) == redacted(said, {})


@pytest.mark.parametrize(
    "said",
    [
        "http://127.0.0.1:8080/v1/models answers",
        "https://example.org/a@b",
        "a@b.example.org",
        "error: authorization required",
        "tokenizer: qwen2, n_tokens=5, top_k=40",
        "hf_model is a short name, and sk-8b too",
        "/models/hf_transformers_cache/tiny.gguf",
        "blk.0.attn_k.weight key=value",
    ],
)
def test_ordinary_text_stays_as_it_is(said: str) -> None:
    assert redacted(said, {}) == said


def test_where_a_tokenizer_lies_is_no_secret() -> None:
    environ = {"TOKENIZER_PATH": "meta-llama/Llama-3.2-1B", "TOKENISER": "tokenizer.model", "HF_TOKEN": "abcdefgh"}

    assert redacted("tokenizer.model of meta-llama/Llama-3.2-1B, abcdefgh", environ).endswith("Llama-3.2-1B, ***")


@pytest.mark.parametrize("text", ["://", "?", "?a", "&key=", "authorization ", "hf_", "-hf_a", "sk-a.", "://a", "://@"])
def test_a_long_text_is_read_in_one_pass(text: str) -> None:
    # Backtracking over so much text would take hours.
    assert len(redacted(text * 100_000, {})) <= 2 * len(text) * 100_000


def test_a_secret_is_sent_as_it_is_and_never_represented() -> None:
    key = Secret("Bearer abcd")

    assert f"{key}" == "Bearer abcd"
    assert json.dumps(key) == '"Bearer abcd"'
    assert "abcd" not in repr({"Authorization": key}) + repr([key]) + repr(key)
