"""The record: what is known of one task that has ended, whatever its outcome.

There is one class per kind of task: ``VictimRecord`` for a trained or imported model,
``CellRecord`` for one defense on one victim at one clean budget, ``PreparedRecord`` for the state
that an attack prepares once for several victims, ``ProbeRecord`` for a probe of one model. Field
names and nesting are the JSON of the record files; a field at its default is left out there, and
fields that this version does not know are ignored. ``defuse schema record`` prints the JSON Schema.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Generic, Literal, NamedTuple, Protocol, Self, TypeVar

import msgspec
from msgspec import Meta

SCHEMA = 1
"""Version of the layout: raised when a reader of the previous one would misread a record."""


class Status(StrEnum):
    """How a task ended."""

    OK = "ok"
    ERROR = "error"
    """An exception, of the method or of its inputs."""
    TIMEOUT = "timeout"
    """It took longer than the study allows."""
    CRASH = "crash"
    """Its worker process died, or its GPU failed."""
    OOM = "oom"
    """No memory was left, on the GPU or on the machine, even when it ran alone."""
    UNSTABLE = "unstable"
    """A network whose answer to an image depends on what it was shown before, or on chance."""

    @property
    def failed(self) -> bool:
        """Whether there is no result."""
        return self is not Status.OK


FAILED = tuple(status for status in Status if status.failed)
"""Every status but ok."""


Fraction = Annotated[float, Meta(ge=0, le=1)]
"""A fraction in [0, 1]."""
Number = Annotated[float, Meta(ge=-1e12, le=1e12)]
"""A measured number, of a size that can be summed and drawn."""
Seconds = Annotated[float, Meta(ge=0, le=1e10)]
"""A time, below 300 years."""
ARTIFACT = re.compile(r"^[0-9a-f]{32}\.safetensors(\.gz)?$")
ArtifactName = Annotated[str, Meta(pattern=ARTIFACT.pattern)]
"""The name of an artifact in the store: a digest, so that it is no path out of it."""

LONGEST_TEXT = 20_000
"""The most characters of a text that a method wrote, such as an error's; the middle is cut."""


def safe_text(text: str, longest: int = LONGEST_TEXT) -> str:
    """Return a text as a record can hold it: of bounded length, without lone surrogates."""
    half = longest // 2
    if len(text) > longest:
        cut = len(text) - 2 * half
        text = f"{text[:half]} [... {cut} characters are left out ...] {text[-half:]}"
    return str.encode(text, "utf-8", "replace").decode()


class Failure(NamedTuple):
    """Why a task has no result."""

    status: Status
    error: str
    """One line for the user."""
    traceback: str = ""
    """Python traceback of an exception."""


class Planned(Protocol):
    """What a record is about: a victim, a cell or a probe of a study."""

    @property
    def key(self) -> str:
        """The digest of the spec."""

    @property
    def name(self) -> str:
        """A readable name."""

    @property
    def spec(self) -> dict[str, Any]:
        """Everything that decides the result, as JSON values."""


class _Object(msgspec.Struct, frozen=True, omit_defaults=True):
    """A JSON object."""


class MethodIdentity(_Object, frozen=True):
    """An attack, a defense or an architecture."""

    name: str
    """The name by which a study asks for it."""
    version: str | int
    """Raised by the method's author when its numbers move."""
    hyper: dict[str, Any]
    """Every hyperparameter; a file is named by its digest."""


class SourceDigest(_Object, frozen=True):
    """The files of an imported victim."""

    kind: str
    """``backdoorbench`` or ``checkpoint``."""
    digest: str
    """Digest of their contents."""


class VictimSpec(_Object, frozen=True, kw_only=True):
    """Everything that decides a victim; its digest is the record's key."""

    training: int | None = None
    """Version of the training loop; absent for an imported victim."""
    importing: int | None = None
    """Version of the import; absent for a trained victim."""
    source: SourceDigest | None = None
    """The files of an imported victim."""
    data: dict[str, Any]
    """The data set: digest of its pixels and labels, mean and std per channel, crop (padding in
    pixels), flip."""
    model: MethodIdentity
    """The architecture."""
    recipe: dict[str, Any] | None
    """How it is trained: epochs, batch, lr and so on; null for an imported victim."""
    attack: MethodIdentity
    """The attack; ``none`` for a clean model."""
    rate: int | float
    """Poison rate: a fraction of the training samples below 1, else their number; 0 for a clean
    model, and for an imported one whose rate is unknown."""
    target: int | str
    """Target class; or ``all-to-all``, with a shift ``all-to-all+2``."""
    seed: int | None = None
    """Seed of poisoning and training; absent for an imported victim."""
    clean: str | None = None
    """Key of the clean model that the attack needs; absent where it needs none."""


