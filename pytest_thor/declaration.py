"""What the command line may say of a run, and the ini twin of each option.

Every start of pytest reads this, so nothing but pytest is imported; ``options.py`` reads what was said.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, get_args

import pytest

UpdateMode: TypeAlias = Literal["missing", "accept"]
InconclusivePolicy: TypeAlias = Literal["pass", "warn", "fail"]
InvalidPolicy: TypeAlias = Literal["warn", "fail"]
ListFormat: TypeAlias = Literal["text", "json", "github"]

DEFAULT_LAUNCHES = "1:8"


def has_matrix(config: pytest.Config) -> bool:
    """Say whether this run was given a matrix, by the command line or the ini file."""
    return bool(config.getoption("--thor-matrix") or config.getini("thor_matrix"))


def add_options(parser: pytest.Parser) -> None:
    """Declare the command line options and the ini twin of each."""
    group = parser.getgroup("thor", "pytest-thor: LLM inference performance")

    def option(
        flag: str,
        help_text: str,
        *,
        ini: Literal["string", "bool", "linelist", "paths"],
        **kwargs: Any,  # noqa: ANN401 - argparse's own
    ) -> None:
        group.addoption(flag, help=help_text, **kwargs)
        parser.addini(flag.removeprefix("--").replace("-", "_"), help_text, type=ini)

    option(
        "--thor-matrix",
        "the matrix (YAML) whose cells become tests; may be repeated",
        ini="paths",
        action="append",
        metavar="PATH",
    )
    option(
        "--thor-models",
        "where relative artifacts are found; may be repeated (else $THOR_MODELS, else /models)",
        ini="paths",
        action="append",
        metavar="DIR",
    )
    option(
        "--thor-engine",
        "which executable or Python interpreter an engine, or one backend's engine, is; may be repeated",
        ini="linelist",
        action="append",
        metavar="NAME=PATH",
    )
    option(
        "--thor-against",
        "A/B: alternate launches of this reference engine with the current one and judge the pairs, without a stored "
        "baseline; may be repeated",
        ini="linelist",
        action="append",
        metavar="NAME=PATH",
    )
    option(
        "--thor-device",
        "what measures, in place of the whole machine: gpu:0, cpus:0-3, or left=cpus:0-3 with a name; repeated, with "
        "pytest-xdist's -n auto, devices measure side by side (else $THOR_DEVICE)",
        ini="linelist",
        action="append",
        metavar="[NAME=]PART",
    )
    option(
        "--thor-baseline",
        "the baseline store (default: baselines/ at the root of the matrix's project)",
        ini="string",
        metavar="DIR",
    )
    option(
        "--thor-update-baseline",
        "store what was measured: only where nothing is stored (missing), or also what changed (accept)",
        ini="string",
        nargs="?",
        const="missing",
        choices=get_args(UpdateMode),
    )
    option(
        "--thor-launches",
        f"launches per cell; the judge stops as soon as the verdict is clear (default {DEFAULT_LAUNCHES})",
        ini="string",
        metavar="MIN:MAX",
    )
    option(
        "--thor-budget",
        "how long the run may take, such as 20m: the cells most in doubt are launched first, and what is left is said",
        ini="string",
        metavar="DURATION",
    )
    option(
        "--thor-relative",
        "judge each cell relative to the matrix's canary",
        ini="bool",
        action="store_true",
        default=None,
    )
    option(
        "--thor-cool-down",
        "wait before each launch, five minutes at most, until no sensor is warmer than this (such as 55)",
        ini="string",
        metavar="CELSIUS",
    )
    option(
        "--thor-inconclusive",
        "what a cell does that is too noisy to tell (default warn)",
        ini="string",
        choices=get_args(InconclusivePolicy),
    )
    option(
        "--thor-invalid",
        "what a cell does whose figure cannot be true (default fail)",
        ini="string",
        choices=get_args(InvalidPolicy),
    )
    option(
        "--thor-strict",
        "a missing engine, model or baseline fails instead of skipping",
        ini="bool",
        action="store_true",
        default=None,
    )
    option(
        "--thor-full-hash",
        "read every byte of the models for the fingerprint, not just size and header",
        ini="bool",
        action="store_true",
        default=None,
    )
    option(
        "--thor-download",
        "bring missing models from the hub that the matrix names (needs pytest-thor[download])",
        ini="bool",
        action="store_true",
        default=None,
    )
    option(
        "--thor-quantize",
        "make missing GGUF quants from an F32, BF16 or F16 file of the same name beside them, or from a checkpoint by "
        "the converter that --thor-engine convert_hf_to_gguf=PATH names",
        ini="bool",
        action="store_true",
        default=None,
    )
    option(
        "--thor-imatrix",
        "the importance matrix for quants that --thor-quantize makes",
        ini="string",
        metavar="FILE",
    )
    option(
        "--thor-reference-quant",
        "the quant that the others of a model are told as percent of (default: the one with the most bits per weight)",
        ini="string",
        metavar="NAME",
    )
    option(
        "--thor-report",
        "where report.json and journal.jsonl go (default thor-report)",
        ini="string",
        metavar="DIR",
    )
    option(
        "--thor-export",
        "write the report in another format too; may be repeated (docs/exports.md has the list)",
        ini="linelist",
        action="append",
        metavar="FORMAT",
    )
    option(
        "--thor-serving-block",
        "print each serving cell's last launch in the layout of vllm bench serve",
        ini="bool",
        action="store_true",
        default=None,
    )
    option(
        "--thor-resume",
        "go on where the journal of the report folder ends: launches that finished under the same conditions count",
        ini="bool",
        action="store_true",
        default=None,
    )
    group.addoption(
        "--thor-list",
        nargs="?",
        const="text",
        choices=get_args(ListFormat),
        help="print the selected cells, or a job matrix for GitHub Actions, and stop",
    )
    option(
        "--thor-shards",
        "how many jobs --thor-list=github makes, of about equal length (default: one per model)",
        ini="string",
        metavar="N",
    )
