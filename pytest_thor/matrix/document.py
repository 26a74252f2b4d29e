"""The matrix file as pydantic sees it: its keys, their types and bounds.

What needs more than one value, or the names of other rooms, is checked in ``resolve``.
"""

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
    model_validator,
)

from pytest_thor.matrix.names import MAX_NAME, NAME_PATTERN, safe_name
from pytest_thor.units import parse_duration, parse_percent

DEFAULT_TIMEOUT_S = 1800.0
MAX_TIMEOUT_S = 7 * 86400.0
REQUIRED = ("name", "models", "backends", "workloads")


def _fraction(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("a threshold is a percentage between 0 % and 100 %: write 3% or 0.03")  # noqa: TRY004
    return parse_percent(value)


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("a timeout is a duration: write seconds, or a number with s, m or h (30m)")  # noqa: TRY004
    seconds = parse_duration(value)
    if seconds > MAX_TIMEOUT_S:
        raise ValueError(f"a timeout of {value} is too long: at most 7d")
    return seconds


def _one_is_a_list(value: object) -> object:
    return [value] if isinstance(value, str | int | float) else value


def _nothing_is_empty(value: object, empty: type) -> object:
    return empty() if value is None else value


def _empty_mapping(value: object) -> object:
    return _nothing_is_empty(value, dict)


def _empty_list(value: object) -> object:
    return _nothing_is_empty(value, list)


def _quants_shape(value: object) -> str:
    return "mapping" if isinstance(value, dict) else "list"


Name: TypeAlias = Annotated[
    str,
    AfterValidator(safe_name),
    WithJsonSchema({"type": "string", "pattern": NAME_PATTERN, "maxLength": MAX_NAME}),
]
Threshold: TypeAlias = Annotated[
    float,
    BeforeValidator(_fraction),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*%\s*$"},
                {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
            ],
            "description": "The smallest change that matters: a percentage (3%) or a fraction (0.03).",
            "examples": ["3%", 0.03],
        }
    ),
]
Thresholds: TypeAlias = dict[str, Threshold]
Timeout: TypeAlias = Annotated[
    float,
    BeforeValidator(_seconds),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*(ms|s|m|min|h|d)?\s*$"},
                {"type": "number", "exclusiveMinimum": 0, "maximum": MAX_TIMEOUT_S},
            ],
            "examples": ["30m", 90],
        }
    ),
]
Patterns: TypeAlias = Annotated[
    list[str],
    BeforeValidator(_one_is_a_list),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
]
Tokens: TypeAlias = Annotated[int, Field(ge=1, le=10_000_000)]
Repetitions: TypeAlias = Annotated[int, Field(ge=1, le=1000, description="Samples inside one launch.")]
Depth: TypeAlias = Annotated[
    int, Field(ge=0, le=10_000_000, description="Tokens that the context already holds, filled outside the timer.")
]


class Section(BaseModel):
    """A mapping with exactly these keys."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ModelEntry(Section):
    """A model: exactly one of gguf, hf and synthetic, and its quants."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["gguf"]}, {"required": ["hf"]}, {"required": ["synthetic"]}]}
    )

    architecture: Annotated[str | None, Field(description="The known shape that this model has.")] = None
    gguf: Annotated[
        str | None,
        Field(
            description="A GGUF file, or the first of its shards; {quant} and the quant's variables are filled in. "
            "A relative path is looked for under the model roots.",
            examples=["Qwen/Qwen3-8B-GGUF/Qwen3-8B-{quant}.gguf"],
        ),
    ] = None
    hf: Annotated[
        str | None,
        Field(
            description="A Hugging Face checkpoint's folder, filled in likewise.", examples=["Qwen/Qwen3-8B{suffix}"]
        ),
    ] = None
    synthetic: Annotated[
        str | None, Field(description="A known shape that is filled with random weights: no download.")
    ] = None
    hub: Annotated[str | None, Field(description="The repository that has the files, for --thor-download.")] = None
    revision: Annotated[str | None, Field(description="The commit of the hub's repository.")] = None
    quants: Annotated[
        Annotated[Annotated[list[Name], Field(min_length=1)], Tag("list")]
        | Annotated[
            Annotated[
                dict[Name, Annotated[dict[str, str], BeforeValidator(_empty_mapping)]],
                Field(min_length=1),
            ],
            Tag("mapping"),
        ],
        Discriminator(_quants_shape),
        Field(
            description="The weight formats: a list, or a mapping from each to the variables of its template.",
            examples=[["Q4_K_M", "Q8_0"], {"BF16": {"suffix": ""}, "FP8": {"suffix": "-FP8"}}],
        ),
    ]