class DrawnSamples(_Object, frozen=True):
    """Samples of all batches of a training that its attack controlled."""

    samples: int
    """How many there were."""
    backdoors: int
    """How many of them carried the trigger and the attacker's label."""
    covers: int
    """How many of them carried a trigger and their true label."""


class Source(_Object, frozen=True):
    """The files that a victim was imported from."""

    kind: str
    """``backdoorbench`` or ``checkpoint``."""
    path: str
    """Where they were: a folder, or a file of weights."""
    digest: str
    """Digest of their contents."""


class ReportedScores(_Object, frozen=True):
    """Scores in [0, 1] in the files of an imported victim; absent where they have none."""

    acc: Fraction | None = None
    """Accuracy on clean test images."""
    asr: Fraction | None = None
    """Attack success rate."""
    ra: Fraction | None = None
    """Robust accuracy."""
    cross: Fraction | None = None
    """Accuracy on the cross test set."""


class CrossTest(_Object, frozen=True):
    """Test images with another trigger than the victim's (BackdoorBench's cross test set)."""

    acc: Fraction
    """Accuracy on them, against their true labels."""
    images: int
    """How many there are."""


class VictimArtifacts(_Object, frozen=True):
    """Names of a victim's files in the store."""

    model: ArtifactName
    """State dict of the trained model."""
    trigger: ArtifactName
    """State of the trigger function."""
    predictions: ArtifactName
    """Predicted classes and true labels of the clean and the triggered test images, uint16."""
    samples: ArtifactName
    """A few test images with and without the trigger, uint8 (n, C, H, W), and their labels."""
    poison: ArtifactName | None = None
    """Indices of the poisoned training samples, int64; absent where they are unknown."""
    triggered: ArtifactName | None = None
    """Triggered test images, uint8 (n, C, H, W), where no trigger function can make them."""


class VictimResult(_Object, frozen=True, kw_only=True):
    """What a victim is before any defense; accuracies are fractions in [0, 1]."""

    poisoned: int | None
    """Training samples with trigger and attacker's label, per epoch; null where unknown."""
    covers: int | None
    """Training samples with trigger and true label, per epoch; null where unknown."""
    unclear: int | None = None
    """Poisoned samples of an imported victim that may be either."""
    drawn: DrawnSamples | None
    """Exact counts where the attack controlled the training, else null."""
    precision: str | None = None
    """Arithmetic of the training: ``fp32``, ``tf32`` or ``bf16``; absent for an imported victim."""
    peak_mem_mb: Number | None = None
    """Peak memory in MiB of poisoning, training and evaluation, as for a cell."""
    peak_reserved_mb: Number | None = None
    """Peak memory in MiB that torch kept for itself on a GPU."""
    source: Source | None = None
    """Where an imported victim comes from."""
    reported: ReportedScores | None = None
    """Scores that the imported files report."""
    cross: CrossTest | None = None
    """Result on the cross test set of the imported files."""
    acc: Fraction
    """Accuracy on clean test images."""
    asr: Fraction
    """Attack success rate on triggered test images whose true class is not the target."""
    ra: Fraction
    """Robust accuracy: triggered test images classified as their true class."""
    psnr: Number | None
    """Peak signal-to-noise ratio of triggered test images in dB; null where no pixel differs."""
    ssim: Number
    """Structural similarity of clean and triggered test images, mean."""
    linf: Number
    """Largest change of a pixel in 8-bit steps, mean over triggered test images."""
    artifacts: VictimArtifacts
    """Its files in the store."""


class BudgetSize(_Object, frozen=True):
    """Clean training images that the defense is given; one of the two fields is null."""

    spc: int | None
    """Samples per class."""
    ratio: float | None
    """Fraction of each class."""
    shift: str | None = None
    """How its images are changed; absent where they are not."""
    triggered: float | None = None
    """Triggered samples with the attacker's label: a fraction below 1, else their number."""
    wrong_labels: float | None = None
    """Samples with a wrong label, likewise."""


