"""The matrix file as pydantic sees it: its keys, their types and bounds.

What needs more than one value, or the names of other rooms, is checked in ``resolve``.
"""

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, ConfigDict, Discriminator, Field, Tag

from pytest_thor.matrix.quality import Quality
from pytest_thor.matrix.serving import LengthRange, Serving, Slo, Sweep
from pytest_thor.matrix.values import (
    Depth,
    Name,
    Patterns,
    Repetitions,
    Section,
    Thresholds,
    Timeout,
    Tokens,
    empty_list,
    empty_mapping,
)

DEFAULT_TIMEOUT_S = 1800.0
REQUIRED = ("name", "models", "backends", "workloads")


def _quants_shape(value: object) -> str:
    return "mapping" if isinstance(value, dict) else "list"


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
                dict[Name, Annotated[dict[str, str], BeforeValidator(empty_mapping)]],
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
        BeforeValidator(empty_mapping),
        Field(default_factory=dict, description="The engine's settings; each engine has its own."),
    ]
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


WorkloadEntry: TypeAlias = Annotated[Prefill | Decode | Serving | Quality, Field(discriminator="kind")]
WORKLOADS: dict[str, type[Section]] = {"prefill": Prefill, "decode": Decode, "serving": Serving, "quality": Quality}


class Match(Section):
    """Some cells: patterns (* and ? are allowed) of the names that they must have; a list means any of them."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    model: Annotated[Patterns, Field(default_factory=list, description="Names of models.")]
    quant: Annotated[Patterns, Field(default_factory=list, description="Names of quants.")]
    backend: Annotated[Patterns, Field(default_factory=list, description="Names of backends.")]
    workload: Annotated[Patterns, Field(default_factory=list, description="Names of workloads.")]


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
        dict[Name, ModelEntry],
        Field(default_factory=dict, min_length=1, description="The models, by the names of your choice."),
    ]
    backends: Annotated[
        dict[Name, BackendEntry],
        Field(default_factory=dict, min_length=1, description="Engines with settings, by the names of your choice."),
    ]
    workloads: Annotated[
        dict[Name, WorkloadEntry],
        Field(default_factory=dict, min_length=1, description="What is asked of each model, by name."),
    ]
    thresholds: Annotated[
        Thresholds,
        BeforeValidator(empty_mapping),
        Field(
            default_factory=dict,
            description="The smallest change that matters, by metric.",
            examples=[{"tg_tps": "3%"}],
        ),
    ]
    canary: Annotated[
        Match | None,
        Field(
            description="One cell that tells whether the machine itself changed: pin its engine with --thor-engine "
            "BACKEND=PATH, and what it loses is not the loss of what is under test.",
            examples=[{"model": "qwen3-8b", "quant": "Q4_K_M", "backend": "pinned", "workload": "tg128"}],
        ),
    ] = None
    exclude: Annotated[
        list[Match],
        BeforeValidator(empty_list),
        Field(
            default_factory=list,
            description="Cells that are not measured.",
            examples=[[{"quant": "Q5_0", "workload": "high-load"}]],
        ),
    ]
    overrides: Annotated[
        list[OverrideEntry],
        BeforeValidator(empty_list),
        Field(
            default_factory=list, description="Thresholds for some cells only; a later one wins over an earlier one."
        ),
    ]


def section_at(path: tuple[str | int, ...], kind: str | None) -> type[Section]:
    """Return the class of the mapping at a path of the document; a workload's is that of its kind."""
    where = "/".join("*" if index == 1 else str(step) for index, step in enumerate(path))
    if where == "workloads/*":
        return WORKLOADS[kind or "prefill"]
    if where in {"workloads/*/input_len", "workloads/*/output_len"}:
        return LengthRange
    classes: dict[str, type[Section]] = {
        "": Document,
        "models/*": ModelEntry,
        "backends/*": BackendEntry,
        "workloads/*/slo": Slo,
        "workloads/*/sweep": Sweep,
        "canary": Match,
        "exclude/*": Match,
        "overrides/*": OverrideEntry,
        "overrides/*/match": Match,
    }
    return classes[where]
