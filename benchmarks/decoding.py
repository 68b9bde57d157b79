"""Photos checked, hashed and measured in one pass; checked, resized and written in another; against a Pillow loop."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import redirect_stdout
from functools import partial
from io import StringIO
from multiprocessing import get_context
from pathlib import Path
from types import ModuleType
from typing import ParamSpec, TypeVar
from unittest.mock import patch

import joblib
import numpy as np
from PIL import Image

from benchmarks.measuring import Figure, Options, photo_files, ratios, take_turns
from dogs_vs_cats.data.decoding.into_arrays import decode_files
from dogs_vs_cats.data.decoding.many import in_threads
from dogs_vs_cats.data.decoding.photos import inspect
from dogs_vs_cats.data.drawn.drawing import ANIMALS
from dogs_vs_cats.processes import Submit, worker_processes
from dogs_vs_cats.settings.photo_settings import DecodeSettings
from stages import decode, split

SIZE = 150
SETTINGS = DecodeSettings(size=SIZE, resampling="lanczos")
COUNT = 300
# Pixels of the longer side, and how many photos: with few small ones, starting and ending would be most of the time.
SIZES = {"500 pixels": (500, COUNT), "200 pixels": (200, 20 * COUNT), "3,000 pixels": (3000, COUNT // 12)}
P = ParamSpec("P")
T = TypeVar("T")
LOOP = "plain loop: open, convert, resize"


def plain(files: list[Path]) -> list[np.ndarray]:
    """What a tutorial does."""
    arrays = []
    for file in files:
        with Image.open(file) as image:
            arrays.append(np.asarray(image.convert("RGB").resize((SIZE, SIZE), Image.Resampling.LANCZOS)))
    return arrays


def plain_count(files: list[Path]) -> int:
    """The same in one of several processes, which send nothing back but how many there were."""
    return len(plain(files))


def checked(file: Path) -> object:
    """What the split stage does with a photo."""
    return inspect(file.read_bytes())


def decoded(files: list[Path], target: Path, submit: Submit, workers: int) -> None:
    """What the decode stage does with photos: unlike the plain loop, it writes them to disk."""
    names = (str(file.absolute().relative_to("/")) for file in files)
    decode_files(names, len(files), Path("/"), target, SETTINGS, submit, workers)


def _all(begin: Callable[[], Iterable[object]]) -> None:
    for _ in begin():
        pass


def here(function: Callable[P, T], /, *values: P.args, **named: P.kwargs) -> Future[T]:
    """A call to this process, in place of one to a worker."""
    result: Future[T] = Future()
    result.set_result(function(*values, **named))
    return result


def figures(options: Options) -> Iterator[Figure]:
    """On photos as large as those of the full data set, as the sample's, and as a camera's; then the stages."""
    cores = joblib.cpu_count()
    sizes = SIZES if options.photos is None else {"your photos": (0, 20 * COUNT)}
    for shown, (size, count) in sizes.items():
        files = photo_files(options, size, count)
        target = options.folder / "decoded.npy"
        with get_context("spawn").Pool(cores) as pool, worker_processes(cores) as submit:
            plainly, everywhere, *ours = take_turns(
                options.repeats,
                partial(plain, files),
                partial(pool.map, plain_count, [files[core::cores] for core in range(cores)], chunksize=1),
                partial(_all, partial(in_threads, checked, files)),
                partial(decoded, files, target, submit, cores),
                partial(_all, partial(map, checked, files)),
                partial(decoded, files, target, here, 1),
            )
        for number, taken in enumerate(ours):
            what = ("check, hash, measure", "check, resize, write")[number % 2]
            used = (cores, 1)[number // 2]
            named = f"{what}, {used} core{'s' * (used > 1)}, {shown}"
            yield Figure(named, LOOP, ratios(plainly, taken), goal=0.9 * used)
        limit = f"such loops in {cores} processes, the machine's limit"
        yield Figure(f"check, resize, write, {cores} cores, {shown}", limit, ratios(everywhere, ours[1]), goal=0.9)
    yield stages(options)


def stages(options: Options) -> Figure:
    """The stages split and decode, on photos of 500 pixels."""
    raw = options.folder / "raw"
    (raw / "train").mkdir(parents=True)
    (options.folder / "exclude").mkdir()
    (raw / "source.json").write_text('{"source": "folder"}', encoding="utf-8")
    for number, file in enumerate(photo_files(options, 500, 5 * COUNT)):
        # A few bytes behind a JPEG's end change its digest and nothing else.
        (raw / f"train/{ANIMALS[number % 2]}.{number}.jpg").write_bytes(file.read_bytes() + str(number).encode())
    files = sorted((raw / "train").iterdir())

    def run(stage: ModuleType, *outputs: str) -> None:
        paths = [f"--{name}={options.folder / name}" for name in outputs]
        with patch("sys.argv", ["stage", "--params=params.yaml", *paths]), redirect_stdout(StringIO()):
            stage.main()

    def ours() -> None:
        run(split, "raw", "exclude", "images", "rejected")
        run(decode, "images", "arrays")

    def theirs() -> None:
        np.save(options.folder / "plain.npy", np.stack(plain(files)))

    plainly, taken = take_turns(options.repeats, theirs, ours)
    return Figure("stages split and decode, photos laid out", f"{LOOP}, np.save", ratios(plainly, taken))