class CellSpec(_Object, frozen=True):
    """Everything that decides a cell's scores; its digest is the record's key."""

    victim: str
    """Key of the victim."""
    defense: MethodIdentity
    """The defense."""
    budget: BudgetSize
    """The clean training images that it is given."""
    evaluation: int
    """Version of the evaluation."""
    seed: int
    """Seed of the clean samples and of the defense."""
    draw: int | None = None
    """Which of the clean budgets of this size it is; absent for the first."""
    triggers: list[str] | None = None
    """Keys of the victims whose triggers a clean model is evaluated with."""
    numerics: str | None = None
    """Arithmetic of the defense, and of the evaluation of its model; absent for fp32."""


class TriggerScores(_Object, frozen=True):
    """Scores of a model under another victim's trigger, fractions in [0, 1]."""

    asr: Fraction
    """Attack success rate."""
    ra: Fraction
    """Robust accuracy."""


class Companion(_Object, frozen=True):
    """Scores of a network that a defense returned beside the defended model, in [0, 1]."""

    acc: Fraction
    """Accuracy on clean test images."""
    asr: Fraction
    """Attack success rate."""
    ra: Fraction
    """Robust accuracy."""
    auroc: Fraction
    """AUROC of its disagreement with the defended model as a detector of triggered images."""
    auroc_victim: Fraction
    """AUROC of its agreement with the victim as a detector of triggered images."""


class CellArtifacts(_Object, frozen=True):
    """Names of a cell's files in the store."""

    predictions: ArtifactName
    """Classes that the defended model predicts on clean and triggered test images, uint16."""
    model: ArtifactName | None = None
    """State dict of the defended model, where the study keeps it."""
    method: ArtifactName | None = None
    """Arrays that the defense keeps, such as masks."""


class CellResult(_Object, frozen=True, kw_only=True):
    """What a defense did to its victim; accuracies and rates are fractions in [0, 1]."""

    acc: Fraction
    """Accuracy of the defended model on clean test images."""
    asr: Fraction
    """Its attack success rate."""
    ra: Fraction
    """Its robust accuracy."""
    der: Fraction
    """Defense effectiveness rating; 0.5 is no change, higher is better."""
    rir: Fraction
    """Robust improvement rate; 0.5 is no change, higher is better."""
    arr: Number
    """How far ACC is below the victim's ACC, relative to it; lower is better."""
    rdr: Number
    """How far RA is below the victim's ACC, relative to it; lower is better."""
    acc_before: Fraction
    """The victim's ACC."""
    asr_before: Fraction
    """The victim's ASR."""
    ra_before: Fraction
    """The victim's RA."""
    notes: dict[str, Any] = {}
    """Facts that the defense adds, such as the commit of an external script; JSON values."""
    changed: Fraction | None = None
    """Fraction of clean test images whose predicted class changed."""
    triggers: dict[str, TriggerScores]
    """Scores of a clean model under the triggers of attacks, by the attack's label."""
    companions: dict[str, Companion]
    """Scores of further networks that the defense returned, by name."""
    artifacts: CellArtifacts
    """Its files in the store."""
    seconds: Seconds
    """Time of the defense alone, in seconds."""
    cohort: int | None = None
    """Only in old records, where it is 1."""
    peak_mem_mb: Number | None = None
    """Peak memory in MiB while the defense ran: allocated on a GPU, on a CPU the process's resident
    set; absent for an external script, and where it can't be measured."""
    peak_reserved_mb: Number | None = None
    """Peak memory in MiB that torch kept for itself on a GPU."""
    n_clean: int
    """Clean training images that the defense was given."""


class PreparedSpec(_Object, frozen=True):
    """Everything that decides a prepared state; its digest is the record's key."""

    byproduct: int
    """Version of the training loop."""
    attack: MethodIdentity
    """The attack."""
    data: dict[str, Any]
    """The data set, as for a victim."""
    target: int | str
    """Target class, or a rule, as for a victim."""
    seed: int
    """Seed of the preparation."""
    clean: str | None
    """Key of the clean model that the attack needs; null where it needs none."""


class PreparedArtifacts(_Object, frozen=True):
    """Names of a prepared state's files in the store."""

    byproduct: ArtifactName
    """The arrays that the attack prepared."""


class PreparedResult(_Object, frozen=True):
    """What an attack prepared."""

    seconds: Seconds
    """Time of the preparation, in seconds."""
    artifacts: PreparedArtifacts
    """Its files in the store."""