class BackendEntry(Section):
    """An engine with its settings."""

    engine: Annotated[str, Field(description="The engine that runs the models.")]
    settings: Annotated[
        dict[str, Any],
        BeforeValidator(_empty_mapping),
        Field(description="The engine's settings; each engine has its own."),
    ] = {}
    timeout: Annotated[
        Timeout, Field(description="The longest that one launch may take: seconds, or 90s, 30m, 1h. Default 30m.")
    ] = DEFAULT_TIMEOUT_S


class Prefill(Section):
    """Read a prompt (llama-bench's pp): prompt tokens per second."""

    kind: Literal["prefill"]
    n_prompt: Annotated[Tokens, Field(description="Tokens of the prompt.")]
    n_depth: Depth = 0
    repetitions: Repetitions = 5


class Decode(Section):
    """Generate token by token (llama-bench's tg): generated tokens per second."""

    kind: Literal["decode"]
    n_gen: Annotated[Tokens, Field(description="Tokens to generate.")]
    n_depth: Depth = 0
    repetitions: Repetitions = 5


class Serving(Section):
    """A load of streaming requests on a server."""

    kind: Literal["serving"]
    input_len: Annotated[Tokens, Field(description="Tokens of each prompt.")]
    output_len: Annotated[Tokens, Field(description="Tokens that each request generates.")]
    num_prompts: Annotated[int, Field(ge=1, le=1_000_000, description="Requests in all.")]
    max_concurrency: Annotated[int, Field(ge=1, le=100_000, description="Requests at a time.")]

    @model_validator(mode="after")
    def _concurrency_is_reached(self) -> "Serving":
        if self.max_concurrency > self.num_prompts:
            raise ValueError(
                f"max_concurrency {self.max_concurrency} is never reached with {self.num_prompts} prompts: "
                "raise num_prompts or lower max_concurrency"
            )
        return self


WorkloadEntry: TypeAlias = Annotated[Prefill | Decode | Serving, Field(discriminator="kind")]
WORKLOADS: dict[str, type[Section]] = {"prefill": Prefill, "decode": Decode, "serving": Serving}


class Match(Section):
    """Some cells: patterns (* and ? are allowed) of the names that they must have; a list means any of them."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    model: Annotated[Patterns, Field(description="Names of models.")] = []
    quant: Annotated[Patterns, Field(description="Names of quants.")] = []
    backend: Annotated[Patterns, Field(description="Names of backends.")] = []
    workload: Annotated[Patterns, Field(description="Names of workloads.")] = []


class OverrideEntry(Section):
    """Thresholds for some cells only."""

    match: Annotated[Match, Field(description="Which cells.")]
    thresholds: Annotated[Thresholds, Field(min_length=1, description="Their thresholds, by metric.")]


class Document(Section):
    """A matrix of model × quant × backend × workload, each combination a measurement with a baseline."""

    # The first four are required; they have defaults so that a file that lacks one is still read to its end.
    model_config = ConfigDict(json_schema_extra={"required": list(REQUIRED)})

    name: Annotated[Name, Field(description="The matrix's name, in reports and baselines.", examples=["qwen3"])] = ""
    models: Annotated[
        dict[Name, ModelEntry], Field(min_length=1, description="The models, by the names of your choice.")
    ] = {}
    backends: Annotated[
        dict[Name, BackendEntry], Field(min_length=1, description="Engines with settings, by the names of your choice.")
    ] = {}
    workloads: Annotated[
        dict[Name, WorkloadEntry], Field(min_length=1, description="What is asked of each model, by name.")
    ] = {}
    thresholds: Annotated[
        Thresholds,
        BeforeValidator(_empty_mapping),
        Field(description="The smallest change that matters, by metric.", examples=[{"tg_tps": "3%"}]),
    ] = {}
    exclude: Annotated[
        list[Match],
        BeforeValidator(_empty_list),
        Field(description="Cells that are not measured.", examples=[[{"quant": "Q5_0", "workload": "high-load"}]]),
    ] = []
    overrides: Annotated[
        list[OverrideEntry],
        BeforeValidator(_empty_list),
        Field(description="Thresholds for some cells only; a later one wins over an earlier one."),
    ] = []


def section_at(path: tuple[str | int, ...], kind: str | None) -> type[Section]:
    """Return the class of the mapping at a path of the document; a workload's is that of its kind."""
    where = "/".join("*" if index == 1 else str(step) for index, step in enumerate(path))
    if where == "workloads/*":
        return WORKLOADS[kind or "prefill"]
    classes: dict[str, type[Section]] = {
        "": Document,
        "models/*": ModelEntry,
        "backends/*": BackendEntry,
        "exclude/*": Match,
        "overrides/*": OverrideEntry,
        "overrides/*/match": Match,
    }
    return classes[where]
