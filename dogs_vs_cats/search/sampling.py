"""What a trial tries: hyperparameters from Optuna, and the settings they stand for."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.study import Study
from optuna.trial import BaseTrial, FrozenTrial, TrialState

from dogs_vs_cats.search.plan import Kind, Plan, Trained
from dogs_vs_cats.settings.catalogue import SCRATCH
from dogs_vs_cats.settings.spaces import (
    ARTICLE_PATIENCE,
    ARTICLE_SCRATCH,
    ARTICLE_TIME_DECAY,
    ARTICLE_VGG16,
    FloatRange,
    ScratchSpace,
    TrainingSpace,
    Vgg16Space,
)
from dogs_vs_cats.settings.training_settings import (
    EarlyStoppingSettings,
    TrainScratchSettings,
    TrainVgg16Settings,
    ViewsSettings,
)

CANDIDATE, SEED = "candidate", "seed"
"""What the trials of a confirmation differ in."""
MOST_SEED = 2**32 - 1
STAGE = "stage_settings"
"""User attribute of a trial that samples nothing: its settings, those of its stage when it was queued."""
SOLVER = "solver"
"""User attribute, and the only hyperparameter, of a trial whose head is solved: that leaves nothing to sample."""


class SeededByTrial(BaseSampler):
    """TPE with random numbers of its own for each trial, drawn from the study's seed and the trial's number.

    Workers therefore never repeat each other's draws, and a study that goes on draws what it would have drawn.

    Args:
        seed: the study's.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._sampler = TPESampler(seed=seed)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Begin the trial's own random numbers."""
        seed = int(np.random.SeedSequence([self._seed, trial.number]).generate_state(1)[0])
        self._sampler = TPESampler(seed=seed)
        self._sampler.before_trial(study, trial)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """As TPE does."""
        return self._sampler.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """As TPE does."""
        return self._sampler.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """As TPE does."""
        return self._sampler.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """As TPE does."""
        self._sampler.after_trial(study, trial, state, values)


def article_parameters(kind: Kind) -> dict[str, Any]:
    """The article's settings as a trial's hyperparameters."""
    flat: dict[str, Any] = {}
    for key, value in (ARTICLE_SCRATCH if kind == "scratch" else ARTICLE_VGG16).items():
        flat |= (
            {f"{key}_{layer + 1}": one for layer, one in enumerate(value)} if isinstance(value, list) else {key: value}
        )
    for one, several in (
        ("network", "networks"),
        ("schedule", "schedules"),
        ("optimizer", "optimizers"),
        ("loss", "losses"),
    ):
        if several in flat:
            flat[one] = flat.pop(several)
    optimizer = flat["optimizer"]
    for rate in ("learning_rate", "momentum"):
        if rate in flat:
            flat[f"{optimizer}_{rate}"] = flat.pop(rate)
    return flat


def own_settings(plan: Plan) -> dict[str, Any] | None:
    """The settings of the stage, as JSON has them; None where they are the article's."""
    if plan.base == article_settings(plan.kind, plan.base, plan.settings.decode.size):
        return None
    return plan.base.model_dump(mode="json")


def article_settings(kind: Kind, base: Trained, size: int) -> Trained:
    """The article's settings; what no search varies is as in ``base``."""
    return trial_settings(kind, base, article_parameters(kind), size)


def suggest(trial: BaseTrial, plan: Plan, size: int) -> Trained:
    """Let a trial try something.

    Args:
        trial: Optuna's.
        plan: its study.
        size: pixels a side of the smallest photos that any trial of the study is trained on; a CNN never gets more
            layers than halve that to one pixel.

    Returns:
        Its settings.
    """
    space = plan.search.space
    if plan.candidates or STAGE in trial.user_attrs:
        if STAGE in trial.user_attrs:
            chosen = tried(plan, trial)
        else:
            params = plan.candidates[trial.suggest_categorical(CANDIDATE, list(plan.candidates))]
            chosen = trial_settings(plan.kind, plan.base, params, size)
        seed = trial.suggest_int(SEED, 0, MOST_SEED) if plan.candidates else plan.base.seed
        return at_length(chosen, plan.current.epochs).model_copy(update={"seed": seed})
    if SOLVER in trial.user_attrs:
        trial.suggest_categorical(SOLVER, [trial.user_attrs[SOLVER]])
    elif isinstance(space, ScratchSpace):
        _suggest_scratch(trial, space, size)
    else:
        _suggest_vgg16(trial, space)
    return at_length(trial_settings(plan.kind, plan.base, trial.params, size), plan.current.epochs)