class ProbeSpec(_Object, frozen=True, kw_only=True):
    """Everything that decides a probe's numbers; its digest is the record's key."""

    probing: int
    """Version of what a probe is handed."""
    probe: MethodIdentity
    """The probe."""
    victim: str
    """Key of the victim whose trigger it uses."""
    cell: str | None = None
    """Key of the cell whose defended model it tests; absent for a control on the clean model."""
    clean: str | None = None
    """Key of the clean model, where the probe needs it or tests it."""
    seed: int | None = None
    """The study's seed, for a control; otherwise that of the cell."""


class ProbeResult(_Object, frozen=True, kw_only=True):
    """What a probe measured on one model."""

    numbers: dict[str, float]
    """By name, as the probe declares them; shares are in [0, 1]."""
    notes: dict[str, Any] = {}
    """What the probe changed in its process, if anything."""
    repeated: bool = False
    """Whether the defense was run again to get the model, because it was not kept."""
    seconds: Seconds
    """Time of the probe alone, in seconds."""


class Environment(_Object, frozen=True):
    """The machine and the libraries."""

    device: str
    """``cpu``, ``cuda``, ``mps`` or ``xpu``."""
    hardware: str
    """Model of the processor or of the GPU."""
    threads: int
    """CPU threads of the worker."""
    torch: str
    """Version of PyTorch."""
    python: str
    """Version of Python."""
    cuda: str = ""
    """Version of CUDA; absent where the device has none."""
    cudnn: str = ""
    """Version of cuDNN."""
    driver: str = ""
    """Version of the GPU's driver."""
    workers: int | None = None
    """Workers that shared the device while the task ran, its own included: seconds of tasks with
    several are longer. Absent in old records."""
    isolation: str = ""
    """What kept a defense of the user's own apart: a ``process`` of its own and, where the kernel
    can close them to it, ``files``, ``network`` and ``signals``; absent for all others."""

    @property
    def shares_gpu(self) -> bool:
        """Whether several workers shared a GPU; on CPUs each has a core of its own."""
        return self.device != "cpu" and (self.workers or 1) > 1


class Run(NamedTuple):
    """What is measured around a task."""

    wall_seconds: float = 0.0
    """Time from start to end, in seconds."""
    environment: Environment | None = None
    scalars: Sequence[dict[str, float]] = ()
    """What the method logged."""


NOT_RUN = Run()
"""For a task that never started, or whose worker died."""


class _Record(_Object, frozen=True, tag_field="kind", kw_only=True):
    """What every record says."""

    key: str
    """Digest of the spec, 24 hexadecimal characters."""
    name: str
    """Readable name."""
    status: Status
    """How the task ended."""
    finished: str
    """When it was made: ISO 8601, UTC."""
    scalars: list[dict[str, float]] = []
    """What the method logged, step by step, thinned out; always the last field of a line."""


Spec = TypeVar("Spec")
Result = TypeVar("Result")


class _TaskRecord(_Record, Generic[Spec, Result], frozen=True, kw_only=True):
    """A record of a task of a study, whether it succeeded or failed."""

    schema: int
    """Version of the record's layout."""
    spec: Spec
    """Everything that decides the result."""
    result: Result | None = None
    """Present where the status is ok."""
    wall_seconds: Seconds
    """Time of the task from start to end, in seconds; 0 where it never ran."""
    environment: Environment | None = None
    """Absent where the task did not end by itself."""
    error: str = ""
    """Why it failed, in one line."""
    traceback: str = ""
    """Python traceback of an exception."""
    spec_class: ClassVar[Any]

    def __post_init__(self) -> None:
        if self.schema > SCHEMA:
            raise ValueError(f"schema {self.schema}, but this version reads up to {SCHEMA}")
        if self.status is Status.OK and self.result is None:
            raise ValueError("status ok, but no result")

    @classmethod
    def ok(cls, planned: Planned, result: Result, run: Run) -> Self:
        """Return the record of a task that succeeded."""
        return cls(
            schema=SCHEMA,
            key=planned.key,
            name=planned.name,
            spec=msgspec.convert(planned.spec, cls.spec_class),
            status=Status.OK,
            result=result,
            wall_seconds=run.wall_seconds,
            environment=run.environment,
            scalars=list(run.scalars),
            finished=now(),
        )

    @classmethod
    def failed(cls, planned: Planned, failure: Failure, run: Run = NOT_RUN) -> Self:
        """Return the record of a task that failed, or that could not be started."""
        return cls(
            schema=SCHEMA,
            key=planned.key,
            name=planned.name,
            spec=msgspec.convert(planned.spec, cls.spec_class),
            status=failure.status,
            error=safe_text(failure.error),
            traceback=safe_text(failure.traceback),
            wall_seconds=run.wall_seconds,
            environment=run.environment,
            scalars=list(run.scalars),
            finished=now(),
        )

    @property
    def ok_result(self) -> Result:
        """The result of a record whose status is ok."""
        assert self.result is not None
        return self.result


