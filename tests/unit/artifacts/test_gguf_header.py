from __future__ import annotations

import contextlib
import hashlib
import os
import struct
import tracemalloc
from pathlib import Path

import gguf
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_thor.artifacts import gguf_bytes
from pytest_thor.artifacts.gguf_header import GgufHeader, header_sha256, read_header
from pytest_thor.artifacts.gguf_types import FILE_TYPES, GGML_TYPES
from pytest_thor.errors import ArtifactError, ArtifactInvalid, ArtifactMissing

STRING, ARRAY, U32 = 8, 9, 4


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(raw)) + raw


def entry(key: str | bytes, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


def tensor(
    name: str | bytes = "t",
    shape: tuple[int, ...] = (8,),
    kind: int = 0,
    offset: int = 0,
    dimensions: int | None = None,
) -> bytes:
    count = len(shape) if dimensions is None else dimensions
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", count, *shape, kind, offset)


def gguf_file(
    *entries: bytes,
    tensors: tuple[bytes, ...] = (),
    data: int = 0,
    version: int = 3,
    entry_count: int | None = None,
    tensor_count: int | None = None,
) -> bytes:
    counts = (
        len(tensors) if tensor_count is None else tensor_count,
        len(entries) if entry_count is None else entry_count,
    )
    header = b"GGUF" + struct.pack("<IQQ", version, *counts) + b"".join(entries) + b"".join(tensors)
    return header + bytes(-len(header) % 32) + bytes(data)


def read(tmp_path: Path, content: bytes) -> GgufHeader:
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    return read_header(path)


# --- what a sound file says ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("fixture", ["tiny_model", "small_file"])
def test_the_header_agrees_with_the_reader_of_the_gguf_package(fixture: str, request: pytest.FixtureRequest) -> None:
    path: Path = request.getfixturevalue(fixture)
    header, oracle = read_header(path), gguf.GGUFReader(path)
    assert [(t.name, t.shape, t.type, t.offset, t.size_bytes) for t in header.tensors] == [
        (t.name, tuple(map(int, t.shape)), t.tensor_type.name, int(t.data_offset), int(t.n_bytes))
        for t in oracle.tensors
    ]
    assert header.parameters == sum(int(t.n_elements) for t in oracle.tensors)
    assert header.tensor_bytes == sum(int(t.n_bytes) for t in oracle.tensors)
    for key, value in header.metadata.items():
        contents = oracle.fields[key].contents()
        skipped = isinstance(contents, list) or (isinstance(contents, str) and len(contents) > 1024)
        assert value == (None if skipped else contents), key
    assert len(header.metadata) == len(oracle.fields) - 3  # the oracle counts version and counts as fields


def test_the_header_names_the_model(tiny_model: Path) -> None:
    header = read_header(tiny_model)
    assert (header.architecture, header.name, header.quant) == ("qwen3", "qwen3-tiny synthetic", "F16")
    assert (header.context_length, header.block_count) == (40_960, 2)
    assert (header.expert_count, header.expert_used_count, header.split) == (None, None, None)
    assert header.size_bytes == tiny_model.stat().st_size


def test_the_hash_covers_the_header_and_no_weight(tiny_model: Path, tmp_path: Path) -> None:
    content = bytearray(tiny_model.read_bytes())
    header = read_header(tiny_model)
    expected = hashlib.sha256(content[: header.header_bytes]).hexdigest()
    assert header_sha256(header) == expected
    content[-1] ^= 1
    assert header_sha256(read(tmp_path, bytes(content))) == expected
    content[header.header_bytes - 40] ^= 1  # a letter in the name of the last tensor
    changed = read(tmp_path, bytes(content))
    assert header_sha256(changed) != expected
    os.truncate(changed.path, header.header_bytes - 1)
    with pytest.raises(ArtifactInvalid, match="before the end of the header"):
        header_sha256(changed)


def test_types_and_quants_are_those_of_the_gguf_package() -> None:
    for kind, (elements, size) in gguf.GGML_QUANT_SIZES.items():
        ours = GGML_TYPES[kind]
        assert (ours.name, ours.block_elements, ours.block_bytes) == (kind.name, elements, size)
    for file_type in gguf.LlamaFileType:
        if file_type.name != "GUESSED":
            name = file_type.name.removeprefix("ALL_").removeprefix("MOSTLY_").removesuffix("_MOE")
            assert FILE_TYPES[file_type] == name


def test_a_file_without_its_type_is_named_by_what_most_weights_are(tmp_path: Path) -> None:
    tensors = (tensor("a", (32,), 8), tensor("b", (256,), 12, offset=64), tensor("c", (8,), 0, offset=224))
    assert read(tmp_path, gguf_file(tensors=tensors, data=256)).quant == "Q4_K"


def test_a_tensor_type_from_the_future_takes_the_room_it_has(tmp_path: Path) -> None:
    tensors = (tensor("a", (64,), 999), tensor("b", (8,), 0, offset=96))
    header = read(tmp_path, gguf_file(tensors=tensors, data=128))
    assert [(t.type, t.size_bytes) for t in header.tensors] == [("type-999", 96), ("F32", 32)]


def test_version_2_is_read_as_version_3(small_file: Path, tmp_path: Path) -> None:
    content = bytearray(small_file.read_bytes())
    content[4] = 2
    header = read(tmp_path, bytes(content))
    assert (header.version, header.tensors) == (2, read_header(small_file).tensors)


def test_another_alignment_moves_the_data(tmp_path: Path) -> None:
    aligned = entry("general.alignment", U32, struct.pack("<I", 4096))
    content = gguf_file(aligned, tensors=(tensor(offset=4096),))
    header = read(tmp_path, content + bytes(3 * 4096 - len(content)))
    assert header.tensors[0].offset == 8192


def test_a_header_longer_than_the_first_read_is_read_whole(tmp_path: Path) -> None:
    count = 500_000  # 5.5 MB of strings, over several reads; one of them longer than a read
    words = text("abc") * (count - 1) + text(b"x" * 3_000_000)
    content = gguf_file(
        entry("tokens", ARRAY, struct.pack("<IQ", STRING, count) + words), entry("last", U32, struct.pack("<I", 7))
    )
    assert read(tmp_path, content).metadata == {"tokens": None, "last": 7}


# --- what is not one ----------------------------------------------------------------------------------------------


def test_a_file_that_is_not_there_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ArtifactMissing, match=r"absent\.gguf: there is no such file"):
        read_header(tmp_path / "absent.gguf")


