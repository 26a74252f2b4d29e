"""What holds for every matrix: expansion is stable, exclusion only takes away, only MatrixError comes out."""

import tempfile
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_thor.errors import MatrixError
from pytest_thor.matrix import Matrix, Vocabulary, expand, load

NAMES = st.text("abcXZ.-_9", min_size=1, max_size=4).filter(lambda name: name[0] not in ".-_")
WORKLOADS = st.one_of(
    st.fixed_dictionaries({"kind": st.just("prefill"), "n_prompt": st.integers(1, 512)}),
    st.fixed_dictionaries(
        {"kind": st.just("decode"), "n_gen": st.integers(1, 64)}, optional={"n_depth": st.integers(0, 64)}
    ),
    st.fixed_dictionaries(
        {
            "kind": st.just("serving"),
            "input_len": st.integers(1, 9),
            "output_len": st.integers(1, 9),
            "num_prompts": st.integers(4, 9),
            "max_concurrency": st.integers(1, 4),
        },
        optional={"warmup": st.integers(0, 3), "prefix_cache": st.booleans(), "slo": st.just({"ttft_ms": 1.5})},
    ),
    st.fixed_dictionaries(
        {
            "kind": st.just("serving"),
            "input_len": st.fixed_dictionaries({"min": st.integers(1, 4), "max": st.integers(4, 9)}),
            "output_len": st.integers(1, 9),
            "duration": st.integers(1, 9),
            "sweep": st.fixed_dictionaries(
                {"request_rate": st.lists(st.sampled_from([0.5, 1, 2, 2.5]), min_size=1, unique=True)}
            ),
        }
    ),
)
MODELS = st.builds(
    lambda format_, location, quants: {format_: location, "quants": quants},
    st.sampled_from(["gguf", "hf"]),
    st.just("{quant}"),
    st.lists(NAMES, min_size=1, max_size=3, unique=True),
)
BACKENDS = st.fixed_dictionaries(
    {"engine": st.sampled_from(["llama-bench", "llama-server", "vllm", "llama-cpp-python"])},
    optional={"settings": st.fixed_dictionaries({"threads": st.integers(1, 8)})},
)
MATRICES = st.fixed_dictionaries(
    {
        "name": NAMES,
        "models": st.dictionaries(NAMES, MODELS, min_size=1, max_size=3),
        "backends": st.dictionaries(NAMES, BACKENDS, min_size=1, max_size=3),
        "workloads": st.dictionaries(NAMES, WORKLOADS, min_size=1, max_size=3),
    }
)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.sampled_from(["on", "{", "3%"])
)
KEYS = st.sampled_from(
    [
        "name",
        "models",
        "backends",
        "workloads",
        "thresholds",
        "exclude",
        "overrides",
        "match",
        "gguf",
        "hf",
        "synthetic",
        "quants",
        "engine",
        "settings",
        "kind",
        "n_prompt",
        "prefill",
        "timeout",
        "m",
        "q",
        "b",
        "w",
        "input_len",
        "num_prompts",
        "duration",
        "max_concurrency",
        "request_rate",
        "trace",
        "slo",
        "sweep",
        "min",
    ]
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | SCALARS, inner, max_size=4),
    max_leaves=12,
)


def read(text: str | bytes, vocabulary: Vocabulary) -> Matrix | None:
    """Load a text; None where it is refused, which it may be in a sentence only."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "m.yaml")
        path.write_bytes(text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text)
        try:
            matrix = load(path, vocabulary)
            expand(matrix)
        except MatrixError as error:
            refused = error
        else:
            return matrix
    places = [(problem.line, problem.column) for problem in refused.problems]
    assert places
    assert places == sorted(places)
    assert all(line >= 1 and column >= 1 for line, column in places)
    return None


@settings(deadline=None)
@given(document=MATRICES)
def test_expansion_is_stable_and_its_ids_are_unique(vocabulary: Vocabulary, document: dict[str, Any]) -> None:
    text = yaml.safe_dump(document, sort_keys=False)
    matrix = read(text, vocabulary)
    if matrix is None:  # a collision, or something declared in vain
        return
    cells = expand(matrix)
    assert cells == expand(matrix)
    assert len({cell.id.lower() for cell in cells}) == len(cells)
    order = [list(document[section]) for section in ("models", "backends")]
    order.append([workload.workload.name for workload in matrix.workloads])
    ranks = [
        (
            order[0].index(cell.model.name),
            document["models"][cell.model.name]["quants"].index(cell.quant),
            order[1].index(cell.backend.name),
            order[2].index(cell.workload.name),
        )
        for cell in cells
    ]
    assert ranks == sorted(ranks)


@settings(deadline=None)
@given(document=MATRICES, data=st.data())
def test_exclusion_takes_away_what_it_names_and_nothing_else(
    vocabulary: Vocabulary, document: dict[str, Any], data: st.DataObject
) -> None:
    whole = read(yaml.safe_dump(document, sort_keys=False), vocabulary)
    if whole is None:
        return
    cell = data.draw(st.sampled_from(expand(whole)))
    words = data.draw(st.sets(st.sampled_from(["model", "quant", "backend", "workload"]), min_size=1))
    rule = {word: cell.fields[word] for word in words}
    less = read(yaml.safe_dump({**document, "exclude": [rule]}, sort_keys=False), vocabulary)
    if less is not None:
        kept = [one for one in expand(whole) if any(one.fields[word] != rule[word] for word in words)]
        assert [one.id for one in expand(less)] == [one.id for one in kept]


@settings(deadline=None)
@given(text=st.text())
def test_any_text_is_loaded_or_refused(vocabulary: Vocabulary, text: str) -> None:
    assert read(text, vocabulary) is None


@settings(deadline=None)
@given(content=st.binary())
def test_any_bytes_are_loaded_or_refused(vocabulary: Vocabulary, content: bytes) -> None:
    assert read(content, vocabulary) is None


@settings(deadline=None)
@given(text=st.text(alphabet="ab:{}[]-&*!|>'\"%@#?,<~ \n\t0123e.", max_size=60))
def test_any_yaml_signs_are_loaded_or_refused(vocabulary: Vocabulary, text: str) -> None:
    assert read(text, vocabulary) is None


@settings(max_examples=200, deadline=None)
@given(document=MATRICES, data=st.data())
def test_a_matrix_with_anything_put_anywhere_is_loaded_or_refused(
    vocabulary: Vocabulary, document: dict[str, Any], data: st.DataObject
) -> None:
    place: Any = document
    for _ in range(data.draw(st.integers(0, 3))):
        inner = [value for value in place.values() if isinstance(value, dict)]
        place = data.draw(st.sampled_from(inner)) if inner else place
    place[data.draw(KEYS | st.sampled_from(sorted(place)) if place else KEYS)] = data.draw(ANYTHING)
    matrix = read(yaml.safe_dump(document, sort_keys=False), vocabulary)
    assert matrix is None or expand(matrix)
