"""Every photo decoded and resized once, into memory-mapped arrays."""

import hashlib
from pathlib import Path

from tqdm import tqdm

from dogs_vs_cats.arrays import Dataset, create_array, release, write_dataset, write_files
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.images import INDEX, REPAIR, SPLITS, IndexedPhoto, read_facts, read_index
from dogs_vs_cats.outputs import whole_folder
from dogs_vs_cats.photos import RefusedPhotoError, decode, in_threads
from dogs_vs_cats.settings import DecodeSettings
from stages.command import parse_arguments, run

# Bytes: written pages count as this process's memory until they are released.
RELEASE_EVERY = 2**24


def main() -> None:
    """Decode the photos of each split, in the index's order."""
    arguments = parse_arguments("Decode the photos", images="photos by split and class", arrays="folder to write")
    settings: DecodeSettings = arguments.settings.decode
    facts, index = read_facts(arguments.images), read_index(arguments.images)
    counts = {}
    with whole_folder(arguments.arrays) as arrays:
        for split in SPLITS:
            photos = [photo for photo in index if photo.split == split]
            if photos:
                counts[split] = len(photos)
                labels = None if split == "unlabelled" else number_classes(photos, facts.classes, arguments.images)
                write_files(arrays, split, [photo.file for photo in photos], labels)
                decode_split(photos, arguments.images, arrays / f"{split}_images.npy", settings)
        digest = hashlib.sha256((arguments.images / INDEX).read_bytes()).hexdigest()
        dataset = Dataset(
            facts.source, facts.classes, facts.unlabelled_rejected, settings.size, digest, counts, settings.resampling
        )
        write_dataset(arrays, dataset)


def number_classes(photos: list[IndexedPhoto], classes: list[str], images: Path) -> list[int]:
    """The position of each photo's class among the classes."""
    for photo in photos:
        if photo.label not in classes:
            raise WorkflowError(f"{images / INDEX}: {photo.file} is of class {photo.label}, an unknown one; {REPAIR}")
    return [classes.index(str(photo.label)) for photo in photos]


def decode_split(photos: list[IndexedPhoto], images: Path, target: Path, settings: DecodeSettings) -> None:
    """Decode photos into one array, a row each."""
    with create_array(target, (len(photos), settings.size, settings.size, 3), "uint8") as array:

        def decode_one(row: int) -> None:
            path = images / photos[row].file
            try:
                array[row] = decode(path.read_bytes(), settings.size, settings.resampling)
            except FileNotFoundError:
                raise WorkflowError(f"{path}: missing, though {images / INDEX} lists it; {REPAIR}") from None
            except RefusedPhotoError as error:
                raise WorkflowError(f"{path}: {error}; {REPAIR}") from None

        rows = in_threads(decode_one, range(len(photos)))
        bar = tqdm(rows, total=len(photos), desc=f"decoding {photos[0].split}", unit="photo", disable=None)
        rows_between = max(1, RELEASE_EVERY // array[0].nbytes)
        for row, _ in enumerate(bar, start=1):
            if row % rows_between == 0:
                release(array)


if __name__ == "__main__":
    run(main)