def test_a_broken_link_is_called_so(tmp_path: Path) -> None:
    (tmp_path / "link.gguf").symlink_to("gone.gguf")
    with pytest.raises(ArtifactMissing, match="is a broken link"):
        read_header(tmp_path / "link.gguf")


def test_a_loop_of_links_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.gguf").symlink_to("b.gguf")
    (tmp_path / "b.gguf").symlink_to("a.gguf")
    with pytest.raises(ArtifactError, match=r"a\.gguf: cannot be read: Too many levels"):
        read_header(tmp_path / "a.gguf")


def test_a_folder_and_a_pipe_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactInvalid, match="is a folder"):
        read_header(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ArtifactInvalid, match="not a regular file"):
        read_header(tmp_path / "pipe")


def test_a_file_that_may_not_be_read_says_so(small_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(ArtifactError, match="cannot be read: Permission denied"):
        read_header(small_file)


def test_a_file_cut_short_while_it_is_read_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "shrinking.gguf"
    path.write_bytes(gguf_file())
    with path.open("rb", buffering=0) as file:
        source = gguf_bytes.HeaderBytes(path, file, size_bytes=10_000)
        with pytest.raises(ArtifactInvalid, match="became shorter while it was read"):
            source.take(5_000, "the rest")


REFUSED = (
    (b"", "byte 0: the file is empty"),
    (b"GG", "byte 0: the file ends at byte 2, before the end of the magic"),
    (b"GGUF\x03\0\0", "byte 4: the file ends at byte 7"),
    (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    (b"<!DOCTYPE html>", "a web page"),
    (b"PK\x03\x04" + bytes(40), "zip archive"),
    (b"tjgg" + bytes(40), "before GGUF"),
    (bytes(64), "unfinished download"),
    (b"\x93NUMPY" + bytes(40), r"expected the magic GGUF, found b'\\x93NUM'"),
    (gguf_file(version=1), "byte 4: expected GGUF version 2 or 3, found 1; convert it again"),
    (gguf_file(version=4), "expected GGUF version 2 or 3, found 4"),
    (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "big-endian"),
    (gguf_file(entry_count=2**60), f"byte 16: claims {2**60} metadata entries"),
    (gguf_file(tensor_count=2**60), f"byte 8: claims {2**60} tensors"),
    (gguf_file(tensor_count=1), "before the end of"),
    (gguf_file(struct.pack("<Q", 2**60), entry_count=1) + bytes(20), "at most 65535 bytes, found a length"),
    (gguf_file(text(b"\xff\xfe") + bytes(12)), "in UTF-8"),
    (gguf_file(entry("k", 13, bytes(8))), "a number from 0 to 12, found 13"),
    (gguf_file(entry("k", STRING, struct.pack("<Q", 2**60))), f"before the end of 'k' \\({2**60} bytes\\)"),
    (gguf_file(entry("k", ARRAY, struct.pack("<IQ", STRING, 2**60))), f"'k' claims {2**60} strings"),
    (gguf_file(entry("k", ARRAY, struct.pack("<IQ", U32, 2**62))), f"before the end of 'k' \\({2**64} bytes\\)"),
    (gguf_file(entry("k", ARRAY, struct.pack("<IQ", ARRAY, 1))), "array of arrays"),
    (gguf_file(entry("k", ARRAY, struct.pack("<IQ", 77, 1))), "the element type of 'k'"),
    (
        gguf_file(entry("k", ARRAY, struct.pack("<IQ", STRING, 2) + text("a") + struct.pack("<Q", 2**64 - 1))),
        "a string of 'k' reaches to byte 18446744073709551",
    ),
    (gguf_file(entry("k", 0, b"a"), entry("k", 0, b"b")), "'k' stands there twice"),
    (gguf_file(entry("general.architecture", 0, b"a")), "general.architecture to be a string, found 97"),
    (gguf_file(entry("general.file_type", STRING, text("Q8"))), "file_type to be a whole number, found 'Q8'"),
    (gguf_file(entry("general.alignment", U32, struct.pack("<I", 33))), "power of 2, found 33"),
    (gguf_file(entry("general.alignment", U32, struct.pack("<I", 0))), "power of 2, found 0"),
    (gguf_file(entry("split.count", U32, struct.pack("<I", 2))), "expected split.no below split.count"),
    (gguf_file(tensors=(tensor("n" * 64),), data=32), "at most 63 bytes"),
    (gguf_file(tensors=(tensor(shape=(8,) * 5),), data=32), "1 to 4 dimensions of the tensor 't', found 5"),
    (gguf_file(tensors=(tensor(shape=()),), data=64), "1 to 4 dimensions of the tensor 't', found 0"),
    (gguf_file(tensors=(tensor(shape=(2**32, 2**32)),), data=32), "more than can be counted"),
    (gguf_file(tensors=(tensor(shape=(2**64 - 1, 0)),), data=32), "more than can be counted"),
    (gguf_file(tensors=(tensor(offset=7),), data=64), "a multiple of 32 bytes, found 7"),
    (gguf_file(tensors=(tensor(shape=(8,), kind=12),), data=64), "a multiple of 256 elements .* found 8"),
    (gguf_file(tensors=(tensor(shape=(9,)),), data=32), r"the tensor 't' reaches to byte 100; it is truncated"),
    (gguf_file(tensors=(tensor(offset=2**60),), data=32), "it is truncated or still being downloaded"),
    (gguf_file(tensors=(tensor(), tensor()), data=64), "the tensor 't' is listed 2 times"),
    (gguf_file(tensors=(tensor("a", (16,)), tensor("b", offset=32)), data=64), "'a' reaches over the start"),
    (gguf_file(tensors=(tensor("a\n\x1b[31m", (99,)),), data=32), r"'a\\n\\x1b\[31m' reaches"),
)


@pytest.mark.parametrize(("content", "problem"), REFUSED, ids=[problem for _, problem in REFUSED])
def test_what_cannot_be_is_refused_with_its_place(tmp_path: Path, content: bytes, problem: str) -> None:
    with pytest.raises(ArtifactInvalid, match=r"model\.gguf: byte \d+: ") as caught:
        read(tmp_path, content)
    caught.match(problem)


def test_a_file_cut_anywhere_is_refused(small_file: Path, tmp_path: Path) -> None:
    content, needed = small_file.read_bytes(), read_header(small_file).tensors[-1]
    for length in range(needed.offset + needed.size_bytes):
        with pytest.raises(ArtifactInvalid):
            read(tmp_path, content[:length])


def test_a_header_beyond_the_limit_is_refused_without_reading_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gguf_bytes, "MAX_HEADER_BYTES", 4096)
    content = gguf_file(entry("k", ARRAY, struct.pack("<IQ", 0, 10_000) + bytes(10_000)))
    with pytest.raises(ArtifactInvalid, match="beyond the 4096 bytes a header may take"):
        read(tmp_path, content)


def test_more_strings_than_any_vocabulary_has_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf_bytes, "MAX_ARRAY_STRINGS", 5)
    array = struct.pack("<IQ", STRING, 3) + 3 * text("")
    with pytest.raises(ArtifactInvalid, match="'b' claims 3 strings"):
        read(tmp_path, gguf_file(entry("a", ARRAY, array), entry("b", ARRAY, array)))


