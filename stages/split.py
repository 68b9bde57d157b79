"""Which photo goes where; duplicates stay together, what does not decode is listed."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from dogs_vs_cats.cli import parse_arguments, run
from dogs_vs_cats.data.decoding.bits import BITS
from dogs_vs_cats.data.decoding.index import SPLITS, ImagesFacts, write_facts, write_index, write_rejected
from dogs_vs_cats.data.raw.left_out import count_reasons
from dogs_vs_cats.data.raw.raw_photos import SourceFacts, labelled, read_facts, unlabelled
from dogs_vs_cats.data.splits.exclusion import find_list, find_listed, leave_out, read_list
from dogs_vs_cats.data.splits.intake import ChosenSplits, check_classes, choose_splits, find_across, lay_out, take_in
from dogs_vs_cats.files import whole_file, whole_folder
from dogs_vs_cats.numerals import percent

# Photos whose names are printed; the lists have all of them.
NAMED = 10
# How many times as many photos one class has as the other where a warning says so.
UNEVEN = 2
DOUBTFUL = "doubtful.csv"  # beside the list of rejected photos


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
        reasons = [(photo.name, photo.reason) for photo in refused]
        listed = [*excluded.items(), *reasons, *source.left_out]
        with whole_file(arguments.rejected) as rejected:
            write_rejected(rejected, listed)
        doubtful = [photo.name for photo in taken if photo.fingerprint.flat]
        with whole_file(arguments.rejected.with_name(DOUBTFUL)) as doubts:
            write_rejected(doubts, ((photo.name, reason) for photo in taken if (reason := photo.fingerprint.doubt)))
        bits = Counter(photo.fingerprint.bits for photo in taken if photo.fingerprint.bits is not None)
        check_classes(taken, refused)
        chosen = choose_splits(taken, settings)
        splits, unused = chosen.splits, chosen.splits.count(None)
        if settings.exclude is not None:
            splits = leave_out(taken, splits, excluded, Path(settings.exclude))
        across = find_across(taken, splits, chosen.groups) if chosen.own else []
        if across:
            with whole_file(arguments.rejected) as rejected:
                write_rejected(rejected, [*listed, *across])
        counts = Counter(photo.label for photo, split in zip(taken, splits, strict=True) if split in SPLITS[:3])
        write_index(images, lay_out(taken, splits, unsorted, images))
        rejected_ids = [PurePosixPath(photo.name).stem for photo in refused if photo.label is None]
        write_facts(images, ImagesFacts(source.source, classes, rejected_ids))

    print(f"classes: {photos[0].told}")
    print("photos: " + ", ".join(f"{splits.count(split)} {split}" for split in SPLITS if split in splits))
    tell_uneven_classes(counts)
    tell_duplicates(chosen, across, arguments.rejected)
    if doubtful:
        print(
            f"doubtful: {len(doubtful)} photos that are all but of one colour ({_few(doubtful)}); they are used, and "
            f"listed in {arguments.rejected.with_name(DOUBTFUL)}"
        )
    tell_bits(bits, arguments.rejected.with_name(DOUBTFUL))
    if excluded:
        told = f"{len(excluded)} photos by {settings.exclude} ({_few([*excluded])})"
        print(f"excluded: {told}, all listed in {arguments.rejected}")
    tell_rejected(reasons, source, arguments.rejected)
    if unused:
        print(f"not used: {unused} photos more than split.images ({settings.images})")


def tell_uneven_classes(counts: Counter[str | None]) -> None:
    """Print a warning where one class has far more photos than the other."""
    (larger, many), (smaller, few) = counts.most_common()
    if many >= UNEVEN * few:
        share = percent(many / (many + few), 0)
        print(
            f"warning: {many} photos of {larger} and {few} of {smaller}: always saying {larger} is right on {share}; "
            f"add photos of {smaller}, or compare accuracies with that; class_weight: balanced, in train_scratch and "
            "train_vgg16, makes both classes count alike in training"
        )


def tell_duplicates(chosen: ChosenSplits, across: Sequence[tuple[str, str]], rejected: Path) -> None:
    """Print which splits were kept, and how many photos have duplicates."""
    if chosen.own:
        cut = "".join(
            f", {split} is cut from train" for split in SPLITS[1:3] if split in {*chosen.splits} - {*chosen.own}
        )
        print(f"split: the source's own {', '.join(chosen.own)} kept as they are (split.own: auto){cut}")
    sizes = np.bincount(chosen.groups)
    several = sizes[sizes > 1]
    where = "not moved between the source's own splits" if across else "each kept in one split"
    print(
        f"duplicates: {f'{len(several)} groups of {several.sum()} photos in all, {where}' if len(several) else 'none'}"
    )
    if across:
        print(f"duplicates: {len(across)} photos with one in another split, listed in {rejected}")


def tell_bits(bits: Counter[int], doubtful: Path) -> None:
    """Print by how many bits the photos of sixteen bits a channel were scaled."""
    if bits:
        counts = ", ".join(
            f"{count} photo{' that uses' if count == 1 else 's that use'} {used}"
            for used, count in sorted(bits.items())
        )
        print(
            f"sixteen bits a channel: {counts}; each is scaled by the fewest of {', '.join(map(str, BITS))} bits that "
            f"hold its largest value; those that use less than {BITS[-1]} are listed in {doubtful}"
        )


def tell_rejected(refused: Sequence[tuple[str, str]], source: SourceFacts, rejected: Path) -> None:
    """Print how many files are not used, by reason."""
    for what, listed in (("photos that do not decode", refused), ("files that are no photos", source.left_out)):
        if listed:
            why = count_reasons(reason for _, reason in listed)
            print(f"rejected: {len(listed)} {what}, listed in {rejected} ({why})")
    if source.system_files:
        print(f"rejected: {source.system_files} hidden system files, such as .DS_Store or Thumbs.db, not listed")


def _few(names: list[str]) -> str:
    return ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "")


if __name__ == "__main__":
    run(main)
