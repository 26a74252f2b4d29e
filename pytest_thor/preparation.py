"""What stands between a cell and its first launch: its files, its fingerprint, and the baseline it is held against."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

from pytest_thor.artifacts.discover import resolve
from pytest_thor.artifacts.gguf_model import read_model
from pytest_thor.artifacts.identity import content_identity
from pytest_thor.artifacts.means import Means
from pytest_thor.artifacts.obtain import Obtained, obtain
from pytest_thor.artifacts.synthetic import make_synthetic
from pytest_thor.artifacts.synthetic_hf import make_synthetic_hf
from pytest_thor.artifacts.vocabulary import context_length, ordinary_ids
from pytest_thor.baseline import history, store
from pytest_thor.baseline.entry import BaselineEntry
from pytest_thor.baseline.fingerprint import Fingerprint, conditions, differences, take
from pytest_thor.baseline.history import StoredRun
from pytest_thor.cell import ArtifactReference, Cell, EngineTraits, Scalar
from pytest_thor.engines.serving_engine import ModelFacts
from pytest_thor.errors import ArtifactError, ArtifactMissing, BaselineError
from pytest_thor.host.device import Device
from pytest_thor.measure import Reference
from pytest_thor.measurement import EngineBuild
from pytest_thor.past import comparable_runs, past_runs
from pytest_thor.report.document import ArtifactRecord
from pytest_thor.serving.load import TokenIds


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A model's files, found or made, and the engine build that will run them.

    ``artifact`` is None for an engine that attaches to a server which has its model already.
    """

    path: Path
    artifact: ArtifactRecord | None
    build: EngineBuild


