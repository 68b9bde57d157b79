"""Photos decoded and resized into an array on disk, by a process a core.

Threads would wait for one another's Python code: with photos of 200 pixels for a tenth of the time on two cores.
"""

import math
from collections.abc import Iterable
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from pathlib import Path

from tqdm import tqdm

from dogs_vs_cats.data.arrays import create_array, open_array_file
from dogs_vs_cats.data.decoding.index import INDEX, REPAIR
from dogs_vs_cats.data.decoding.many import in_order
from dogs_vs_cats.data.decoding.memory import MEMORY_LIMIT
from dogs_vs_cats.data.decoding.photos import RefusedPhotoError, decode
from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.processes import Submit
from dogs_vs_cats.settings.photo_settings import DecodeSettings

# Photos that a process is handed at once, at most: a tenth of a second of work, of small ones.
AT_ONCE = 64
# With the largest photo there may be.
BYTES_A_PROCESS = 50_000_000 + MEMORY_LIMIT


def decode_files(
    files: Iterable[str], count: int, images: Path, target: Path, settings: DecodeSettings, submit: Submit, workers: int
) -> None:
    """Decode photos into one array, a row each.

    Args:
        files: the photos, relative to ``images``.
        count: how many they are, at least one.
        images: the folder they are in.
        target: the ``.npy`` file to write, (count, size, size, 3) uint8 RGB.
        settings: the ``decode`` section.
        submit: hands a call to a worker process.
        workers: how many those are.

    Raises:
        WorkflowError: if a photo is missing or does not decode, or a process dies.
        ValueError: if they are more or fewer than ``count``.
    """
    # Fewer where there are few, so that no process is idle for long while another ends its last ones.
    at_once = min(AT_ONCE, math.ceil(count / (16 * workers)))
    left, decoded = iter(files), 0
    shown = target.stem.replace("_", " ")
    with (
        create_array(target, (count, settings.size, settings.size, 3), "uint8") as array,
        tqdm(total=count, desc=f"decoding {shown}", unit="photo", disable=None) as bar,
    ):
        calls = (
            submit(decode_rows, array.path, row, images, list(islice(left, min(at_once, count - row))), settings)
            for row in range(0, count, at_once)
        )
        try:
            for done in in_order(calls, 2 * workers):
                decoded += done
                bar.update(done)
        except BrokenProcessPool:
            raise WorkflowError(
                f"decoding {shown}: a process died, most likely for want of memory; free some"
            ) from None
        if decoded != count or next(left, None) is not None:
            raise ValueError(f"{'fewer' if decoded != count else 'more'} photos than {count}")


def decode_rows(target: Path, first: int, images: Path, files: list[str], settings: DecodeSettings) -> int:
    """In a worker process: decode photos into the rows from ``first`` on; how many they were."""
    with open_array_file(target) as array:
        for row, file in enumerate(files, start=first):
            path = f"{images}/{file}"
            try:
                # Neither pathlib nor a buffer: with photos of 200 pixels they are 2 % of the time.
                with open(path, "rb", buffering=0) as photo:  # noqa: PTH123
                    data = photo.read()
                array[row] = decode(data, settings.size, settings.resampling)
            except FileNotFoundError:
                raise WorkflowError(f"{path}: missing, though {images / INDEX} lists it; {REPAIR}") from None
            except RefusedPhotoError as error:
                raise WorkflowError(f"{path}: {error}; {REPAIR}") from None
    return len(files)
