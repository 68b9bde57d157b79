"""Which photo goes where; duplicates stay together, what does not decode is listed."""

from pathlib import Path, PurePosixPath

from dogs_vs_cats.cli import parse_arguments, run
from dogs_vs_cats.data.decoding.index import SPLITS, ImagesFacts, write_facts, write_index, write_rejected
from dogs_vs_cats.data.raw.left_out import count_reasons
from dogs_vs_cats.data.raw.raw_photos import labelled, read_facts, unlabelled
from dogs_vs_cats.data.splits.exclusion import find_list, find_listed, leave_out, read_list
from dogs_vs_cats.data.splits.intake import check_classes, choose_splits, lay_out, take_in
from dogs_vs_cats.files import whole_file, whole_folder

# Excluded photos whose names are printed; the list of rejected photos has all of them.
NAMED = 10


def main() -> None:
    """Check every photo, choose its split, and lay the photos out by split and class."""
    arguments = parse_arguments(
        "Split the photos",
        raw="the source as it came",
        exclude="folder with lists of photos to leave out",
        images="folder to write",
        rejected="list to write",
    )
    settings = arguments.settings.split
    source = read_facts(arguments.raw)
    photos = [labelled(arguments.raw), unlabelled(arguments.raw)]
    classes = sorted({str(photo.label) for photo in photos[0]})
    excluded: dict[str, str] = {}
    if settings.exclude is not None:
        path = find_list(settings.exclude, arguments.exclude)
        excluded = find_listed(photos[0], read_list(path), path)

    with whole_folder(arguments.images) as images:
        unsorted = images / ".unsorted"
        taken, refused = take_in(photos, unsorted)
        with whole_file(arguments.rejected) as rejected:
            reasons = [(photo.name, photo.reason) for photo in refused]
            write_rejected(rejected, [*excluded.items(), *reasons, *source.left_out])
        check_classes(taken, refused)
        splits, duplicates = choose_splits(taken, settings)
        unused = splits.count(None)
        if settings.exclude is not None:
            splits = leave_out(taken, splits, excluded, Path(settings.exclude))
        write_index(images, lay_out(taken, splits, unsorted, images))
        rejected_ids = [PurePosixPath(photo.name).stem for photo in refused if photo.label is None]
        write_facts(images, ImagesFacts(source.source, classes, rejected_ids))

    print(f"classes: {photos[0].told}")
    print("photos: " + ", ".join(f"{splits.count(split)} {split}" for split in SPLITS if split in splits))
    kept = f"{len(duplicates)} groups of {duplicates.sum()} photos in all, each kept in one split"
    print(f"duplicates: {kept if len(duplicates) else 'none'}")
    if excluded:
        names = ", ".join([*excluded][:NAMED]) + (", ..." if len(excluded) > NAMED else "")
        print(f"excluded: {len(excluded)} photos by {settings.exclude} ({names}), all listed in {arguments.rejected}")
    for what, listed in (("photos that do not decode", reasons), ("files that are no photos", source.left_out)):
        if listed:
            why = count_reasons(reason for _, reason in listed)
            print(f"rejected: {len(listed)} {what}, listed in {arguments.rejected} ({why})")
    if source.system_files:
        print(f"rejected: {source.system_files} hidden system files, such as .DS_Store or Thumbs.db, not listed")
    if unused:
        print(f"not used: {unused} photos more than split.images ({settings.images})")


if __name__ == "__main__":
    run(main)
