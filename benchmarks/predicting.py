"""Many photos with VGG16's last blocks stacked, and a photo at a time: ``python benchmarks/predicting.py PHOTOS``.

Classifies a folder's photos with the project's own VGG16 model on every core (``dvc repro`` first); both ways take
turns. Prints how many times as fast the stacked way is, and the largest difference between their answers.
"""

import argparse
import statistics
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

from benchmarks.measuring import ratios, take_turns
from dogs_vs_cats.serving.classifying import Answer, Classifier
from dogs_vs_cats.serving.trained_models import TrainedModel, find_model, find_photos, open_trained


def main() -> None:
    """Time both, print the ratio and the difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path, help="a folder of more than 24")
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    files, trained = find_photos([arguments.photos]), find_model(Path(), "vgg16")
    with ExitStack() as opened:
        stacked = opened.enter_context(open_trained(trained, engine="ncnn", photos=len(files)))
        with patch.object(TrainedModel, "network_for_many", TrainedModel.network):
            singly = opened.enter_context(open_trained(trained, engine="ncnn", photos=len(files)))
        seconds = take_turns(arguments.repeats, lambda: _classify(singly, files), lambda: _classify(stacked, files))
        pairs = zip(_classify(singly, files), _classify(stacked, files), strict=True)
        difference = max(abs(one - other) for one, other in pairs)
    found = ratios(*seconds)
    print(f"{len(files)} photos: {statistics.median(found):.2f} times ({min(found):.2f} to {max(found):.2f})")
    print(f"largest difference: {difference:.1e}")


def _classify(classifier: Classifier, files: list[Path]) -> list[float]:
    return [answer.second for answer in classifier.classify(files) if isinstance(answer, Answer)]


if __name__ == "__main__":
    main()