def test_a_long_vocabulary_makes_no_objects(tmp_path: Path) -> None:
    words = 200_000 * text("abcd")
    path = tmp_path / "model.gguf"
    path.write_bytes(gguf_file(entry("tokens", ARRAY, struct.pack("<IQ", STRING, 200_000) + words)))
    tracemalloc.start()
    try:
        read_header(path)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 4 * len(words)  # the bytes themselves while they grow, and nothing for each of them


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz") / "mutated.gguf"


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused_but_never_anything_else(
    small_file: Path, scratch: Path, data: st.DataObject
) -> None:
    content = bytearray(small_file.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, read_header(small_file).header_bytes - 9))
        damage = data.draw(
            st.one_of(
                st.binary(min_size=1, max_size=8),
                st.sampled_from([0, 1, 2**31, 2**32 - 1, 2**60, 2**63, 2**64 - 1]).map(lambda n: struct.pack("<Q", n)),
            )
        )
        content[place : place + len(damage)] = damage
    scratch.write_bytes(
        bytes(content[: data.draw(st.integers(0, len(content)))]) if data.draw(st.booleans()) else content
    )
    with contextlib.suppress(ArtifactInvalid):
        header = read_header(scratch)
        assert 0 <= header.tensor_bytes <= header.size_bytes
        assert all(each.offset + each.size_bytes <= header.size_bytes for each in header.tensors)