def _suggest_scratch(trial: BaseTrial, space: ScratchSpace, size: int) -> None:
    buildable = [name for name in space.networks if SCRATCH[name].minimum <= size]
    network = trial.suggest_categorical("network", buildable)
    if network == "cnn":
        _suggest_cnn(trial, space, size)
    elif network == "wide_residual":
        trial.suggest_categorical("width", space.width)
    _float(trial, "augmentation", space.augmentation)
    _float(trial, "crop", space.crop)
    trial.suggest_categorical("schedule", space.schedules)
    _suggest_training(trial, space)


def _suggest_cnn(trial: BaseTrial, space: ScratchSpace, size: int) -> None:
    high = min(space.convolutions.high, deepest(size))
    for layer in range(trial.suggest_int("convolutions", min(space.convolutions.low, high), high)):
        trial.suggest_categorical(f"filters_{layer + 1}", space.filters)
        trial.suggest_categorical(f"kernel_{layer + 1}", space.kernel)
    trial.suggest_categorical("batch_normalization", space.batch_normalization)
    _float(trial, "convolution_dropout", space.convolution_dropout)
    trial.suggest_categorical("pooling_end", space.pooling_end)
    _suggest_dense(trial, space)
    _float(trial, "dense_dropout", space.dense_dropout)


def _suggest_vgg16(trial: BaseTrial, space: Vgg16Space) -> None:
    trial.suggest_categorical("pooling", space.pooling)
    for layer in range(_suggest_dense(trial, space)):
        _float(trial, f"dropout_{layer + 1}", space.dropout)
    _suggest_training(trial, space)
    trial.suggest_categorical("keep", space.keep)


def _suggest_dense(trial: BaseTrial, space: TrainingSpace) -> int:
    layers = trial.suggest_int("dense", space.dense.low, space.dense.high)
    for layer in range(layers):
        trial.suggest_categorical(f"units_{layer + 1}", space.units)
    return layers


def _suggest_training(trial: BaseTrial, space: TrainingSpace) -> None:
    optimizer = trial.suggest_categorical("optimizer", list(space.optimizers))
    rates = {str(name): rates for name, rates in space.optimizers.items()}[optimizer]
    _float(trial, f"{optimizer}_learning_rate", rates.learning_rate)
    if rates.momentum is not None:
        _float(trial, f"{optimizer}_momentum", rates.momentum)
    trial.suggest_categorical("weight_decay", space.weight_decay)
    if trial.suggest_categorical("loss", space.losses) in ("binary_crossentropy", "focal"):
        trial.suggest_categorical("label_smoothing", space.label_smoothing)
    trial.suggest_categorical("batch", space.batch)


def _float(trial: BaseTrial, name: str, allowed: FloatRange) -> float:
    return trial.suggest_float(name, allowed.low, allowed.high, log=allowed.log)


def deepest(size: int) -> int:
    """How many times an image of ``size`` pixels a side can be halved before nothing is left."""
    return size.bit_length() - 1


