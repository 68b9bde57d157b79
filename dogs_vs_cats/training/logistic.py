"""Logistic regression on bottleneck features, solved to its end rather than trained by epochs."""

import time
import warnings

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegressionCV
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.preprocessing import StandardScaler

from dogs_vs_cats.data.examples import Examples, Parts
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.models.probabilities import class_probabilities, predicted
from dogs_vs_cats.settings.training_settings import TrainVgg16Settings
from dogs_vs_cats.training.fitting import Log, Training
from dogs_vs_cats.training.weighting import class_weights

FOLDS = 5
STRENGTHS = [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0]
"""Values of scikit-learn's C, the inverse of the L2 penalty's weight, that cross-validation chooses from."""
_ROWS = 512
_STEPS = 1000


def solve(model: keras.Model, parts: Parts, settings: TrainVgg16Settings, log: Log | None = None) -> Training:
    """Fit L2 logistic regression on standardised features, and give a head its weights.

    The penalty's weight is chosen by log-loss in cross-validation within the training features, where a photo and its
    mirror image are in the same fold. The standardisation becomes part of the head's weights.

    Args:
        model: a head without hidden layers, with one sigmoid output.
        parts: features and labels.
        settings: the seed of the folds, and the weights of the classes.
        log: as for ``fitting.train``; called once.

    Returns:
        A history of one row, for the whole of the training.

    Raises:
        WorkflowError: if there are fewer photos of a class than folds.
    """
    started = time.perf_counter()
    dense = model.get_layer("logits")
    pooling = keras.Model(model.input, dense.input)
    inputs, labels = _pooled(pooling, parts.training), parts.training.labels
    if np.bincount(labels, minlength=2).min() < FOLDS * parts.training.copies:
        raise WorkflowError(f"train_vgg16.solver: logistic needs {FOLDS} training photos of each class; use gradient")
    scaler = StandardScaler().fit(inputs)  # in float64, in which a constant feature has no deviation
    photos = np.arange(len(labels)) % (len(labels) // parts.training.copies)
    weights_of = class_weights(settings, parts)
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=settings.seed).split(inputs, labels, photos)
    regression = LogisticRegressionCV(
        Cs=STRENGTHS,
        l1_ratios=(0.0,),
        cv=list(folds),
        scoring="neg_log_loss",
        max_iter=_STEPS,
        class_weight=None if weights_of is None else dict(enumerate(weights_of)),
        use_legacy_attributes=False,
    )
    with warnings.catch_warnings():
        # The weakest penalties need more steps than they are worth: cross-validation does not choose them.
        warnings.simplefilter("ignore", ConvergenceWarning)
        regression.fit(scaler.transform(inputs), labels)
    weights = regression.coef_[0] / scaler.scale_
    dense.set_weights([weights[:, None], regression.intercept_ - weights @ scaler.mean_])
    metrics = {**_judged(dense, inputs, labels), "inverse_penalty": float(np.ravel(regression.C_)[0])}
    validation = _judged(dense, _pooled(pooling, parts.validation), parts.validation.labels)
    metrics |= {f"val_{name}": value for name, value in validation.items()}
    if log is not None:
        log(metrics, 1, time.time_ns() // 1_000_000)
    row = {"epoch": 1, **metrics}
    return Training(pd.DataFrame([{**row, "kept": True}]), row, time.perf_counter() - started, stopped_early=False)


def _pooled(pooling: keras.Model, examples: Examples) -> NDArray[np.float32]:
    """The examples' features as the last layer takes them, (n, values)."""
    starts = range(0, len(examples.labels), _ROWS)
    parts = [pooling.predict_on_batch(np.asarray(examples.inputs[start : start + _ROWS])) for start in starts]
    return np.concatenate(parts)


def _judged(dense: keras.layers.Dense, inputs: NDArray[np.float32], labels: NDArray[np.uint8]) -> dict[str, float]:
    kernel, bias = dense.get_weights()
    log_odds = inputs.astype(np.float64) @ kernel + bias
    probabilities = class_probabilities(1 / (1 + np.exp(-log_odds)))
    loss = float(log_loss(labels, probabilities, labels=[0, 1]))
    return {"loss": loss, "accuracy": float((predicted(probabilities) == labels).mean()), "log_loss": loss}
