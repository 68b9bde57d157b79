"""Every photo decoded and resized once, into memory-mapped arrays."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from dogs_vs_cats.cli import parse_arguments, run
from dogs_vs_cats.data.arrays import Dataset, write_dataset, write_files
from dogs_vs_cats.data.decoding.index import INDEX, REPAIR, SPLITS, IndexedPhoto, read_facts, read_index
from dogs_vs_cats.data.decoding.into_arrays import BYTES_A_PROCESS, decode_files
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.files import digest_of, whole_folder
from dogs_vs_cats.processes import fitting_processes, worker_processes
from dogs_vs_cats.settings.photo_settings import DecodeSettings


def main() -> None:
    """Decode the photos of each split, in the index's order."""
    arguments = parse_arguments("Decode the photos", images="photos by split and class", arrays="folder to write")
    settings: DecodeSettings = arguments.settings.decode
    facts = read_facts(arguments.images)
    counts = count_photos(arguments.images, facts.classes)
    workers = fitting_processes(BYTES_A_PROCESS)
    with whole_folder(arguments.arrays) as arrays, worker_processes(workers) as submit:
        for split, count in counts.items():
            classes = (facts.classes.index(str(photo.label)) for photo in photos_of(split, arguments.images))
            write_files(arrays, split, files_of(split, arguments.images), None if split == "unlabelled" else classes)
            target, files = arrays / f"{split}_images.npy", files_of(split, arguments.images)
            decode_files(files, count, arguments.images, target, settings, submit, workers)
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


def files_of(split: str, images: Path) -> Iterator[str]:
    """The same photos' files, relative to the images folder."""
    return (photo.file for photo in photos_of(split, images))


if __name__ == "__main__":
    run(main)
