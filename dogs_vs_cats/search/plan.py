"""What a study is: all that its workers need to know, wherever they run."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from dogs_vs_cats.models.kinds.registry import KINDS
from dogs_vs_cats.settings.params import Settings
from dogs_vs_cats.settings.photo_settings import BottleneckSettings
from dogs_vs_cats.settings.spaces import ScratchSearch, Vgg16Search
from dogs_vs_cats.settings.training_settings import TrainScratchSettings, TrainVgg16Settings

Kind = Literal["scratch", "vgg16"]
Trained = TrainScratchSettings | TrainVgg16Settings

Direction = Literal["minimize", "maximize"]

DIRECTIONS: dict[str, Direction] = {
    "val_loss": "minimize",
    "val_accuracy": "maximize",
    "parameters": "minimize",
    "latency": "minimize",
}
"""The objectives. ``val_loss`` is the validation log-loss, whatever loss a trial is trained on, so that all compare."""

PLAN, RUN, OWNER = "plan", "mlflow_run_id", "owner"
"""User attributes: what a study is, the run in MLflow of a study or a trial, and the process that runs a trial."""

RUNG = "rung"
"""User attribute of a trial: the index of its rung in ``Plan.ladder``."""


@dataclass(frozen=True)
class Fidelity:
    """How much of the whole training a trial is.

    Attributes:
        images: training photos; None: all. Validation photos are cut down in proportion.
        epochs: at most.
        size: pixels a side, CNN only; None: as decoded.
    """

    images: int | None
    epochs: int
    size: int | None = None

    @property
    def photos(self) -> str:
        """The training photos, in few words."""
        return "all photos" if self.images is None else f"{self.images} photos"

    def __str__(self) -> str:
        images = "all training photos" if self.images is None else f"{self.images:,} training photos"
        size = "" if self.size is None else f" at {self.size}x{self.size} pixels"
        return f"{images}{size}, {self.epochs} epoch{'' if self.epochs == 1 else 's'} at most"


@dataclass(frozen=True)
class Plan:
    """A study.

    Attributes:
        kind: what is searched for: the CNN from scratch, or the head on the backbone's features.
        study: its name.
        storage: Optuna storage, a URL.
        root: the project's folder.
        settings: all of ``params.yaml``, checked.
        fidelity: of its trials; where there are rungs, of the last one.
        objectives: keys of ``DIRECTIONS``; the first one decides which trial is best.
        seed: of what is sampled.
        trials: how many are to finish.
        digest: of the data, so that trials on other photos do not mix with these.
        candidates: hyperparameters by name; where there are any, the study samples nothing, but trains each of these
            with several seeds, each on a split of its own (``confirming.py``).
        run: the study's run in MLflow; empty before it has one.
        driver: names the process that hands out the trials.
        rungs: cheaper trainings, from the cheapest on, that decide which trials train at ``fidelity`` (``rungs.py``).
        rung: the index in ``ladder`` that trials are handed out for.
    """

    kind: Kind
    study: str
    storage: str
    root: Path
    settings: Settings
    fidelity: Fidelity
    objectives: tuple[str, ...]
    seed: int
    trials: int
    digest: str
    candidates: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    run: str = ""
    driver: str = ""
    rungs: tuple[Fidelity, ...] = ()
    rung: int = 0

    @property
    def ladder(self) -> tuple[Fidelity, ...]:
        """The fidelities of all rungs, from the cheapest on."""
        return (*self.rungs, self.fidelity)

    @property
    def current(self) -> Fidelity:
        """The fidelity of the rung that trials are handed out for."""
        return self.ladder[self.rung]

    @property
    def base(self) -> Trained:
        """The settings that a trial starts from: what the search does not vary is as in this."""
        return self.settings.train_scratch if self.kind == "scratch" else self.settings.train_vgg16

    @property
    def search(self) -> ScratchSearch | Vgg16Search:
        """The section of what is varied."""
        return KINDS[self.kind].search_settings(self.settings)

    @property
    def searched(self) -> str:
        """What is searched for, in few words."""
        return "scratch" if self.kind == "scratch" else f"transfer {self.settings.bottleneck.backbone}"

    @property
    def directions(self) -> list[Direction]:
        """``minimize`` or ``maximize``, an objective each."""
        return [DIRECTIONS[objective] for objective in self.objectives]

    @property
    def sign(self) -> int:
        """What the first objective is multiplied by for less to be better."""
        return 1 if self.directions[0] == "minimize" else -1

    def identity(self) -> dict[str, str]:
        """What all trials of a study must have in common, as texts by name."""
        tried = (
            {"candidates": _text(self.candidates)}
            if self.candidates
            else {"space": _text(self.search.space.model_dump(mode="json"))}
        )
        features = "" if self.kind == "scratch" else _features(self.settings.bottleneck)
        fixed = self.base.model_dump(mode="json", exclude={"epochs", *KINDS[self.kind].searched})
        return {
            **tried,
            "objectives": ", ".join(self.objectives),
            "fidelity": str(self.fidelity),
            **({"rungs": "; ".join(map(str, self.rungs))} if self.rungs else {}),
            "data": self.digest + features,
            "fixed settings": _text(fixed),
        }

    @property
    def kept(self) -> Path:
        """Where the best trials' weights wait to be logged."""
        return self.root / "models" / "search" / self.study


def _features(settings: BottleneckSettings) -> str:
    """What features are of, where that is not the default: studies from when there was no choice go on."""
    chosen = settings.model_dump(exclude={"engine", "batch"}, exclude_defaults=True)
    return "".join(f", {'features of' if key == 'backbone' else key} {value}" for key, value in chosen.items())


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
