"""Formats of other programs that a trained model is exported to."""

import importlib.util
from dataclasses import dataclass

from dogs_vs_cats.errors import WorkflowError, missing_package


@dataclass(frozen=True)
class Format:
    """A format that Keras exports to.

    Attributes:
        keras: Keras's name of it.
        file: what it is called in the exported folder.
        library: Hugging Face's name of what loads it.
        loading: Python code from decoded ``photos`` (n, size, size, 3) to ``answers``.
        package: what Keras needs for it beside TensorFlow.
        locked: whether ``make setup`` installs that.
    """

    keras: str
    file: str
    library: str
    loading: str
    package: str | None = None
    locked: bool = True


FORMATS = {
    "onnx": Format(
        "onnx",
        "model.onnx",
        "onnx",
        """import onnxruntime

(answers,) = onnxruntime.InferenceSession("model.onnx").run(None, {"photos": photos})""",
        "tf2onnx",
    ),
    "litert": Format(
        "litert",
        "model.tflite",
        "litert",
        """from ai_edge_litert.interpreter import Interpreter

(answers,) = Interpreter("model.tflite").get_signature_runner()(photos=photos).values()""",
    ),
    "saved_model": Format(
        "tf_saved_model",
        "saved_model",
        "tensorflow",
        """import tensorflow

model = tensorflow.saved_model.load("saved_model")
answers = model.serve(photos).numpy()""",
    ),
    "openvino": Format(
        "openvino",
        "model.xml",
        "openvino",
        """import openvino

answers = openvino.compile_model("model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(photos)[0]""",
        "openvino",
        locked=False,
    ),
}
"""By the name that users choose it by."""


def check_format(name: str) -> None:
    """Check that a format's package is installed, without importing it.

    Raises:
        WorkflowError: if not; it names the command that installs it.
    """
    package, locked = FORMATS[name].package, FORMATS[name].locked
    if package is None or importlib.util.find_spec(package) is not None:
        return
    if locked:
        raise missing_package(f"--format {name}", package)
    raise WorkflowError(f"--format {name}: {package} is not installed; run pip install '.[{name}]'")
