"""The drawn sample: pictures of cats and dogs made on the spot, so that the workflow runs without real photos.

No network gets all of them right, as on real photos: the traits of cats and dogs (shapes, colours, backgrounds)
overlap, and some animals are small, blurred, turned away or half hidden. A picture depends on its seed, index, animal
and size only.
"""

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from PIL import Image
from tqdm import tqdm

from dogs_vs_cats.data.drawn.animals import EXTENT, Pose, breed, paint_animal
from dogs_vs_cats.data.drawn.scenes import paint_backdrop, paint_obstacle, photograph
from dogs_vs_cats.data.drawn.tools import Animal, Dice, Pen
from dogs_vs_cats.processes import worker_processes

Job: TypeAlias = tuple[Animal | None, int, Path]

ANIMALS: tuple[Animal, Animal] = ("cat", "dog")

_SUPERSAMPLING = 2
_CHUNK = 25  # pictures a worker gets at a time
_POSES: list[Pose] = ["portrait", "portrait", "portrait", "portrait", "portrait", "sitting", "standing", "lying"]


def draw(animal: Animal, index: int, seed: int, size: int) -> Image.Image:
    """Draw one picture.

    Args:
        animal: what to draw.
        index: the picture's number in the sample.
        seed: the sample's seed.
        size: pixels of the longer side; the shorter one has at least three quarters of it.

    Returns:
        An RGB image.
    """
    dice = Dice(seed, index, animal)
    short = round(size * dice.between(0.75, 1))
    final = (size, short) if dice.chance(0.55) else (short, size)
    width, height = (pixels * _SUPERSAMPLING for pixels in final)
    traits = breed(animal, dice)
    picture = paint_backdrop((width, height), animal, dice)

    pose: Pose = "behind" if dice.chance(0.025) else dice.pick(_POSES)
    left, top, right, bottom = EXTENT[pose]
    filled = dice.between(0.95, 1.2) if dice.chance(0.92) else dice.between(0.4, 0.8)
    scale = min(width / (right - left), height / (bottom - top)) * filled
    mirror = dice.chance(0.5)
    middle_x, middle_y = (left + right) / 2 * (-1 if mirror else 1), (top + bottom) / 2
    loose = 0.05 + max(0.0, 1 - filled) * 0.4
    origin = (
        width * (0.5 + dice.about(0, loose)) - middle_x * scale,
        height * (0.5 + dice.about(0, loose)) - middle_y * scale,
    )
    paint_animal(Pen(picture, origin, scale, dice.about(0, 10), mirror=mirror), pose, traits, dice)
    if dice.chance(0.1):
        paint_obstacle(picture, dice)
    return photograph(picture, final, dice)


def draw_files(jobs: Sequence[Job], seed: int, size: int) -> None:
    """Draw pictures into JPEG files, on every core.

    Args:
        jobs: animal, index and path of each; an animal of None is drawn by lot.
        seed: the sample's seed.
        size: pixels of the longer side.

    Raises:
        OSError: if a file can't be written.
    """
    for folder in {path.parent for _, _, path in jobs}:
        folder.mkdir(parents=True, exist_ok=True)
    chunks = [jobs[start : start + _CHUNK] for start in range(0, len(jobs), _CHUNK)]
    with tqdm(total=len(jobs), desc="drawing", unit="picture", disable=None) as bar:
        if len(chunks) <= 2:  # noqa: PLR2004 - starting processes would take longer
            for chunk in chunks:
                bar.update(_draw_chunk(chunk, seed, size))
            return
        with worker_processes(min(os.cpu_count() or 1, len(chunks))) as submit:
            for future in [submit(_draw_chunk, chunk, seed, size) for chunk in chunks]:
                bar.update(future.result())


def _draw_chunk(jobs: Sequence[Job], seed: int, size: int) -> int:
    for animal, index, path in jobs:
        dice = Dice(seed, index, "file", animal)
        # An unlabelled picture is another one than the labelled one of the same number.
        number, drawn = (index, animal) if animal is not None else (index + 10**9, dice.pick(ANIMALS))
        file = io.BytesIO()
        draw(drawn, number, seed, size).save(file, "JPEG", quality=int(dice.between(60, 93)))
        path.write_bytes(file.getvalue())
    return len(jobs)