# --- arrays that were walked before -------------------------------------------------------------------------------


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every limit so small that a few strings go through all of what a large vocabulary goes through."""
    for name, value in (("FIRST_READ", 48), ("READ", 96), ("PIECE", 16), ("SHORT", 1), ("REMEMBERED", 2000)):
        monkeypatch.setattr(gguf_bytes, f"_{name}_BYTES", value)
    monkeypatch.setattr(gguf_bytes, "_WALKED", gguf_bytes._Walked())


def reading(path: Path) -> GgufHeader | str:
    try:
        return read_header(path)
    except ArtifactInvalid as error:
        return str(error)


def vocabulary_file(words: list[bytes], name: bytes, data: int = 64) -> bytes:
    array = struct.pack("<IQ", STRING, len(words)) + b"".join(map(text, words))
    return gguf_file(
        entry("general.architecture", STRING, text("qwen3")),
        entry("tokenizer.ggml.tokens", ARRAY, array),
        entry("tokenizer.ggml.scores", ARRAY, struct.pack("<IQ", 6, len(words)) + bytes(4 * len(words))),
        entry("general.name", STRING, text(name)),
        tensors=(tensor("a", (8,)), tensor("b", (8,), offset=32)),
        data=data,
    )


WORDS = st.lists(st.binary(max_size=40) | st.just(b"x" * 300), min_size=1, max_size=12)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=WORDS, data=st.data())
def test_what_was_read_before_never_changes_a_reading(
    small_pieces: None, scratch: Path, words: list[bytes], data: st.DataObject
) -> None:
    files = [vocabulary_file(words, b"first")]
    for _ in range(data.draw(st.integers(1, 4))):
        other = list(words)
        if data.draw(st.booleans()):  # the same number of strings, the same start, another length or the same
            place = data.draw(st.integers(0, len(other) - 1))
            size = len(other[place])
            other[place] = data.draw(st.binary(max_size=40) | st.binary(min_size=size, max_size=size))
        content = bytearray(vocabulary_file(other, data.draw(st.sampled_from([b"first", b"another name"]))))
        if data.draw(st.booleans()):
            content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
        length = data.draw(st.integers(0, len(content)) | st.just(len(content)))
        files.append(bytes(content[:length]))
    found = []
    for each in files:
        scratch.write_bytes(each)
        found.append(reading(scratch))
    for each, before in zip(files, found, strict=True):
        scratch.write_bytes(each)
        gguf_bytes._WALKED.arrays = ()
        assert reading(scratch) == before


def test_a_string_that_holds_a_whole_header_of_its_own_is_not_taken_for_what_follows(
    small_pieces: None, tmp_path: Path
) -> None:
    """The start, the number of strings and all that follows at the old length agree: only the bytes tell."""
    words = [b"token %04d" % number for number in range(20)]
    honest = vocabulary_file(words, b"honest")
    after = honest[honest.index(text("tokenizer.ggml.scores")) :]
    # The last string reaches further, and in it stands, where the first file's array ends, what follows there.
    forged = [*words[:-1], words[-1] + after]
    hostile = vocabulary_file(forged, b"hostile", data=4096)
    assert read(tmp_path, honest).name == "honest"
    assert hostile[: honest.index(words[-1]) - 8] == honest[: honest.index(words[-1]) - 8]
    start = hostile.index(words[-1]) + len(words[-1])
    assert hostile[start : start + len(after)] == after
    assert read(tmp_path, hostile).name == "hostile"


def test_an_array_that_differs_in_its_last_byte_is_walked(small_pieces: None, tmp_path: Path) -> None:
    words = [b"%03d" % number for number in range(50)]
    first = read(tmp_path, vocabulary_file(words, b"n"))
    assert gguf_bytes._WALKED.arrays[0][0] == 50
    longer = read(tmp_path, vocabulary_file([*words[:-1], b"04"], b"n"))
    assert (longer.header_bytes, longer.name) == (first.header_bytes - 1, "n")
    assert len(gguf_bytes._WALKED.arrays) == 2


def test_the_arrays_used_last_are_kept_within_a_limit(small_pieces: None, tmp_path: Path) -> None:
    def vocabulary(letter: str) -> bytes:
        return vocabulary_file([f"{letter}{number:08d}".encode() for number in range(40)], b"n")  # 680 bytes

    kept = [vocabulary(letter) for letter in "ab"]
    for content in (*kept, kept[0], vocabulary("c")):
        read(tmp_path, content)
    assert [content[8:9] for _, content in gguf_bytes._WALKED.arrays] == [b"c", b"a"]
    read(tmp_path, kept[0])
    assert [content[8:9] for _, content in gguf_bytes._WALKED.arrays] == [b"a", b"c"]


def test_numbers_and_long_texts_are_passed_over_without_being_read(tmp_path: Path) -> None:
    count = 3_000_000
    content = gguf_file(
        entry("scores", ARRAY, struct.pack("<IQ", 6, count) + bytes(4 * count)),
        entry("template", STRING, text(b"x" * 2_000_000)),
        entry("last", U32, struct.pack("<I", 7)),
    )
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    tracemalloc.start()
    try:
        assert read_header(path).metadata == {"scores": None, "template": None, "last": 7}
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 1_000_000


def test_a_file_cut_short_while_an_array_is_compared_is_noticed(small_pieces: None, tmp_path: Path) -> None:
    content = vocabulary_file([b"token"] * 40, b"n")
    read(tmp_path, content)
    path = tmp_path / "shrinking.gguf"
    path.write_bytes(content[:300])
    with path.open("rb", buffering=0) as file:
        source = gguf_bytes.HeaderBytes(path, file, size_bytes=len(content))
        source.take(content.index(text("tokenizer.ggml.tokens")) + len(text("tokenizer.ggml.tokens")), "the start")
        with pytest.raises(ArtifactInvalid, match="became shorter while it was read"):
            source.value("the tokens")
