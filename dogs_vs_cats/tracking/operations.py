"""What a run consists of, as operations that MLflow can be given twice without anything being there twice.

A run's operations go to MLflow as they happen, or from disk when MLflow is back. What was cut off is simply delivered
again: metrics, parameters, tags and files are the same twice, and runs, models and versions carry the tag
``IDENTITY``, by which they are found again.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

IDENTITY = "dogs_vs_cats.id"
REPLACES = "replaces_run"
"""The tag of a run that was recorded anew, with the id of the one that MLflow no longer has."""
ERROR = "error"
"""The tag with the exception that ended a run."""
Status = Literal["FINISHED", "FAILED", "KILLED"]

# MLflow takes no more of each in one request, and no longer values.
METRICS_AT_ONCE = 1000
ENTRIES_AT_ONCE = 100
PARAMETER_LENGTH = 6000
TAG_LENGTH = 5000
DESCRIPTION_LENGTH = 5000
# It takes 36 characters, but shows them all in a narrow column.
DATASET_DIGEST_LENGTH = 12


class Operation(BaseModel):
    """Base of every operation: it can be written as one line of JSON, NaN included."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


class Start(Operation):
    """Begin a run, or go on with the one that has this identity. Times are milliseconds since 1970."""

    kind: Literal["start"] = "start"
    identity: str
    run_id: str | None = None
    experiment: str
    name: str
    parent: str | None
    time: int
    tags: dict[str, str]
    dataset: tuple[str, str] | None = None
    """Its name and digest."""
    resumes: bool = False
    """Whether what ended the run before is overcome: its tag ``error`` goes."""


class Reopen(Operation):
    """Go on with the run that made the newest version that has all these tags, as it is."""

    kind: Literal["reopen"] = "reopen"
    registered_model: str
    version_tags: dict[str, str]


class Record(Operation):
    """Metrics as (name, value, milliseconds since 1970, step), parameters and tags."""

    kind: Literal["record"] = "record"
    metrics: list[tuple[str, float, int, int]] = []
    params: dict[str, str] = {}
    tags: dict[str, str] = {}


class Artifact(Operation):
    """A file or folder to keep with the run, in ``folder`` of its artifacts."""

    kind: Literal["artifact"] = "artifact"
    payload: Path
    folder: str | None
    beside_model: bool = False
    """Whether it is kept with the model of the version that the run was reopened by; without one, with the run."""


class Logged(Operation):
    """A model saved in MLflow's format, and the registered model that gets a version of it."""

    kind: Literal["model"] = "model"
    identity: str
    payload: Path
    name: str
    registered_model: str | None
    version_tags: dict[str, str]
    description: str = ""


class Described(Operation):
    """What the version that a run was reopened by is described as, and more tags of it."""

    kind: Literal["description"] = "description"
    description: str
    tags: dict[str, str]


class View(Operation):
    """A page of the run's experiment: its name, and what it shows, as ``views`` has it.

    ``RUNS`` in that stands for the runs that made the newest versions with these tags.
    """

    kind: Literal["view"] = "view"
    name: str
    state: str
    registered_model: str = ""
    versions: list[dict[str, str]] = []


class Promotion(Operation):
    """An alias for the newest version that has all these tags; where there is a rule, only if that lets it have it.

    ``merit``: it is better on the same test, as ``champions`` judges with this confidence.
    """

    kind: Literal["promotion"] = "promotion"
    registered_model: str
    alias: str
    version_tags: dict[str, str]
    rule: Literal["merit", "always", "never"] | None = None
    confidence: float = 0.95


class End(Operation):
    """The run's last operation."""

    kind: Literal["end"] = "end"
    status: Status
    time: int


AnyOperation = Annotated[
    Start | Reopen | Record | Artifact | Logged | Described | View | Promotion | End, Field(discriminator="kind")
]
OPERATION: TypeAdapter[AnyOperation] = TypeAdapter(AnyOperation)


def together(operations: Iterable[AnyOperation]) -> Iterator[tuple[AnyOperation, int]]:
    """Join neighbouring records into one request's worth.

    Yields:
        Each operation to deliver, and how many of ``operations`` are done with once it is.
    """
    joined: Record | None = None
    done = 0
    for operation in operations:
        if joined is not None:
            if isinstance(operation, Record) and _fits(joined, operation):
                joined = Record(
                    metrics=joined.metrics + operation.metrics,
                    params=joined.params | operation.params,
                    tags=joined.tags | operation.tags,
                )
                done += 1
                continue
            yield joined, done
            joined = None
        done += 1
        if isinstance(operation, Record):
            joined = operation
        else:
            yield operation, done
    if joined is not None:
        yield joined, done


def _fits(first: Record, second: Record) -> bool:
    return (
        len(first.metrics) + len(second.metrics) <= METRICS_AT_ONCE
        and len(first.params) + len(second.params) <= ENTRIES_AT_ONCE
        and len(first.tags) + len(second.tags) <= ENTRIES_AT_ONCE
    )


def unsent_id(identity: str) -> str:
    """The id of a run that MLflow does not know yet."""
    return f"unsent-{identity}"


def identity_of(run_id: str) -> str | None:
    """The identity in an id that ``unsent_id`` made; None for MLflow's own ids."""
    return run_id.removeprefix("unsent-") if run_id.startswith("unsent-") else None
