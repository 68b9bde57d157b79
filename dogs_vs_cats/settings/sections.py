"""What every section of ``params.yaml`` is made of."""

import unicodedata
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, field_validator

T = TypeVar("T")


def _expands(path: str) -> str:
    """Check that a ``~`` in a path stands for somebody's home."""
    try:
        Path(path).expanduser()
    except RuntimeError:
        raise ValueError(f"there is no home folder for {Path(path).parts[0]}; write the whole path") from None
    return path


Share = Annotated[float, Field(ge=0, lt=1)]
Rate = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Positive = Annotated[float, Field(gt=0)]
Keep = Literal["best", "last", "average", "moving_average"]
OptimizerName = Literal["sgd", "rmsprop", "adam", "adamw", "nadam", "adagrad", "muon"]
ScheduleName = Literal["time_decay", "constant", "cosine", "linear", "one_cycle"]
LossName = Literal["binary_crossentropy", "focal", "hinge", "squared"]
PoolingEnd = Literal["flatten", "global_average"]
Resampling = Literal["nearest", "bilinear", "bicubic", "lanczos"]
Solver = Literal["gradient", "logistic"]
ClassWeight = Annotated[
    Annotated[Literal["balanced"], Tag("word")] | Annotated[dict[str, Positive], Tag("mapping")],
    # Without it, a fault in a mapping would also be told as a word that is not balanced.
    Discriminator(
        lambda value: "mapping" if isinstance(value, dict) else "word" if value == "balanced" else None,
        custom_error_type="class_weight",
        custom_error_message="choose balanced, weights by class such as {cats: 1.0, dogs: 3.0}, or null",
    ),
]
Pooling = Literal["average", "max"]
Layout = Literal["auto", "folders", "inner_folders", "names"]
PathName = Annotated[str, AfterValidator(_expands)]
HeadPooling = Literal["flatten", "global_average", "global_max"]


class Section(BaseModel):
    """Base of every section: no unknown keys, no silent conversions, nothing infinite, no change after loading."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*")
    @classmethod
    def _can_be_written(cls, value: T) -> T:
        if isinstance(value, str) and any(unicodedata.category(letter) == "Cc" for letter in value):
            raise ValueError("it has a control character, such as a line break or NUL; remove that")
        return value
