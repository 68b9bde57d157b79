"""What recording an epoch in MLflow costs, against what the epoch takes."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.measuring import Figure, Options
from dogs_vs_cats.runtime import import_backend
from dogs_vs_cats.settings.params import load_settings
from dogs_vs_cats.tracking.tracked_runs import tracked_run

FEATURES = (4, 4, 512)
BATCHES = 40
ARTICLE_PHOTOS = 12_800
METRICS = ("loss", "accuracy", "log_loss", "val_loss", "val_accuracy", "val_log_loss", "learning_rate")
EPOCHS = 10


def figures(options: Options) -> Iterator[Figure]:
    """Processor time of all that tracking does, in whatever thread, for the shortest epoch there is: the head's."""
    import_backend()
    from benchmarks.epochs import epochs_in_turns
    from dogs_vs_cats.data.examples import Examples
    from dogs_vs_cats.models.networks.building import build_head
    from dogs_vs_cats.models.reproducibility import prepare

    settings = load_settings(Path("params.yaml"))
    head = settings.train_vgg16
    tracking = settings.tracking.model_copy(update={"uri": f"sqlite:///{options.folder / 'mlflow.db'}"})
    count = head.batch * BATCHES
    features = np.random.default_rng(1).random((count, *FEATURES), np.float32)
    examples = Examples(features, np.arange(count, dtype=np.uint8) % 2)
    with tracked_run("speed", tracking, options.folder, params={}, system_metrics=False) as run:
        recorded = 0

        def record() -> None:
            nonlocal recorded
            for _ in range(EPOCHS):
                recorded += 1
                run.log_metrics(dict.fromkeys(METRICS, 0.5), recorded)
                time.sleep(0.1)  # an epoch: what is logged in one goes to MLflow together

        def cost() -> float:
            began = time.process_time()
            record()
            return (time.process_time() - began) / EPOCHS

        costs: list[float] = []
        prepare(1)
        taken, _ = epochs_in_turns(
            build_head(head.network, FEATURES), examples, head, options.repeats, lambda: costs.append(cost())
        )
    epochs = [seconds * ARTICLE_PHOTOS / count for seconds in taken]
    shares = [100 * one / epoch for one, epoch in zip(costs[1:], epochs, strict=True)]
    against = f"the head's epoch on {ARTICLE_PHOTOS:,} photos"
    yield Figure("recording an epoch in MLflow", against, shares, unit="%", goal=1)
