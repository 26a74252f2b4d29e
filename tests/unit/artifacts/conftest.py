"""GGUF files to read: one as the world writes them, and one small enough to be broken byte by byte."""

from __future__ import annotations

import codecs
import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import gguf
import numpy as np
import pytest

from pytest_thor.artifacts.architectures import ARCHITECTURES
from pytest_thor.artifacts.synthetic_weights import write_weights


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole qwen3-tiny in F16, with vocabulary and merges."""
    path = tmp_path_factory.mktemp("tiny") / "qwen3-tiny-F16.gguf"
    write_weights(path, ARCHITECTURES["qwen3-tiny"], "F16", seed=1, on_progress=lambda _step: None)
    return path


@pytest.fixture(scope="session")
def small_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of about 1 KiB that has a value of every type and three tensors."""
    path = tmp_path_factory.mktemp("small") / "small.gguf"
    writer = gguf.GGUFWriter(path, "qwen3")
    writer.add_name("Ein Möbel")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_context_length(4096)
    writer.add_block_count(2)
    for add, value in (
        (writer.add_uint8, 200),
        (writer.add_int8, -7),
        (writer.add_uint16, 60_000),
        (writer.add_int16, -30_000),
        (writer.add_uint32, 4_000_000_000),
        (writer.add_int32, -2_000_000_000),
        (writer.add_uint64, 2**63),
        (writer.add_int64, -(2**62)),
    ):
        add(f"test.{add.__name__}", value)
    writer.add_float32("test.add_float32", 0.5)
    writer.add_float64("test.add_float64", 0.1)
    writer.add_bool("test.add_bool", True)
    writer.add_string("test.long", "x" * 2000)
    writer.add_array("test.strings", ["a", "", "bcd" * 100])
    writer.add_array("test.numbers", [1, 2, 3])
    writer.add_tensor("a.weight", np.ones((3, 64), np.float16))
    writer.add_tensor("b.weight", np.zeros((4, 34), np.uint8), raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.add_tensor("c.weight", np.ones(5, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


Powerless = Callable[[], AbstractContextManager[None]]


@pytest.fixture
def powerless() -> Powerless:
    """Root may read and write everything: what is done within is done as somebody who may not."""

    @contextlib.contextmanager
    def put_aside() -> Iterator[None]:
        if os.geteuid():
            yield
            return
        codecs.lookup("utf-8-sig")  # loaded from a folder that only root may read, perhaps
        try:
            os.seteuid(65_534)
        except OSError as error:
            pytest.skip(f"root of a container that may not become somebody else: {error}")
        try:
            yield
        finally:
            os.seteuid(0)

    return put_aside


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may look into, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="thor-open-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)
