"""Logistic regression on features."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from dogs_vs_cats.data.examples import Examples, Parts
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.models.networks.building import build_head
from dogs_vs_cats.models.saved import predict
from dogs_vs_cats.settings.params import Settings
from dogs_vs_cats.settings.training_settings import HeadSettings, TrainVgg16Settings
from dogs_vs_cats.training.logistic import STRENGTHS, solve

HEAD = HeadSettings(pooling="flatten", dense=[], dropout=[], output="sigmoid")


def _settings(settings: Settings) -> TrainVgg16Settings:
    values = settings.train_vgg16.model_dump() | {"solver": "logistic", "network": HEAD.model_dump()}
    return TrainVgg16Settings.model_validate(values)


def _examples(n: int, seed: int) -> Examples:
    """Ten features of very different scales, three of which tell the class."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, n).astype(np.uint8)
    values = random.normal(size=(n, 10))
    values[:, :3] += labels[:, None]
    scales = 10.0 ** np.arange(-3, 7)
    constant = np.full((n, 1), 7.0)
    inputs = np.concatenate([values * scales + scales, constant], axis=1)
    return Examples(inputs.astype(np.float32)[:, None, None, :], labels)


def test_the_head_is_scikit_learns_regression_on_standardised_features(settings: Settings) -> None:
    training, validation = _examples(600, 1), _examples(300, 2)
    model = build_head(HEAD, (1, 1, 11))
    logged = []
    result = solve(model, Parts(training, validation), _settings(settings), lambda *row: logged.append(row))
    strength = result.kept["inverse_penalty"]
    assert strength in STRENGTHS
    scaler = StandardScaler().fit(training.inputs[:, 0, 0])
    by_hand = LogisticRegression(C=strength, max_iter=5000).fit(
        scaler.transform(training.inputs[:, 0, 0]), training.labels
    )
    expected = by_hand.predict_proba(scaler.transform(validation.inputs[:, 0, 0]))
    found = predict(model, validation.inputs)
    assert np.allclose(found, expected, atol=2e-3)
    log_loss = -np.log(found[np.arange(300), validation.labels]).mean()
    assert result.kept["val_log_loss"] == pytest.approx(log_loss, abs=1e-4)
    assert result.kept["val_accuracy"] == pytest.approx((found.argmax(axis=1) == validation.labels).mean())
    assert result.kept_epochs == (1, 1)
    assert [(epoch, metrics["val_log_loss"]) for metrics, epoch, _ in logged] == [(1, result.kept["val_log_loss"])]


@pytest.mark.parametrize("chosen", ["balanced", {"cats": 0.6, "dogs": 3.0}])
def test_weights_of_classes_are_weights_of_their_photos(settings: Settings, chosen: str | dict[str, float]) -> None:
    examples, validation = _examples(900, 6), _examples(300, 7)
    kept = np.flatnonzero((examples.labels == 0) | (np.arange(900) % 5 == 0))  # a fifth of the dogs
    training = Examples(examples.inputs[kept], examples.labels[kept])
    model = build_head(HEAD, (1, 1, 11))
    weighted = _settings(settings).model_copy(update={"class_weight": chosen})
    result = solve(model, Parts(training, validation, ("cats", "dogs")), weighted)
    counts = np.bincount(training.labels)
    weights = len(kept) / (2 * counts) if chosen == "balanced" else np.array([0.6, 3.0])
    scaler = StandardScaler().fit(training.inputs[:, 0, 0])
    by_hand = LogisticRegression(C=result.kept["inverse_penalty"], max_iter=5000).fit(
        scaler.transform(training.inputs[:, 0, 0]), training.labels, sample_weight=weights[training.labels]
    )
    expected = by_hand.predict_proba(scaler.transform(validation.inputs[:, 0, 0]))
    found = predict(model, validation.inputs)
    assert np.allclose(found, expected, atol=2e-3)
    plain = build_head(HEAD, (1, 1, 11))
    solve(plain, Parts(training, validation), _settings(settings))
    # Without weights, dogs are as rare in the answers as in the photos.
    assert found[:, 1].mean() > predict(plain, validation.inputs)[:, 1].mean() + 0.1


def test_copies_of_a_photo_do_not_judge_each_other(settings: Settings) -> None:
    # With nothing to learn, more freedom pays only where a photo's copy is in another fold.
    random = np.random.default_rng(3)
    inputs = random.normal(size=(60, 1, 1, 200)).astype(np.float32)
    labels = (np.arange(60) % 2).astype(np.uint8)
    copies = Examples(np.concatenate([inputs, inputs]), np.concatenate([labels, labels]), copies=2)
    result = solve(build_head(HEAD, (1, 1, 200)), Parts(copies, Examples(inputs, labels)), _settings(settings))
    assert result.kept["inverse_penalty"] <= 1e-3


def test_a_feature_that_is_the_same_for_every_photo_has_no_say(settings: Settings) -> None:
    # 0.1 has no float32, and a mean of many in float32 is further from it than they are from each other.
    training, validation = _examples(20_000, 4), _examples(300, 5)
    for examples in (training, validation):
        examples.inputs[..., -1] = 0.1
    model = build_head(HEAD, (1, 1, 11))
    solve(model, Parts(training, validation), _settings(settings))
    assert model.get_layer("logits").get_weights()[0][-1] == 0


def test_too_few_photos_of_a_class_are_refused(settings: Settings) -> None:
    examples = Examples(np.zeros((8, 1, 1, 2), np.float32), np.array([0] * 4 + [1] * 4, np.uint8))
    with pytest.raises(WorkflowError, match=r"train_vgg16\.solver: logistic needs 5 training photos of each class"):
        solve(build_head(HEAD, (1, 1, 2)), Parts(examples, examples), _settings(settings))
