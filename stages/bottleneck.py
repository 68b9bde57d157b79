"""The backbone's features of every photo, a file a split."""

from dogs_vs_cats.cli import parse_arguments, run
from dogs_vs_cats.data.arrays import has_split
from dogs_vs_cats.data.scaling import open_scaled
from dogs_vs_cats.files import whole_folder
from dogs_vs_cats.models.features import mirrored, open_engine, write_engine

SPLITS = ("train", "validation", "test", "unlabelled")


def main() -> None:
    """Compute the features of every split there is."""
    arguments = parse_arguments(
        "Compute the bottleneck features",
        arrays="the folder with the decoded photos",
        weights="the backbone's .weights.h5",
        features="the folder to leave the features in",
    )
    settings = arguments.settings.bottleneck
    present = [name for name in SPLITS if name == "train" or has_split(arguments.arrays, name)]
    splits = {name: open_scaled(arguments.arrays, name, settings.size) for name in present}
    with (
        whole_folder(arguments.features) as folder,
        open_engine(settings, arguments.weights, splits["train"]) as extract,
    ):
        for name, photos in splits.items():
            extract(photos, folder / f"{name}.npy")
            if settings.mirrored:
                extract(photos[:, :, ::-1], folder / f"{mirrored(name)}.npy")
        write_engine(extract.engine, folder)


if __name__ == "__main__":
    run(main)
