"""The drawn sample: the same every time, different every picture, and files that decode."""

import subprocess
import sys
from pathlib import Path

import imagehash
import numpy as np
import pytest
from PIL import Image

from dogs_vs_cats.data.drawn.animals import Traits, breed
from dogs_vs_cats.data.drawn.drawing import Job, draw, draw_files
from dogs_vs_cats.data.drawn.tools import Animal, Dice


def test_a_picture_depends_on_seed_index_and_animal_alone() -> None:
    before = draw("cat", 3, 1, 96)
    draw("dog", 4, 1, 96)
    assert draw("cat", 3, 1, 96).tobytes() == before.tobytes()
    others = [draw("cat", 3, 2, 96), draw("cat", 4, 1, 96), draw("dog", 3, 1, 96)]
    assert len({image.tobytes() for image in [before, *others]}) == 4


def test_another_process_draws_the_same_picture() -> None:
    program = (
        "import sys; from dogs_vs_cats.data.drawn.drawing import draw; "
        "sys.stdout.buffer.write(draw('dog', 7, 1, 96).tobytes())"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert result.stdout == draw("dog", 7, 1, 96).tobytes()


@pytest.mark.parametrize("size", [64, 200])
def test_the_longer_side_has_the_size_and_the_shorter_three_quarters_of_it(size: int) -> None:
    shapes = [draw("cat", index, 1, size).size for index in range(12)]
    assert {max(shape) for shape in shapes} == {size}
    assert min(min(shape) for shape in shapes) >= 0.75 * size
    assert any(width > height for width, height in shapes)
    assert any(width < height for width, height in shapes)


def test_files_do_not_depend_on_how_the_work_is_shared(tmp_path: Path) -> None:
    jobs: list[Job] = [("cat" if index % 2 else "dog", index, tmp_path / "all" / f"{index}.jpg") for index in range(60)]
    draw_files(jobs, 1, 64)
    alone: list[Job] = [(animal, index, tmp_path / "alone" / path.name) for animal, index, path in jobs[40:50]]
    draw_files(alone, 1, 64)
    for (_, _, first), (_, _, second) in zip(jobs[40:50], alone, strict=True):
        assert first.read_bytes() == second.read_bytes()
    assert len({path.read_bytes() for _, _, path in jobs}) == 60


def test_unlabelled_pictures_are_of_both_animals_and_none_of_the_labelled_ones(tmp_path: Path) -> None:
    animals: tuple[Animal, ...] = ("cat", "dog")
    draw_files([(None, index, tmp_path / f"{index}.jpg") for index in range(12)], 1, 64)
    kinds = []
    for index in range(12):
        with Image.open(tmp_path / f"{index}.jpg") as image:
            found = np.asarray(image, dtype=float)
        # JPEG changes a picture a little; another picture is far away.
        distances = {}
        for animal in animals:
            for number in (index, index + 10**9):
                drawn = np.asarray(draw(animal, number, 1, 64), dtype=float)
                distances[animal, number] = np.abs(found - drawn).mean() if drawn.shape == found.shape else np.inf
        animal, number = min(distances, key=distances.__getitem__)
        assert number >= 10**9
        kinds.append(animal)
    assert set(kinds) == {"cat", "dog"}


def test_pictures_are_no_near_duplicates_of_each_other() -> None:
    hashes = [
        imagehash.phash(draw(animal, index, 1, 96)).hash.ravel() for index in range(40) for animal in ("cat", "dog")
    ]
    bits = np.array(hashes)
    distances = (bits[:, None] != bits[None]).sum(axis=2)[np.triu_indices(len(bits), 1)]
    assert distances.min() > 3


def test_cats_and_dogs_differ_in_their_traits_but_overlap() -> None:
    cats = [breed("cat", Dice("traits", index)) for index in range(300)]
    dogs = [breed("dog", Dice("traits", index)) for index in range(300)]

    def share(animals: list[Traits], ears: str) -> float:
        return sum(animal.ears == ears for animal in animals) / len(animals)

    assert share(cats, "pointed") > 0.85
    assert share(dogs, "floppy") > 0.6
    assert 0.05 < share(dogs, "pointed") < 0.25
    for trait in ("muzzle", "nose", "eye"):
        of_cats, of_dogs = (np.array([getattr(animal, trait) for animal in animals]) for animals in (cats, dogs))
        assert np.median(of_cats) < 0.35
        assert np.median(of_dogs) > 0.65
        assert of_cats.max() > of_dogs.min()


def test_dice_keep_to_their_bounds() -> None:
    dice = Dice("bounds")
    assert all(2 <= dice.between(2, 3) < 3 for _ in range(1000))
    about = [dice.about(10, 4) for _ in range(1000)]
    assert 6 <= min(about) < 7.5
    assert 12.5 < max(about) <= 14
    assert {dice.pick("abc") for _ in range(100)} == {"a", "b", "c"}
    assert 0.2 < sum(dice.chance(0.3) for _ in range(1000)) / 1000 < 0.4


def test_the_streams_of_dice_are_the_same_on_every_machine() -> None:
    dice = Dice(1, 2, "cat")
    assert [dice.between(0, 1) for _ in range(2)] == [0.2010110069315395, 0.0238586246734227]
    assert dice.noise(4, 1).tobytes().hex() == "9ca00374"