def prepare(
    cell: Cell,
    *,
    traits: EngineTraits,
    build: EngineBuild,
    roots: Sequence[Path],
    cache: Path,
    quantizer: Path | None,
    full_hash: bool,
    means: Means,
    on_progress: Callable[[str], None],
    alone: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Prepared:
    """Find a cell's model under the roots, or make it where it is synthetic, and identify its content.

    One that is missing is made or brought by the ``means`` given, which may take hours. What takes every core (making,
    hashing) is done while the device is held ``alone``, so that it falls into nobody's measurement; a download, which
    takes long and little, is not.

    Raises:
        ArtifactError: it is missing, not what it claims, or cannot be made.
    """
    reference = cell.artifact
    if not traits.needs_artifact:
        return Prepared(path=_lent(reference, roots), artifact=None, build=build)
    synthetic, provenance = cache / "synthetic", None

    def obtain_by(means: Means) -> Obtained:
        return obtain(
            reference, cell.quant, roots, cache=cache, means=means, quantizer=quantizer, on_progress=on_progress
        )

    if reference.format != "synthetic":
        try:
            with alone():
                obtained = obtain_by(replace(means, download=False))
        except ArtifactMissing:
            if not means.download:
                raise
            obtained = obtain_by(means)
        path, provenance = obtained.path, obtained.provenance
    elif traits.synthetic == "hf":
        path = make_synthetic_hf(reference.location, cache=synthetic, quant=cell.quant)
    else:
        with alone():
            path = make_synthetic(
                reference.location, cell.quant, cache=synthetic, quantizer=quantizer, on_progress=on_progress
            )
    parameters = tensor_bytes = None
    if path.is_file():
        model = read_model(path)
        path, parameters, tensor_bytes = model.path, model.parameters, model.tensor_bytes
    with alone() if full_hash else nullcontext():
        identity = content_identity(path, full=full_hash)
    artifact = ArtifactRecord(
        path=str(path),
        format=reference.format,
        size_bytes=identity.size_bytes,
        header_sha256=identity.header_sha256,
        sha256=identity.sha256,
        parameters=parameters,
        tensor_bytes=tensor_bytes,
        provenance=dict(provenance) if provenance else None,
    )
    return Prepared(path=path, artifact=artifact, build=build)


def _lent(reference: ArtifactReference, roots: Sequence[Path]) -> Path:
    """Return the files that lend their vocabulary, or a bare name where there are none: they are not needed."""
    try:
        return resolve(reference, roots).absolute()
    except ArtifactError:
        return Path(reference.location)


def model_facts(path: Path) -> ModelFacts:
    """Read what a serving engine must know of a model's files for its prompts.

    Raises:
        ArtifactError: they are missing, or not what they claim.
    """
    size, forbidden = ordinary_ids(path)
    return ModelFacts(token_ids=TokenIds(size=size, forbidden=forbidden), context_length=context_length(path))


def machine_facts(device: Device) -> Mapping[str, Scalar]:
    """Return what a fingerprint keeps of a machine."""
    return {
        "device": device.slug,
        **({"part": str(device.part)} if device.part else {}),
        "cpu": device.cpu,
        "logical_cpus": device.logical_cpus,
        **({"cpu_quota": device.cpu_quota} if device.cpu_quota is not None else {}),
        "memory_bytes": device.memory_bytes,
        "gpu": ", ".join(gpu.name for gpu in device.gpus) or "none",
        "power_mode": device.power_mode,
        "clocks": device.clocks,
        "cpu_governor": device.cpu_governor,
        "gpu_power_limit_w": ", ".join(f"{gpu.power_limit_w:g}" for gpu in device.gpus if gpu.power_limit_w) or None,
        "soc": device.soc,
        "jetpack": device.jetpack,
        "container": device.container,
        "virtual": device.virtual,
        "l4t": device.l4t,
        "driver": device.driver,
        "cuda": device.cuda,
        "kernel": device.kernel,
    }


def fingerprint_of(
    cell: Cell, device: Device, prepared: Prepared, *, build: EngineBuild | None = None, against: str | None = None
) -> Fingerprint:
    """Return what a measurement of this cell is taken under, here and now.

    ``build`` is another than the prepared; ``against`` is the content of the quant that the cell is held against.
    """
    artifact = prepared.artifact
    model: dict[str, Scalar] = {}
    if artifact is not None:
        model = {"size_bytes": artifact.size_bytes, "header_sha256": artifact.header_sha256}
        if artifact.sha256:  # only where it was asked for: a hash that one side lacks is named, and does not block
            model["sha256"] = artifact.sha256
    if against is not None:
        model["reference_sha256"] = against
    return take(
        machine=machine_facts(device),
        model=model,
        engine=build or prepared.build,
        cell=cell,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What is stored of a cell on a device: the accepted baseline, and every later run, oldest first.

    ``reference`` is both as the judge takes them, before it is known whether they compare. ``error`` says why
    nothing of it can be read.
    """

    reference: Reference = field(default_factory=Reference)
    entry: BaselineEntry | None = None
    runs: tuple[StoredRun, ...] = ()
    error: BaselineError | None = None

    def held_against(self, current: Fingerprint) -> Reference:
        """Return what a measurement under this fingerprint is held against, and how that was taken differently.

        Raises:
            BaselineError: the stored files are corrupt, newer or another cell's; they are left as they are.
        """
        if self.error is not None:
            raise self.error
        if self.entry is None:
            return self.reference
        found = differences(self.entry.fingerprint, current)
        return replace(
            self.reference,
            blocking=tuple(str(difference) for difference in found if difference.blocks),
            named=tuple(str(difference) for difference in found if not difference.blocks),
        )


def stored_of(root: Path, device: Device, cell: Cell) -> Stored:
    """Read what is stored of a cell on a device."""
    try:
        entry = store.load(root, device.slug, cell)
        runs = history.load(root, device.slug, cell)
    except BaselineError as error:
        return Stored(error=error)
    if entry is None:
        return Stored(runs=runs)
    past = past_runs(comparable_runs(runs, conditions(entry.fingerprint)))
    return Stored(reference=Reference(launches=entry.samples, history=past), entry=entry, runs=runs)


def rival_reference(rival: Fingerprint, current: Fingerprint, build: EngineBuild) -> Reference:
    """Return what a cell of an A/B run is held against: the launches of a reference engine beside its own."""
    told = " ".join(str(part) for part in (build.name, build.version) if part)
    commit = f" ({build.commit})" if build.commit and build.commit not in told else ""
    found = differences(rival, current)
    return Reference(against=f"{told}{commit}", named=tuple(str(difference) for difference in found))
