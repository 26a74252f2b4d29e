"""A serving workload as the matrix file writes it; what needs more than one key is checked in ``serving_rules``."""

from typing import Annotated, Literal, TypeAlias

from pydantic import ConfigDict, Discriminator, Field, Tag

from pytest_thor.matrix.values import Duration, RampUp, Section, Share, Tokens

Concurrency: TypeAlias = Annotated[int, Field(ge=1, le=100_000)]
Rate: TypeAlias = Annotated[float, Field(ge=0.001, le=100_000)]
Milliseconds: TypeAlias = Annotated[float, Field(gt=0, le=86_400_000)]


def _length_shape(value: object) -> str:
    return "range" if isinstance(value, dict) else "number"


class LengthRange(Section):
    """Tokens that are drawn for each request, uniformly from the least to the most."""

    min: Annotated[Tokens, Field(description="The least, included.")]
    max: Annotated[Tokens, Field(description="The most, included.")]


Length: TypeAlias = Annotated[
    Annotated[Tokens, Tag("number")] | Annotated[LengthRange, Tag("range")], Discriminator(_length_shape)
]


class Slo(Section):
    """Limits that a request must keep to count as good."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    ttft_ms: Annotated[Milliseconds | None, Field(description="The longest time to the first token.")] = None
    tpot_ms: Annotated[Milliseconds | None, Field(description="The longest time per output token.")] = None
    e2el_ms: Annotated[Milliseconds | None, Field(description="The longest time of the whole request.")] = None


class Sweep(Section):
    """A workload of its own for each value of one parameter."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    max_concurrency: Annotated[
        Annotated[list[Concurrency], Field(min_length=1)] | None,
        Field(description="Requests at a time; the point of 4 is named with @c4.", examples=[[1, 2, 4, 8, 16]]),
    ] = None
    request_rate: Annotated[
        Annotated[list[Rate], Field(min_length=1)] | None,
        Field(description="Requests per second; the point of 2.5 is named with @r2.5.", examples=[[0.5, 1, 2]]),
    ] = None


class Serving(Section):
    """A load of streaming requests on a server."""

    model_config = ConfigDict(
        json_schema_extra={
            "allOf": [
                {"anyOf": [{"required": ["input_len", "output_len"]}, {"required": ["trace"]}]},
                {"anyOf": [{"required": [key]} for key in ("num_prompts", "duration", "trace")]},
                {"anyOf": [{"required": [key]} for key in ("max_concurrency", "request_rate", "sweep", "trace")]},
            ]
        }
    )

    kind: Literal["serving"]
    input_len: Annotated[Length | None, Field(description="Tokens of each prompt, or their min and max.")] = None
    output_len: Annotated[
        Length | None, Field(description="Tokens that each request generates, or their min and max.")
    ] = None
    num_prompts: Annotated[int | None, Field(ge=1, le=1_000_000, description="Requests in all.")] = None
    duration: Annotated[Duration | None, Field(description="How long requests are sent: 60s, 5m.")] = None
    max_concurrency: Annotated[Concurrency | None, Field(description="Requests at a time.")] = None
    request_rate: Annotated[
        Rate | None, Field(description="Requests per second, sent without waiting for answers.")
    ] = None
    burstiness: Annotated[
        float,
        Field(
            ge=0.01, le=1000, description="Gaps between arrivals: 1 is Poisson, less comes in bursts, more is steadier."
        ),
    ] = 1.0
    ramp_up: Annotated[RampUp, Field(description="How long the load takes to rise from nothing.")] = 0.0
    warmup: Annotated[int, Field(ge=0, le=10_000, description="Requests before the measurement.")] = 1
    prefix_cache: Annotated[bool, Field(description="Prompt tokens may come from the server's cache.")] = False
    fresh_prompts: Annotated[
        bool, Field(description="New prompts in every run; false sends the same ones each time.")
    ] = True
    api: Annotated[Literal["completions", "chat"], Field(description="Which endpoint is asked.")] = "completions"
    trace: Annotated[
        str | None,
        Field(
            min_length=1,
            description="A JSON Lines file with the lengths of real requests; relative to the matrix.",
            examples=["conversation.jsonl"],
        ),
    ] = None
    slo: Annotated[Slo | None, Field(description="Limits that a request must keep to count as good.")] = None
    client: Annotated[
        Literal["thor", "vllm"],
        Field(description="Who sends the load: pytest-thor, or the client of `vllm bench serve`."),
    ] = "thor"
    max_failed: Annotated[Share, Field(description="The share of failed or short requests that is tolerated.")] = 0.0
    sweep: Annotated[
        Sweep | None, Field(description="One parameter with several values: a workload for each of them.")
    ] = None
