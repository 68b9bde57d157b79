"""Every photo decoded and resized once, into memory-mapped arrays."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from dogs_vs_cats.arrays import Dataset, create_array, release, write_dataset, write_files
from dogs_vs_cats.decoding.images import INDEX, REPAIR, SPLITS, IndexedPhoto, read_facts, read_index
from dogs_vs_cats.decoding.photos import RefusedPhotoError, decode, in_threads
from dogs_vs_cats.workflow.command_line import parse_arguments
from dogs_vs_cats.workflow.digests import digest_of
from dogs_vs_cats.workflow.entry import run
from dogs_vs_cats.workflow.errors import WorkflowError
from dogs_vs_cats.workflow.outputs import whole_folder
from dogs_vs_cats.workflow.settings import DecodeSettings

# Bytes: written pages count as this process's memory until they are released. A touch may map as many.
RELEASE_EVERY = 2**21


def main() -> None:
    """Decode the photos of each split, in the index's order."""
    arguments = parse_arguments("Decode the photos", images="photos by split and class", arrays="folder to write")
    settings: DecodeSettings = arguments.settings.decode
    facts = read_facts(arguments.images)
    counts = count_photos(arguments.images, facts.classes)
    with whole_folder(arguments.arrays) as arrays:
        for split, count in counts.items():
            files = (photo.file for photo in photos_of(split, arguments.images))
            classes = (facts.classes.index(str(photo.label)) for photo in photos_of(split, arguments.images))
            write_files(arrays, split, files, None if split == "unlabelled" else classes)
            decode_split(split, count, arguments.images, arrays / f"{split}_images.npy", settings)
        digest = digest_of(arguments.images / INDEX)
        dataset = Dataset(
            facts.source, facts.classes, facts.unlabelled_rejected, settings.size, digest, counts, settings.resampling
        )
        write_dataset(arrays, dataset)


def count_photos(images: Path, classes: list[str]) -> dict[str, int]:
    """How many photos each split has, of those that have any."""
    counts: Counter[str] = Counter()
    for photo in read_index(images):
        if photo.label not in (None, *classes):
            raise WorkflowError(f"{images / INDEX}: {photo.file} is of class {photo.label}, an unknown one; {REPAIR}")
        counts[photo.split] += 1
    return {split: counts[split] for split in SPLITS if split in counts}


def photos_of(split: str, images: Path) -> Iterator[IndexedPhoto]:
    """One split's photos in the index's order, read from it as they are asked for."""
    return (photo for photo in read_index(images) if photo.split == split)


def decode_split(split: str, count: int, images: Path, target: Path, settings: DecodeSettings) -> None:
    """Decode a split's photos into one array, a row each."""
    with create_array(target, (count, settings.size, settings.size, 3), "uint8") as array:

        def decode_one(numbered: tuple[int, IndexedPhoto]) -> None:
            row, photo = numbered
            path = images / photo.file
            try:
                array[row] = decode(path.read_bytes(), settings.size, settings.resampling)
            except FileNotFoundError:
                raise WorkflowError(f"{path}: missing, though {images / INDEX} lists it; {REPAIR}") from None
            except RefusedPhotoError as error:
                raise WorkflowError(f"{path}: {error}; {REPAIR}") from None

        rows = in_threads(decode_one, enumerate(photos_of(split, images)))
        bar = tqdm(rows, total=count, desc=f"decoding {split}", unit="photo", disable=None)
        rows_between = max(1, RELEASE_EVERY // array[0].nbytes)
        for row, _ in enumerate(bar, start=1):
            if row % rows_between == 0:
                release(array)


if __name__ == "__main__":
    run(main)
