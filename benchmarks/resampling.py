"""How photos are resized, judged on validation: ``python benchmarks/resampling.py``, where the workflow has run.

The head of ``params.yaml`` is trained on the features of photos decoded with each way of resizing, with several seeds.
Decoding and VGG16 run once for each way, into ``data/resampling``; the test split is not looked at.
"""

import argparse
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import yaml  # noqa: E402

from dogs_vs_cats.numerals import percent  # noqa: E402

WAYS = ("bilinear", "bicubic", "lanczos")


def main() -> None:
    """Decode, extract, train, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seeds", type=int, nargs="*", default=[2017, 1, 2])
    arguments = parser.parse_args()
    for way in WAYS:
        folder = Path("data/resampling", way)
        if not (folder / "features").exists():
            _extract(way, folder)
        accuracies = [_accuracy(folder, seed) for seed in arguments.seeds]
        spread = statistics.stdev(accuracies) if len(accuracies) > 1 else 0.0
        each = ", ".join(percent(accuracy, 2) for accuracy in accuracies)
        print(f"{way}: mean {percent(statistics.mean(accuracies), 2)}, sd {percent(spread, 2)} ({each})", flush=True)


def _extract(way: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    settings = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    settings["decode"]["resampling"] = way
    params = folder / "params.yaml"
    params.write_text(yaml.safe_dump(settings), encoding="utf-8")
    arrays, features = folder / "arrays", folder / "features"
    for options in (
        ["decode", "--params", params, "--images", "data/images", "--arrays", arrays],
        [
            "bottleneck",
            "--params",
            params,
            "--arrays",
            arrays,
            "--weights",
            "data/weights/backbone.weights.h5",
            "--features",
            features,
        ],
    ):
        stage, *rest = options
        subprocess.run([sys.executable, "-m", f"stages.{stage}", *map(str, rest)], check=True)


def _accuracy(folder: Path, seed: int) -> float:
    from dogs_vs_cats.runtime import import_backend

    import_backend()
    from dogs_vs_cats.data.examples import Parts
    from dogs_vs_cats.models.features import open_bottleneck
    from dogs_vs_cats.models.networks.building import build_head
    from dogs_vs_cats.models.probabilities import predicted
    from dogs_vs_cats.models.reproducibility import prepare
    from dogs_vs_cats.models.saved import predict
    from dogs_vs_cats.settings.params import load_settings
    from dogs_vs_cats.training.fitting import train

    settings = load_settings(Path("params.yaml")).train_vgg16.model_copy(update={"seed": seed})
    training, validation = (
        open_bottleneck(folder / "arrays", folder / "features", split) for split in ("train", "validation")
    )
    prepare(seed)
    model = build_head(settings.network, training.inputs.shape[1:])
    train(model, Parts(training, validation), settings, show_progress=False)
    return float((predicted(predict(model, validation.inputs)) == validation.labels).mean())


if __name__ == "__main__":
    main()
