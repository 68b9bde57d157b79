"""Epochs of the article's head, against what its matrix products and its optimizer's memory traffic take alone."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np

from benchmarks.measuring import Figure, Options, ratios
from dogs_vs_cats.runtime import import_backend
from dogs_vs_cats.settings.params import load_settings
from dogs_vs_cats.settings.training_settings import HeadSettings

FEATURES = (4, 4, 512)
COUNT = 3200
HEAD = {"pooling": "flatten", "dense": [512, 256], "dropout": [0.5, 0.2], "output": "sigmoid"}


def figures(options: Options) -> Iterator[Figure]:
    """With the article's batch, and with the project's where that is another."""
    import_backend()
    from benchmarks.epochs import epochs_in_turns
    from dogs_vs_cats.data.examples import Examples
    from dogs_vs_cats.models.networks.building import build_head
    from dogs_vs_cats.models.reproducibility import prepare

    path = random_features(options.folder)
    examples = Examples(np.load(path, mmap_mode="r"), np.arange(COUNT, dtype=np.uint8) % 2)
    network = HeadSettings.model_validate(HEAD)
    default = load_settings(Path("params.yaml")).train_vgg16
    for batch in sorted({32, default.batch}):
        settings = default.model_copy(update={"batch": batch, "network": network})
        prepare(1)
        steps = -(-COUNT // batch)
        model = build_head(network, FEATURES)
        products, traffic = matrix_products(batch, steps), memory_traffic(model.count_params(), steps)
        taken, (multiplied, moved) = epochs_in_turns(model, examples, settings, options.repeats, products, traffic)
        alone = [one + other for one, other in zip(multiplied, moved, strict=True)]
        what = f"epoch of the article's head, batches of {batch}"
        yield Figure(what, "its products and memory traffic", ratios(taken, alone), goal=1.5, at_most=True)


def random_features(folder: Path) -> Path:
    """Write features of ``COUNT`` photos, as sparse as a ReLU leaves them; return the file."""
    path = folder / "features.npy"
    features = np.lib.format.open_memmap(path, "w+", np.float32, (COUNT, *FEATURES))
    generator = np.random.default_rng(1)
    for start in range(0, COUNT, 100):
        features[start : start + 100] = np.maximum(generator.standard_normal((100, *FEATURES), np.float32), 0)
    return path


def matrix_products(batch: int, steps: int) -> Callable[[], object]:
    """Those of a forward and a backward pass."""
    import tensorflow as tf

    sizes = [int(np.prod(FEATURES)), *HEAD["dense"], 1]
    layers = list(pairwise(sizes))
    inputs = [tf.random.normal((batch, before)) for before, _ in layers]
    kernels = [tf.random.normal(layer) for layer in layers]
    errors = [tf.random.normal((batch, after)) for _, after in layers]

    @tf.function  # type: ignore[untyped-decorator]
    def step() -> list[tf.Tensor]:
        products = [a @ kernel for a, kernel in zip(inputs, kernels, strict=True)]
        products += [tf.matmul(a, error, transpose_a=True) for a, error in zip(inputs, errors, strict=True)]
        # The first layer's inputs are the features: no gradient goes there.
        later = zip(errors[1:], kernels[1:], strict=True)
        return products + [tf.matmul(error, kernel, transpose_b=True) for error, kernel in later]

    def run() -> None:
        for _ in range(steps):
            last = step()
        last[0].numpy()

    return run


def memory_traffic(parameters: int, steps: int) -> Callable[[], object]:
    """What RMSprop must read and write: gradients, weights and their mean squares, by TensorFlow's own fused kernel."""
    import tensorflow as tf

    weights, squares, momentum = (tf.Variable(tf.ones((parameters,))) for _ in range(3))
    gradients = tf.random.normal((parameters,))
    rates = {"lr": 1e-3, "rho": 0.9, "momentum": 0.0, "epsilon": 1e-7}

    @tf.function  # type: ignore[untyped-decorator]
    def step() -> None:
        tf.raw_ops.ResourceApplyRMSProp(
            var=weights.handle, ms=squares.handle, mom=momentum.handle, grad=gradients, **rates
        )

    def run() -> None:
        for _ in range(steps):
            step()
        weights[0].numpy()

    return run
