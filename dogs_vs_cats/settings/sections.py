"""What every section of ``params.yaml`` is made of."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, lt=1)]
Rate = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Positive = Annotated[float, Field(gt=0)]
Keep = Literal["best", "last", "average", "moving_average"]
OptimizerName = Literal["sgd", "rmsprop", "adam", "adamw", "nadam", "adagrad"]
ScheduleName = Literal["time_decay", "constant", "cosine", "linear", "one_cycle"]
LossName = Literal["binary_crossentropy", "focal", "hinge", "squared"]
PoolingEnd = Literal["flatten", "global_average"]
Resampling = Literal["nearest", "bilinear", "bicubic", "lanczos"]
Solver = Literal["gradient", "logistic"]
Pooling = Literal["average", "max"]
Layout = Literal["auto", "folders", "inner_folders", "names"]
HeadPooling = Literal["flatten", "global_average", "global_max"]


class Section(BaseModel):
    """Base of every section: no unknown keys, no silent conversions, no change after loading."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)
