"""What an HF directory says of its model in JSON files, read with suspicion."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_thor import foreign_json
from pytest_thor.errors import ArtifactError, ArtifactInvalid
from pytest_thor.foreign_file import UnfitFileError, read_plain

MAX_JSON_BYTES = 128 << 20
"""The largest known tokenizers, of 262,144 tokens, take 33 MB."""
_MOST = 1 << 53
"""A larger number is no size of anything; what is made of it would have no end of digits."""


def read_json(path: Path) -> Mapping[str, Any] | None:
    """Return the object in a JSON file, or None where there is no such file.

    Raises:
        ArtifactInvalid: it is not a JSON object, or far too large.
        ArtifactError: it cannot be read.
    """
    try:
        content = read_plain(path, at_most_bytes=MAX_JSON_BYTES)
    except FileNotFoundError:
        return None
    except UnfitFileError as error:
        raise ArtifactInvalid(f"{path}: {error.strerror}; expected the JSON of a model") from None
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read: {error.strerror or error}") from None
    try:
        found = foreign_json.parse(content)
    except ValueError as error:
        raise ArtifactInvalid(f"{path}: is not JSON ({error}); fetch it again") from None
    if not isinstance(found, dict):
        raise ArtifactInvalid(f"{path}: expected a JSON object")
    return found


def read_config(folder: Path) -> Mapping[str, Any]:
    """Return a directory's config.json; of a model that does more than text, the part on its language model.

    Raises:
        ArtifactInvalid: there is none, or it is not a JSON object.
        ArtifactError: it cannot be read.
    """
    config = read_json(folder / "config.json")
    if config is None:
        raise ArtifactInvalid(f"{folder}: has no config.json; expected the folder of an HF model")
    text = config.get("text_config")
    return {**config, **text} if isinstance(text, dict) else config


def whole_number(config: Mapping[str, Any], key: str) -> int | None:
    """Return a configuration's positive whole number, or None where it has none of that name, or an absurd one."""
    value = config.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _MOST else None
