"""Compare the two models on photos that neither was tuned on, and say what can be claimed."""

import argparse
import json
import platform
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from dogs_vs_cats.arrays import has_split, open_split, read_dataset
from dogs_vs_cats.comparison import Candidate, Reported, as_json, compare, flat_metrics
from dogs_vs_cats.evaluation import photos_per_second
from dogs_vs_cats.outputs import whole_file, whole_folder
from dogs_vs_cats.provenance import package_version
from dogs_vs_cats.report import Making, changed_settings, figures, render, repeating_command
from stages.command import parse_arguments, project_root, run

if TYPE_CHECKING:
    from dogs_vs_cats.arrays import Split
    from dogs_vs_cats.models import Predictor

# Enough to time each model by; VGG16 takes about 10 photos a second on two cores.
_TIMED = {"scratch": 256, "vgg16": 64}
_LIBRARIES = ("tensorflow", "tensorflow-cpu", "keras", "numpy", "scipy", "scikit-learn", "pillow", "dvc", "mlflow")


def main() -> None:
    """Predict, compare, draw, write."""
    arguments = parse_arguments(
        "Compare the two models",
        arrays="folder of decoded photos",
        features="folder of VGG16's features",
        vgg16="VGG16's ImageNet weights, for the model that takes photos",
        models="folder of both trained models",
        training="folder with each training's history.csv and timing.json",
        comparison="JSON file to write: all results",
        metrics="JSON file to write: the results for dvc metrics",
        report="HTML file to write: the results for people",
        plots="folder to write: the pictures for dvc plots",
    )
    rules = arguments.settings.compare
    dataset = read_dataset(arguments.arrays)
    split = "test" if has_split(arguments.arrays, "test") else "validation"
    shown, validation = open_split(arguments.arrays, split), open_split(arguments.arrays, "validation")
    assert shown.labels is not None
    assert validation.labels is not None

    import pandas as pd

    from dogs_vs_cats.models import digest
    from dogs_vs_cats.predicting import load_predictors
    from dogs_vs_cats.publishing import publish
    from dogs_vs_cats.reproducibility import prepare

    prepare(rules.seed)
    candidates = {
        kind: _candidate(kind, predictor, split, shown, arguments)
        for kind, predictor in load_predictors(arguments.models, dataset).items()
    }
    reported = Reported(
        source=dataset.source,
        split=split,
        classes=(dataset.classes[0], dataset.classes[1]),
        comparable=dataset.article_comparable,
        files=shown.files,
        labels=shown.labels,
        validation_labels=validation.labels,
    )
    comparison = compare(candidates, reported, rules)
    histories = {kind: pd.read_csv(arguments.training / kind / "history.csv") for kind in candidates}
    drawn = figures(comparison, candidates, reported, histories, shown.images, rules.calibration_bins)
    page = render(comparison, drawn, shown.images, histories, _making(arguments.params, dataset.counts))
    _write(arguments, comparison, page, drawn)
    digests = {kind: digest(arguments.models / f"{kind}.weights.h5") for kind in candidates}
    publish(comparison, arguments.report, digests, arguments.settings.tracking, project_root())
    print(comparison["verdict"])


def _candidate(
    kind: str, predictor: "Predictor", split: str, shown: "Split", arguments: argparse.Namespace
) -> Candidate:
    """One model's probabilities, size and speed."""
    from dogs_vs_cats.models import exported
    from dogs_vs_cats.predicting import predict_split
    from dogs_vs_cats.weights import build_vgg16

    backbone = build_vgg16(predictor.description.size, arguments.vgg16) if kind == "vgg16" else None
    whole = exported(predictor.model, predictor.description, backbone)
    timing = json.loads((arguments.training / kind / "timing.json").read_text(encoding="utf-8"))
    return Candidate(
        probabilities=predict_split(predictor, arguments.arrays, arguments.features, split),
        validation=predict_split(predictor, arguments.arrays, arguments.features, "validation"),
        parameters=int(whole.count_params()),
        trained_parameters=predictor.parameters,
        training_seconds=float(timing["seconds"]),
        photos_per_second=photos_per_second(whole.predict_on_batch, shown.images[: _TIMED[kind]]),
    )


def _making(params: Path, counts: dict[str, int]) -> Making:
    """How this comparison came about, from git, the settings file and the installed packages."""
    from dogs_vs_cats.devices import device_tags

    settings = yaml.safe_load(params.read_text(encoding="utf-8"))
    commit, changed, committed = None, False, settings
    with suppress(OSError, subprocess.SubprocessError, yaml.YAMLError):
        commit = _git("rev-parse", "HEAD").strip()
        changed = bool(_git("status", "--porcelain", "--untracked-files=no", "--", "dogs_vs_cats", "stages").strip())
        committed = yaml.safe_load(_git("show", f"HEAD:./{params.name}"))
    versions = {"python": platform.python_version()}
    versions |= {library: found for library in _LIBRARIES if (found := package_version(library))}
    tags = device_tags()
    # The tracker's address may hold a password, and changes no result.
    kept = {section: values for section, values in settings.items() if section != "tracking"}
    return Making(
        commit=commit,
        changed=changed,
        command=repeating_command(changed_settings(committed, kept)),
        settings=kept,
        versions=versions,
        machine=tags.get("gpu", tags["cpu"]),
        counts=counts,
    )


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True, timeout=30).stdout


def _write(arguments: argparse.Namespace, comparison: dict[str, Any], page: str, drawn: dict[str, Any]) -> None:
    from dogs_vs_cats.pictures import save_png

    texts = (
        (arguments.comparison, as_json(comparison)),
        (arguments.metrics, as_json(flat_metrics(comparison))),
        (arguments.report, page),
    )
    for path, text in texts:
        with whole_file(path) as partial:
            partial.write_text(text, encoding="utf-8")
    with whole_folder(arguments.plots) as partial:
        for name, figure in drawn.items():
            save_png(figure, partial / f"{name}.png")


if __name__ == "__main__":
    run(main)
