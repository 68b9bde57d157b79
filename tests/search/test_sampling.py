"""What trials try."""

import optuna
import pytest
from optuna.samplers import RandomSampler

from dogs_vs_cats.search.plan import Fidelity, Kind, Plan
from dogs_vs_cats.search.sampling import (
    SeededByTrial,
    article_parameters,
    article_settings,
    at_length,
    deepest,
    suggest,
    trial_settings,
)
from dogs_vs_cats.settings.params import Settings
from dogs_vs_cats.settings.spaces import ScratchSpace
from dogs_vs_cats.settings.training_settings import TrainScratchSettings
from tests.conftest import ROOT


def plan(settings: Settings, kind: Kind) -> Plan:
    return Plan(kind, "s", "", ROOT, settings, Fidelity(None, 3), ("val_loss",), 1, 10, "0")


def with_space(settings: Settings, space: ScratchSpace) -> Settings:
    section = settings.search.scratch.model_copy(update={"space": space})
    return settings.model_copy(update={"search": settings.search.model_copy(update={"scratch": section})})


@pytest.mark.parametrize("kind", ["scratch", "vgg16"])
def test_the_articles_hyperparameters_stand_for_the_committed_defaults(settings: Settings, kind: Kind) -> None:
    base = settings.train_scratch if kind == "scratch" else settings.train_vgg16
    assert article_settings(kind, base, 150) == base


@pytest.mark.parametrize("kind", ["scratch", "vgg16"])
def test_the_article_can_be_a_trial_of_every_study(settings: Settings, kind: Kind) -> None:
    study = optuna.create_study()
    study.enqueue_trial(article_parameters(kind))
    trial = study.ask()
    suggested = suggest(trial, plan(settings, kind), 150)
    base = settings.train_scratch if kind == "scratch" else settings.train_vgg16
    assert suggested == base.model_copy(update={"epochs": 3})
    assert trial.params == article_parameters(kind)


@pytest.mark.parametrize("size", [16, 33])
def test_no_network_is_pooled_to_nothing(settings: Settings, size: int) -> None:
    space = settings.search.scratch.space.model_copy(
        update={"convolutions": settings.search.scratch.space.convolutions.model_copy(update={"high": 9})}
    )
    settings = with_space(settings, space)
    study = optuna.create_study(sampler=RandomSampler(1))
    depths = set()
    for _ in range(60):
        suggested = suggest(study.ask(), plan(settings, "scratch"), size)
        assert isinstance(suggested, TrainScratchSettings)
        depths.add(len(suggested.network.convolutions))
    assert max(depths) == deepest(size)
    assert size >> max(depths) == 1


def test_networks_of_one_shape_are_tried_where_the_photos_are_large_enough(settings: Settings) -> None:
    space = settings.search.scratch.space.model_copy(update={"networks": ["cnn", "residual", "alexnet"]})
    settings = with_space(settings, space)
    for size, expected in ((38, {"cnn", "residual"}), (39, {"cnn", "residual", "alexnet"})):
        study, tried = optuna.create_study(sampler=RandomSampler(1)), set()
        for _ in range(20):
            trial = study.ask()
            suggested = suggest(trial, plan(settings, "scratch"), size)
            assert isinstance(suggested, TrainScratchSettings)
            tried.add(suggested.network.name)
            assert ("convolutions" in trial.params) == (suggested.network.name == "cnn")
        assert tried == expected


def test_a_study_starts_from_the_article_whatever_network_is_set(settings: Settings) -> None:
    network = settings.train_scratch.network.model_copy(update={"name": "residual"})
    base = settings.train_scratch.model_copy(update={"network": network})
    assert article_settings("scratch", base, 150) == settings.train_scratch


def test_too_many_poolings_are_refused(settings: Settings) -> None:
    with pytest.raises(ValueError, match="3 poolings leave nothing of 7 pixels"):
        trial_settings("scratch", settings.train_scratch, article_parameters("scratch"), 7)


def test_a_schedule_that_ends_is_not_stopped_early(settings: Settings) -> None:
    params = article_parameters("scratch")
    base = settings.train_scratch
    cycle = trial_settings("scratch", base, params | {"schedule": "one_cycle", "crop": 0.5}, 150)
    assert isinstance(cycle, TrainScratchSettings)
    assert cycle.early_stopping is None
    assert (cycle.optimizer.schedule, cycle.optimizer.time_decay) == ("one_cycle", 0.0)
    assert cycle.augmentation is not None
    assert cycle.augmentation.crop == 0.5
    # Whatever the stage's own settings are by then.
    assert article_settings("scratch", cycle, 150) == base


def test_the_wide_residual_networks_width_is_varied(settings: Settings) -> None:
    settings = with_space(settings, settings.search.scratch.space.model_copy(update={"networks": ["wide_residual"]}))
    study, widths = optuna.create_study(sampler=RandomSampler(1)), set()
    for _ in range(20):
        suggested = suggest(study.ask(), plan(settings, "scratch"), 64)
        assert isinstance(suggested, TrainScratchSettings)
        widths.add(suggested.network.width)
    assert widths == {16, 32, 48, 64}


def test_a_shorter_training_has_the_same_share_of_everything(settings: Settings) -> None:
    changes = {"schedule": "linear", "warmup_epochs": 2.0, "time_decay": 0.0}
    full = settings.train_scratch.model_copy(
        update={
            "optimizer": settings.train_scratch.optimizer.model_copy(update=changes),
            "early_stopping": None,
            "keep": "moving_average",
        }
    )
    short = at_length(full, 10)
    assert short.epochs == 10
    assert short.optimizer.warmup_epochs == pytest.approx(0.4)
    assert short.averaging == pytest.approx(0.999**5)
    assert at_length(full, 50) == full
    article = at_length(settings.train_scratch, 10)
    assert article.optimizer.time_decay == "learning_rate/epochs"
    assert article.early_stopping == settings.train_scratch.early_stopping
    decays = settings.train_vgg16.model_copy(
        update={"optimizer": settings.train_vgg16.optimizer.model_copy(update={"time_decay": 0.01})}
    )
    assert at_length(decays, 5).optimizer.time_decay == pytest.approx(0.03)


@pytest.mark.parametrize("kind", ["scratch", "vgg16"])
def test_trials_weigh_classes_as_the_stage_does(settings: Settings, kind: Kind) -> None:
    base = settings.train_scratch if kind == "scratch" else settings.train_vgg16
    weighted = base.model_copy(update={"class_weight": {"cats": 1.0, "dogs": 3.0}})
    assert trial_settings(kind, weighted, article_parameters(kind), 150).class_weight == {"cats": 1.0, "dogs": 3.0}


def draws(seed: int, numbers: range, workers: int) -> list[float]:
    """What trials draw, each in a sampler that knows nothing of the others' randomness."""
    study = optuna.create_study()
    samplers = [SeededByTrial(seed) for _ in range(workers)]
    drawn = []
    for number in numbers:
        study.sampler = samplers[number % workers]
        trial = study.ask()
        drawn.append(trial.suggest_float("rate", 0, 1))
        study.tell(trial, drawn[-1])
    return drawn


def test_workers_draw_what_one_worker_would_and_never_the_same_twice() -> None:
    alone = draws(5, range(14), 1)
    assert draws(5, range(14), 3) == alone
    assert len(set(alone)) == 14
    assert draws(6, range(14), 1) != alone
