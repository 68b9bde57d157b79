"""A trained model on disk: its weights, and the description it is built again from."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from dogs_vs_cats.data.arrays import release
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.settings.catalogue import BACKBONES, SCRATCH, BackboneName
from dogs_vs_cats.settings.params import CnnSettings, HeadSettings
from dogs_vs_cats.settings.sections import Resampling

if TYPE_CHECKING:
    import keras

Kind = Literal["scratch", "vgg16"]
KINDS: tuple[Kind, ...] = ("scratch", "vgg16")


class Description(BaseModel):
    """What a model's weights belong to.

    Attributes:
        kind: the network from scratch, or the head on a backbone's features, which is VGG16 by default.
        size: pixels a side of the photos it takes.
        resampling: how photos were resized to that; Lanczos where a description of an older version does not say.
        classes: the two classes; the model gives the probability of the second.
        features: shape of one photo's bottleneck features; None for the CNN.
        backbone: whose features; None for the CNN.
        scaling: how photos are scaled for the backbone; None for the CNN.
        network: the trained network's settings.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Kind
    size: int
    resampling: Resampling = "lanczos"
    classes: tuple[str, str]
    features: tuple[int, int, int] | None
    backbone: BackboneName | None = None
    scaling: Literal["imagenet", "article"] | None
    network: CnnSettings | HeadSettings

    @model_validator(mode="before")
    @classmethod
    def _vgg16_where_nothing_is_said(cls, values: Any) -> Any:
        # Models were described without a backbone while there was but one.
        return {"backbone": "vgg16", **values} if isinstance(values, dict) and values.get("kind") == "vgg16" else values

    @property
    def name(self) -> str:
        """The model as reports call it."""
        if isinstance(self.network, CnnSettings):
            return f"{SCRATCH[self.network.name].title} from scratch"
        assert self.backbone is not None
        return f"{BACKBONES[self.backbone].title} transfer model"

    def build(self) -> "keras.Model":
        """The trained network, with new weights."""
        from dogs_vs_cats.models.networks.building import build_cnn, build_head

        if isinstance(self.network, CnnSettings):
            return build_cnn(self.network, self.size)
        assert self.features is not None
        return build_head(self.network, self.features)


def write_model(model: "keras.Model", description: Description, weights: Path) -> None:
    """Write ``NAME.weights.h5`` and beside it ``NAME.json``; equal weights give equal bytes."""
    weights.parent.mkdir(parents=True, exist_ok=True)
    for path, write in (
        (weights, model.save_weights),
        (describing(weights), lambda path: path.write_text(description.model_dump_json(indent=2) + "\n")),
    ):
        new = path.with_name(f".{path.name}")
        try:
            write(new)
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)


def describing(weights: Path) -> Path:
    """The description beside ``NAME.weights.h5``: ``NAME.json``."""
    return weights.with_name(weights.name.removesuffix(".weights.h5") + ".json")


class Predictor:
    """A trained model, ready to predict.

    Attributes:
        description: what it is.
        model: the Keras network, with its trained weights.
    """

    def __init__(self, description: Description, model: "keras.Model") -> None:
        self.description, self.model = description, model

    @property
    def parameters(self) -> int:
        """Trained and frozen numbers in the network; the backbone's own are not counted in the head's."""
        return int(self.model.count_params())

    def predict(self, inputs: NDArray[Any], batch: int = 64) -> NDArray[np.float64]:
        """P(second class) of each input.

        Args:
            inputs: ``(n, size, size, 3)`` uint8 photos for the CNN, ``(n, *features)`` for the head.
            batch: inputs a forward pass.

        Returns:
            ``(n,)``, each between 0 and 1.
        """
        return predict(self.model, inputs, batch)


