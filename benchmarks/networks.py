"""The networks from scratch under equal settings: ``python benchmarks/networks.py``, where the workflow has run.

Each is trained with the ``train_scratch`` settings of ``params.yaml`` (optimizer, augmentation, batch, loss, which
epoch is kept) on the same photos at the same size, for as many epochs, without early stopping, with several seeds, and
judged on validation; the test split is not looked at. ``--adam 0.001`` trains with that instead. Trainings that
``reports/networks.json`` has are not done again, so a run that was cut off goes on.
"""

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any, get_args

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from dogs_vs_cats.files import whole_file  # noqa: E402
from dogs_vs_cats.numerals import percent  # noqa: E402
from dogs_vs_cats.settings.catalogue import SCRATCH, ScratchName  # noqa: E402
from dogs_vs_cats.settings.params import load_settings  # noqa: E402
from dogs_vs_cats.settings.training_settings import OptimizerSettings  # noqa: E402


def main() -> None:
    """Train what is missing, write it down, print the table."""
    names = get_args(ScratchName)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", default=names, help=f"of {', '.join(names)}; all")
    parser.add_argument("--seeds", type=int, nargs="+", default=[2017, 1, 2])
    parser.add_argument("--images", type=int, default=4000, help="training photos (%(default)s)")
    parser.add_argument("--size", type=int, default=48, help="pixels a side (%(default)s)")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument(
        "--adam", type=float, metavar="RATE", help="train with Adam at this rate, not with params.yaml's"
    )
    parser.add_argument("--json", type=Path, default=Path("reports/networks.json"))
    arguments = parser.parse_args()
    if unknown := set(arguments.networks) - set(names):
        parser.error(f"unknown networks: {', '.join(sorted(unknown))}")
    fidelity = {"images": arguments.images, "size": arguments.size, "epochs": arguments.epochs}
    base = load_settings(Path("params.yaml")).train_scratch.optimizer
    if arguments.adam is not None:
        changed = {"name": "adam", "learning_rate": arguments.adam, "momentum": None, "nesterov": False}
        base = base.model_copy(update=changed)
    optimizer = f"{base.name} {base.learning_rate:g}"
    done: list[dict[str, Any]] = json.loads(arguments.json.read_text()) if arguments.json.exists() else []
    for name in arguments.networks:
        for seed in arguments.seeds:
            wanted = {"network": name, "optimizer": optimizer, "seed": seed, **fidelity}
            if not any(wanted.items() <= found.items() for found in done):
                done.append({**wanted, **_train(name, seed, fidelity, base)})
                with whole_file(arguments.json) as partial:
                    partial.write_text(json.dumps(done, indent=2) + "\n", encoding="utf-8")
    _print([found for found in done if fidelity.items() <= found.items()])


def _train(name: str, seed: int, fidelity: dict[str, int], optimizer: OptimizerSettings) -> dict[str, Any]:
    """Accuracies, log-loss and seconds of one training."""
    from dogs_vs_cats.runtime import import_backend

    import_backend()
    from dogs_vs_cats.models.networks.building import build_cnn
    from dogs_vs_cats.models.reproducibility import prepare
    from dogs_vs_cats.search.examples import open_parts
    from dogs_vs_cats.search.plan import Fidelity
    from dogs_vs_cats.training.fitting import train

    settings = load_settings(Path("params.yaml"))
    base = settings.train_scratch
    chosen = base.model_copy(
        update={
            "epochs": fidelity["epochs"],
            "seed": seed,
            "early_stopping": None,
            "optimizer": optimizer,
            "network": base.network.model_copy(update={"name": name}),
        }
    )
    parts = open_parts("scratch", Path(), settings, Fidelity(**fidelity))
    prepare(seed)
    model = build_cnn(chosen.network, fidelity["size"])
    result = train(model, parts, chosen)
    return {
        "parameters": int(model.count_params()),
        "validation_images": len(parts.validation.labels),
        "accuracy": result.kept["val_accuracy"],
        "log_loss": result.kept["val_log_loss"],
        "kept_epoch": result.kept_epochs[-1],
        "last_accuracy": float(result.history["val_accuracy"].iloc[-1]),
        "seconds": result.seconds,
    }


def _print(done: list[dict[str, Any]]) -> None:
    print("| network | optimizer | parameters | accuracy, mean (each seed) | log-loss | seconds an epoch |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, network in SCRATCH.items():
        for optimizer in dict.fromkeys(one["optimizer"] for one in done if one["network"] == name):
            found = [one for one in done if (one["network"], one["optimizer"]) == (name, optimizer)]
            each = ", ".join(percent(one["accuracy"]) for one in found)
            means = {key: statistics.mean(one[key] for one in found) for key in ("accuracy", "log_loss", "seconds")}
            seconds = means["seconds"] / found[0]["epochs"]
            print(
                f"| {network.title} | {optimizer} | {found[0]['parameters']:,} "
                f"| {percent(means['accuracy'])} ({each}) | {means['log_loss']:.3f} | {seconds:.1f} |"
            )


if __name__ == "__main__":
    main()