def trial_settings(kind: Kind, base: Trained, params: Mapping[str, Any], size: int) -> Trained:
    """The settings that a trial's hyperparameters stand for.

    Args:
        kind: scratch or vgg16.
        base: what is not varied.
        params: hyperparameters by name.
        size: pixels a side.

    Returns:
        Checked settings.

    Raises:
        ValueError: if the network cannot be built: its poolings leave nothing.
    """
    if SOLVER in params:
        solved = {"pooling": "global_average", "dense": [], "dropout": [], "output": "sigmoid"}
        network = base.network.model_dump() | solved
        return TrainVgg16Settings.model_validate(base.model_dump() | {SOLVER: params[SOLVER], "network": network})
    name = params["optimizer"]
    values = base.model_dump(mode="python") | {
        "optimizer": base.optimizer.model_dump()
        | {
            "name": name,
            "learning_rate": params[f"{name}_learning_rate"],
            "momentum": params.get(f"{name}_momentum"),
            "nesterov": base.optimizer.nesterov and name == "sgd",
            "weight_decay": params["weight_decay"] or None,
        },
        "loss": base.loss.model_dump()
        | {"name": params["loss"], "label_smoothing": params.get("label_smoothing", 0.0)},
        "batch": params["batch"],
    }
    if kind == "vgg16":
        dense = _dense(params)
        dropout = [params[f"dropout_{layer + 1}"] for layer in range(params["dense"])]
        head = {"pooling": params["pooling"], "dense": dense, "dropout": dropout}
        return TrainVgg16Settings.model_validate(
            values | {"network": base.network.model_dump() | head, "keep": params["keep"], "solver": "gradient"}
        )
    strength, schedule = params["augmentation"], params["schedule"]
    decays = schedule == "time_decay"
    optimizer = {
        "schedule": schedule,
        "time_decay": ARTICLE_TIME_DECAY if decays else 0.0,
        "warmup_epochs": 0.0,
    }
    shape = {"name": params["network"], "width": params.get("width", base.network.model_dump()["width"])}
    return TrainScratchSettings.model_validate(
        values
        | {
            "optimizer": values["optimizer"] | optimizer,
            "sizes": None,
            "views": ViewsSettings().model_dump(),
            "reduce_on_plateau": None,
            # The article's patience belongs to its schedule; one that ends with the last epoch is not cut off.
            "early_stopping": EarlyStoppingSettings(patience=ARTICLE_PATIENCE).model_dump() if decays else None,
            "augmentation": {
                "shear_degrees": 11.459 * strength,
                "zoom": 0.2 * strength,
                "flip": True,
                "crop": params["crop"],
            },
            "network": base.network.model_dump()
            | shape
            | (_cnn_shape(params, size) if params["network"] == "cnn" else {}),
        }
    )


def tried(plan: Plan, trial: BaseTrial | FrozenTrial) -> Trained:
    """Return the settings of the full training that a trial stands for."""
    if STAGE in trial.user_attrs:
        return type(plan.base).model_validate(trial.user_attrs[STAGE])
    return trial_settings(plan.kind, plan.base, trial.params, plan.settings.decode.size)


def at_length(settings: Trained, epochs: int) -> Trained:
    """Make settings those of the same training at another length.

    What counts epochs or updates of the learning rate's schedule, or of the weights' moving average, keeps its share of
    the training. The stopping rule stays.

    Args:
        settings: of the full training.
        epochs: of the other one.
    """
    share, optimizer = epochs / settings.epochs, settings.optimizer
    changed: dict[str, Any] = {"warmup_epochs": optimizer.warmup_epochs * share}
    if not isinstance(optimizer.time_decay, str):
        changed["time_decay"] = optimizer.time_decay / share
    length: dict[str, Any] = {"epochs": epochs, "optimizer": optimizer.model_copy(update=changed)}
    if settings.keep == "moving_average":
        length["averaging"] = settings.averaging ** (1 / share)
    if isinstance(settings, TrainScratchSettings) and share != 1:
        length["sizes"] = None  # images that grow do so over the full training's epochs
    return settings.model_copy(update=length)


def _cnn_shape(params: Mapping[str, Any], size: int) -> dict[str, Any]:
    layers = range(1, params["convolutions"] + 1)
    if len(layers) > deepest(size):
        raise ValueError(f"{len(layers)} poolings leave nothing of {size} pixels")
    return {
        "convolutions": [
            {"filters": params[f"filters_{layer}"], "kernel": params[f"kernel_{layer}"]} for layer in layers
        ],
        "batch_normalization": params["batch_normalization"],
        "convolution_dropout": params["convolution_dropout"],
        "pooling_end": params["pooling_end"],
        "dense": _dense(params),
        "dense_dropout": params["dense_dropout"],
    }


def _dense(params: Mapping[str, Any]) -> list[int]:
    return [params[f"units_{layer + 1}"] for layer in range(params["dense"])]