def predict(model: "keras.Model", inputs: NDArray[Any], batch: int = 64) -> NDArray[np.float64]:
    """P(second class) ``(n,)`` from a network of either output."""
    from dogs_vs_cats.models.networks.building import second_class

    parts = []
    for start in range(0, len(inputs), batch):
        outputs = model.predict_on_batch(np.array(inputs[start : start + batch]))
        parts.append(np.asarray(second_class(outputs), dtype=np.float64))
        release(inputs)
    return np.concatenate(parts)


def read_description(weights: Path) -> Description:
    """Read what the weights ``NAME.weights.h5`` belong to, from ``NAME.json`` beside them.

    Raises:
        WorkflowError: if that is missing or damaged; it names the stage that makes it.
    """
    path = describing(weights)
    try:
        return Description.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise WorkflowError(f"{path}: no trained model there; {advice(weights)}") from None
    except (ValidationError, UnicodeDecodeError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else "no text"
        raise WorkflowError(f"{path}: not a model's description ({reason}); {advice(weights)}") from None


@contextmanager
def loading(weights: Path) -> Iterator[None]:
    """Name the file, and the stage that makes it, in what goes wrong while weights are read in the ``with`` block.

    Raises:
        WorkflowError: if they are missing, or do not fit their description.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise WorkflowError(f"{error.filename or weights}: no trained model there; {advice(weights)}") from None
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise WorkflowError(
            f"{weights}: its weights do not fit {describing(weights).name} ({reason}); {advice(weights)}"
        ) from None


def advice(weights: Path) -> str:
    """The command that makes a model."""
    return f"run dvc repro train_{describing(weights).stem}"


def load_predictor(weights: Path) -> Predictor:
    """Load a trained model.

    Args:
        weights: its ``NAME.weights.h5``; ``NAME.json`` is beside it.

    Returns:
        The model and its description.

    Raises:
        WorkflowError: if either file is missing or does not fit the other; it names the stage that makes them.
    """
    description = read_description(weights)
    with loading(weights):
        model = description.build()
        model.load_weights(weights)
    return Predictor(description, model)


def open_backbone(description: Description, weights: Path) -> "keras.Model | None":
    """The backbone that a model was trained on the features of; None for the network from scratch.

    Args:
        description: the model's.
        weights: the backbone's ImageNet weights, not read where there is no backbone.

    Raises:
        WorkflowError: if they are missing or damaged.
    """
    if description.backbone is None:
        return None
    require_backbone(weights)
    from dogs_vs_cats.models.pretrained.backbones import build_backbone

    return build_backbone(description.backbone, description.size, weights)


def require_backbone(weights: Path) -> None:
    """Say how to get a project's backbone where it is missing.

    Raises:
        WorkflowError: naming the file and the command.
    """
    if not weights.exists():
        raise WorkflowError(f"{weights}: no backbone there; fetch it with: dvc repro weights")


def exported(model: "keras.Model", description: Description, backbone: "keras.Model | None" = None) -> "keras.Model":
    """Build the model as others use it: photos in, a probability out, made of Keras's own classes alone.

    Args:
        model: the trained network.
        description: what it is.
        backbone: the backbone with its weights, for the head.

    Returns:
        A model from ``(n, size, size, 3)`` uint8 RGB photos to ``(n,)`` float32 P(second class). It is not compiled.
    """
    import keras

    from dogs_vs_cats.models.networks.building import second_class

    photos = keras.layers.Input((description.size, description.size, 3), dtype="uint8", name="photos")
    x = keras.ops.cast(photos, "float32")
    if description.kind == "vgg16":
        from dogs_vs_cats.models.pretrained.backbones import scale_layers

        if backbone is None or description.backbone is None or description.scaling is None:
            raise ValueError("the vgg16 model needs its backbone and its scaling")
        x = backbone(scale_layers(x, description.scaling, description.backbone))
    # Not the trained object itself: Keras saves the optimizer and the loss that a model was compiled with, and where
    # this one is loaded, those of this project do not exist.
    network = description.build()
    network.set_weights(model.get_weights())
    return keras.Model(photos, second_class(network(x)), name=f"photos_to_{description.kind}")