class VictimRecord(_TaskRecord[VictimSpec, VictimResult], frozen=True, tag="victim"):
    """The record of a victim: a model that was trained here, or imported."""

    kind: ClassVar = "victim"
    spec_class: ClassVar[Any] = VictimSpec

    def versions(self) -> dict[str, str]:
        """Return the versions of methods and loops that the result depends on, by name."""
        spec = self.spec
        loop = (
            ("training", spec.training) if spec.importing is None else ("importing", spec.importing)
        )
        return _versions(loop, attack=spec.attack, model=spec.model)


class CellRecord(_TaskRecord[CellSpec, CellResult], frozen=True, tag="cell"):
    """The record of a cell: one defense on one victim at one clean budget."""

    kind: ClassVar = "cell"
    spec_class: ClassVar[Any] = CellSpec

    def versions(self) -> dict[str, str]:
        """Return the versions that the result depends on beside those of the victim."""
        return _versions(("evaluation", self.spec.evaluation), defense=self.spec.defense)


class ProbeRecord(_TaskRecord[ProbeSpec, ProbeResult], frozen=True, tag="probe"):
    """The record of a probe: of one defended model or, as a control, of a clean model."""

    kind: ClassVar = "probe"
    spec_class: ClassVar[Any] = ProbeSpec

    def versions(self) -> dict[str, str]:
        """Return the versions that the numbers depend on beside those of the cell."""
        return _versions(("probing", self.spec.probing), probe=self.spec.probe)


class PreparedRecord(_Record, frozen=True, tag="byproduct", kw_only=True):
    """The record of a state that an attack prepared once, for several victims."""

    kind: ClassVar = "byproduct"
    spec: PreparedSpec
    """Everything that decides the result."""
    result: PreparedResult
    """What was prepared."""

    @classmethod
    def ok(
        cls,
        key: str,
        name: str,
        spec: dict[str, Any],
        result: PreparedResult,
        scalars: list[dict[str, float]],
    ) -> Self:
        """Return the record of what an attack prepared; ``spec`` are JSON values."""
        return cls(
            key=key,
            name=name,
            spec=msgspec.convert(spec, PreparedSpec),
            status=Status.OK,
            result=result,
            scalars=scalars,
            finished=now(),
        )

    def versions(self) -> dict[str, str]:
        """Return the versions of methods and loops that the result depends on, by name."""
        return _versions(("byproduct", self.spec.byproduct), attack=self.spec.attack)


Record = VictimRecord | CellRecord | ProbeRecord | PreparedRecord
TaskRecord = VictimRecord | CellRecord | ProbeRecord


def _versions(loop: tuple[str, int | None], **methods: MethodIdentity) -> dict[str, str]:
    named = {f"{kind} {method.name}": str(method.version) for kind, method in methods.items()}
    return {**named, loop[0]: str(loop[1])}


def now() -> str:
    """Return the time as records write it."""
    return datetime.now(UTC).isoformat()


Role = Literal["model", "trigger", "predictions", "samples", "poison", "triggered", "method"]
"""What an artifact of a victim or a cell is: the field names of their artifacts."""


def artifact_names(record: Record) -> dict[str, str]:
    """Return the names of a record's artifacts by role."""
    if record.result is None or isinstance(record, ProbeRecord):
        return {}
    names = msgspec.structs.asdict(record.result.artifacts)
    return {role: name for role, name in names.items() if name is not None}


def numbers(result: msgspec.Struct | None) -> dict[str, float]:
    """Return the fields of a result that are numbers, by name; nothing without a result."""
    fields = {} if result is None else msgspec.structs.asdict(result)
    return {name: x for name, x in fields.items() if isinstance(x, int | float)}


def to_json(record: Record) -> dict[str, Any]:
    """Return a record as JSON values: head, other fields in order of their names, scalars."""
    rest = msgspec.to_builtins(record)
    scalars = rest.pop("scalars", [])
    head = {name: rest.pop(name) for name in ("key", "kind", "status", "finished")}
    return {**head, **dict(sorted(rest.items())), "scalars": scalars}
