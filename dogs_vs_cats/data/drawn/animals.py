"""Drawn cats and dogs: what they differ in, and painting it.

Cats have pointed ears, big bright eyes, a small nose, whiskers; dogs have hanging ears, dark eyes, a big snout. But
every trait is drawn from two distributions that overlap, fur included, and a few animals are in the middle.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from PIL import Image, ImageFilter

from dogs_vs_cats.data.drawn.tools import WHITE, Animal, Colour, Dice, Pen, Point, curve, darken, ellipse, mix

Ears: TypeAlias = Literal["pointed", "folded", "floppy"]
Pattern: TypeAlias = Literal["plain", "stripes", "patches", "mask", "bib", "spots"]
Pose: TypeAlias = Literal["portrait", "sitting", "behind", "standing", "lying"]

EXTENT: dict[Pose, tuple[float, float, float, float]] = {
    "portrait": (-1.5, -1.8, 1.5, 1.9),
    "sitting": (-1.9, -1.8, 1.9, 4.2),
    "behind": (-1.9, -1.8, 1.9, 4.2),
    "standing": (-1.4, -1.8, 4.6, 3.4),
    "lying": (-1.5, -1.8, 4.6, 2.4),
}
"""Left, top, right and bottom of each pose, in head radii from the head's middle."""

_FURS: dict[Animal, list[Colour]] = {
    "cat": [
        (134, 134, 138), (98, 100, 108), (64, 64, 70), (46, 46, 52), (226, 226, 226), (186, 186, 188), (216, 134, 70),
    ],
    "dog": [
        (198, 150, 88), (134, 86, 50), (172, 114, 62), (224, 190, 134), (98, 64, 42), (236, 222, 194), (50, 44, 42),
    ],
}  # fmt: skip
_IRISES: dict[Animal, list[Colour]] = {
    "cat": [(160, 186, 72), (208, 178, 60), (106, 170, 120), (120, 170, 206), (186, 130, 50)],
    "dog": [(82, 54, 32), (60, 40, 28), (106, 72, 40), (46, 34, 30), (130, 160, 190)],
}
_PATTERNS: dict[Animal, list[Pattern]] = {
    "cat": ["plain", "stripes", "stripes", "patches", "bib", "mask"],
    "dog": ["plain", "plain", "patches", "mask", "bib", "spots"],
}
_INK: Colour = (22, 18, 18)
_SKIN: Colour = (214, 150, 140)
_SHADE_STEP = 8  # pixels; shading is smooth, so it is computed on a smaller picture


@dataclass(frozen=True)
class Traits:
    """What an animal looks like; ``face``, ``muzzle``, ``nose``, ``eye``, ``build``, ``tail``: 0 a cat's, 1 a dog's."""

    ears: Ears
    ear_length: float
    ear_width: float
    ear_degrees: float
    face: float
    muzzle: float
    nose: float
    pink_nose: bool
    eye: float
    squint: float
    pupil: float
    iris: Colour
    whiskers: float
    tongue: bool
    build: float
    tail: float
    turn: float
    fluff: float
    fur: Colour
    second_fur: Colour
    ear_fur: Colour
    pattern: Pattern


def breed(animal: Animal, dice: Dice) -> Traits:
    """Draw an animal's traits by lot.

    Args:
        animal: its kind.
        dice: the picture's.

    Returns:
        Traits of which most are typical of its kind, some of the other.
    """
    cat = animal == "cat"
    likeness = 0.5 if dice.chance(0.03) else dice.about(0.16, 0.2)
    kind = likeness if cat else 1 - likeness

    def scale(spread: float) -> float:
        return min(1.15, max(-0.15, dice.about(kind, spread)))

    def usual(probability: float) -> Animal:
        return animal if dice.chance(probability) else ("dog" if cat else "cat")

    ears: Ears
    if cat:
        ears = "folded" if dice.chance(0.05) else "pointed"
    else:
        ears = "floppy" if dice.chance(0.77) else ("folded" if dice.chance(0.5) else "pointed")
    fur = dice.tint(dice.pick(_FURS[usual(0.95)]), 16)
    light = dice.chance(0.55)
    nose = scale(0.35)
    return Traits(
        ears=ears,
        ear_length=dice.about(1.0, 0.25),
        ear_width=dice.about(1.0, 0.2),
        ear_degrees=dice.about(38, 10) + 8 * kind,
        face=scale(0.4),
        muzzle=scale(0.35),
        nose=nose,
        pink_nose=dice.chance(0.5) and nose < 0.5,  # noqa: PLR2004 - a cat's rather than a dog's
        eye=scale(0.4),
        squint=dice.between(0.75, 1.0) if dice.chance(0.85) else dice.between(0.1, 0.4),
        pupil=dice.between(0.15, 1.0) if cat else dice.between(0.6, 1.0),
        iris=dice.tint(dice.pick(_IRISES[usual(0.87)]), 18),
        whiskers=dice.between(0.6, 1.3) if dice.chance(0.75 if cat else 0.15) else 0.0,
        tongue=dice.chance(0.02 if cat else 0.3),
        build=scale(0.5),
        tail=scale(0.5),
        turn=dice.between(-0.22, 0.22),
        fluff=dice.between(0.0, 0.07),
        fur=fur,
        second_fur=dice.tint((236, 230, 220) if light else mix(fur, _INK, dice.between(0.35, 0.7)), 14),
        ear_fur=fur if dice.chance(0.5) else mix(fur, _INK, dice.between(0.2, 0.6)),
        pattern=dice.pick(_PATTERNS[animal]),
    )


def paint_animal(pen: Pen, pose: Pose, traits: Traits, dice: Dice) -> None:
    """Paint an animal where the pen is.

    Args:
        pen: with the head's middle as its origin.
        pose: how the animal is seen.
        traits: what it looks like.
        dice: the picture's.
    """
    fur = _fur(pen, traits, dice)
    sun = dice.pick(((-0.7, -0.7), (0.7, -0.7), (0.0, -1.0), (-1.0, 0.0), (1.0, 0.0)))
    _Body(pen, traits, fur.copy(), dice).paint(pose, sun)
    head = pen.turned(dice.about(1.0, 0.1), dice.about(0, 16))
    _paint_head(head, traits, fur, sun, dice, face=pose != "behind")


# ---------------------------------------------------------------- fur


def _fur(pen: Pen, traits: Traits, dice: Dice) -> Image.Image:
    """Patterned fur enough for the whole picture; the animal's parts are cut out of it."""
    fur = Image.new("RGB", pen.image.size, traits.fur)
    brush = pen.on(fur)
    if traits.pattern == "stripes":
        for k in range(-14, 30):
            y = k * 0.3 + dice.between(-0.07, 0.07)
            dark = mix(traits.fur, _INK, dice.between(0.3, 0.6))
            wave = dice.between(-0.25, 0.25)
            band = curve((-4.5, y + wave), (0, y - 1.2 * wave - 0.3), (6, y + wave), 10)
            brush.line(band, dice.between(0.05, 0.14), dark)
    elif traits.pattern in ("patches", "spots"):
        small = traits.pattern == "spots"
        for _ in range(40 if small else 9):
            r = dice.between(0.08, 0.2) if small else dice.between(0.35, 0.9)
            x, y = dice.between(-2, 4.5), dice.between(-1.5, 4)
            brush.ellipse(x, y, r, r * dice.between(0.6, 1.3), traits.second_fur, dice.between(0, 180))
    else:
        return fur
    return fur.filter(ImageFilter.BoxBlur(max(1, round(pen.scale * 0.02))))


def _finished(fur: Image.Image, mask: Image.Image, pen: Pen, sun: Point, dice: Dice) -> Image.Image:
    """Fur with hairs and with the light of the sun on it, which rounds the flat part that ``mask`` cuts out."""
    width, height = fur.size
    fine = max(2.0, pen.scale * 0.03)
    grain = dice.noise(max(2, round(width / fine)), max(2, round(height / (fine * dice.between(2, 5)))))
    grain = grain.resize(fur.size, Image.Resampling.BILINEAR).point([188 + v * 67 // 255 for v in range(256)])
    small = mask.reduce(_SHADE_STEP).filter(ImageFilter.GaussianBlur(width / _SHADE_STEP / 16))
    reach = max(1, width // _SHADE_STEP // 12)
    solid = np.pad(np.asarray(small, dtype=np.int32), reach, mode="edge")
    dx, dy = round(sun[0] * reach), round(sun[1] * reach)
    slope = np.roll(solid, (-dy, -dx), (0, 1)) - np.roll(solid, (dy, dx), (0, 1))
    light = np.clip(150 + solid * 105 // 255 - slope * 80 // 255, 40, 255).astype(np.uint8)
    shade = Image.fromarray(np.ascontiguousarray(light[reach:-reach, reach:-reach]))
    return darken(darken(fur, grain), shade.resize(fur.size, Image.Resampling.BILINEAR))


def _tufted(points: Sequence[Point], fluff: float, dice: Dice) -> list[Point]:
    """An outline with tufts of up to ``fluff`` of its radius."""
    centre = (sum(x for x, _ in points) / len(points), sum(y for _, y in points) / len(points))
    tufted = []
    for (x, y), (next_x, next_y) in zip(points, [*points[1:], points[0]], strict=True):
        for t in (0.0, 0.5):
            grow = 1 + dice.between(-fluff, fluff)
            px, py = x + (next_x - x) * t, y + (next_y - y) * t
            tufted.append((centre[0] + (px - centre[0]) * grow, centre[1] + (py - centre[1]) * grow))
    return tufted


# ---------------------------------------------------------------- head


def _ear(traits: Traits, side: int) -> tuple[list[Point], list[Point]]:
    """Outline and inner part of an ear."""
    wide, long = traits.ear_width, traits.ear_length
    if traits.ears == "floppy":
        tip = (side * (1.05 + 0.18 * wide), 0.35 + 0.35 * long)
        front = curve((side * 0.35, -0.92), (side * 1.35 * wide, -1.05), tip, 8)
        return [*front, *curve(tip, (side * 0.75, 0.5 * long), (side * 0.72, -0.35), 8)], []
    angle = math.radians(traits.ear_degrees)
    tip = (side * math.sin(angle) * (1.0 + 0.62 * long), -math.cos(angle) * (1.0 + 0.75 * long))
    inside, outside = (side * 0.16, -0.88), (side * (0.72 + 0.22 * wide), -0.38)
    if traits.ears == "folded":
        knee = (tip[0] * 0.86, tip[1] * 0.8)
        fold = (side * (abs(outside[0]) + 0.22), -0.42)
        return [
            *curve(inside, (side * 0.35, -1.25), knee, 6),
            *curve(knee, (fold[0], -0.95), fold, 6),
            outside,
        ], []
    outline = [*curve(inside, (side * 0.42, -1.25), tip, 6), *curve(tip, (outside[0] * 1.12, -0.95), outside, 6)]
    x, y = (inside[0] + outside[0]) / 2, (inside[1] + outside[1]) / 2
    return outline, [(x + (px - x) * 0.62, y + (py - y) * 0.68) for px, py in outline]


def _skull(traits: Traits) -> list[Point]:
    """The outline of the head: a cat's is wide with cheeks, a dog's is longer."""
    f = traits.face
    points = []
    for x, y in ellipse(0, 0, 1, 1):
        low = max(0.0, y)
        cheek = 1 + (0.1 - 0.12 * f) * low * (1 - abs(y))
        jaw = 1 - 0.16 * low**2 * abs(x) * (0.5 + f)
        points.append((x * (1.06 - 0.14 * f) * cheek * jaw, y * (0.9 + 0.1 * f)))
    return points


def _paint_head(pen: Pen, traits: Traits, fur: Image.Image, sun: Point, dice: Dice, *, face: bool) -> None:
    mask = Image.new("L", fur.size)
    cut, brush = pen.on(mask), pen.on(fur)
    floppy = traits.ears == "floppy"
    if not floppy:
        _cut_ears(cut, brush, traits, face=face)
    cut.shape(_tufted(_skull(traits), traits.fluff, dice), 255)
    if traits.pattern == "mask":
        brush.ellipse(0, -0.35, 0.8, 0.55, traits.second_fur)
        brush.ellipse(0, 0.1, 0.16, 0.8, traits.fur)
    elif traits.pattern == "bib":
        blaze = [(-0.1, -0.9), (0.1, -0.9), (0.5, 0.4), (0.7, 1.2), (-0.7, 1.2), (-0.5, 0.4)]
        brush.shape(blaze, traits.second_fur)
    if face:
        m = traits.muzzle
        x, rx, ry = traits.turn * (1 + m), 0.36 + 0.2 * m, 0.24 + 0.24 * m
        pale = mix(traits.fur, (244, 238, 228), dice.between(0.15, 0.75))
        brush.ellipse(x, 0.46, rx * 1.06, ry * 1.08, mix(pale, _INK, 0.3))
        brush.ellipse(x, 0.44, rx, ry, pale)
    if floppy:
        _cut_ears(cut, brush, traits, face=face)
    layer = _finished(fur, mask, pen, sun, dice)
    if face:
        _paint_eyes(pen.on(layer), traits)
        _paint_nose(pen.on(layer), traits)
    pen.image.paste(layer, mask=mask)
    if face and traits.whiskers:
        _paint_whiskers(pen, traits, dice)


def _cut_ears(cut: Pen, brush: Pen, traits: Traits, *, face: bool) -> None:
    for side in (-1, 1):
        outline, inner = _ear(traits, side)
        cut.shape(outline, 255)
        brush.shape(outline, traits.ear_fur)
        brush.line([*outline, outline[0]], 0.05, mix(traits.fur, _INK, 0.45))
        if face and inner:
            brush.shape(inner, mix(traits.fur, _SKIN, 0.5))


def _paint_eyes(pen: Pen, traits: Traits) -> None:
    e, squint = traits.eye, traits.squint
    size = 0.235 - 0.085 * e
    for side in (-1, 1):
        x, y = side * (0.43 - 0.05 * e) * (1 - 0.25 * side * traits.turn) + traits.turn, -0.1 - 0.06 * e
        slant = side * (-14 + 12 * e)
        pen.ellipse(x, y, size * 1.18, size * (1.05 - 0.05 * e) * squint, _INK, slant)
        pen.ellipse(x, y, size, size * 0.88 * squint, traits.iris, slant)
        pen.ellipse(x, y, size * traits.pupil * 0.75, size * 0.84 * squint, (8, 8, 10))
        pen.ellipse(x - 0.07, y - 0.07 * squint, 0.05, 0.05 * squint, WHITE)


def _paint_nose(pen: Pen, traits: Traits) -> None:
    m, n = traits.muzzle, traits.nose
    x, y = traits.turn * (1 + 0.9 * m), 0.28 + 0.04 * m
    w, h = 0.13 + 0.13 * n, 0.09 + 0.1 * n
    colour = (198, 118, 112) if traits.pink_nose else (34, 28, 28)
    bridge = curve((x - w, y - h), (x, y - h * 1.5), (x + w, y - h), 6)
    pen.shape([*bridge, *curve((x + w, y), (x, y + h * 1.9), (x - w, y), 8)], colour)
    pen.ellipse(x - w * 0.3, y - h * 0.6, w * 0.25, h * 0.2, mix(colour, WHITE, 0.5))
    low = y + h + 0.14 + 0.08 * m
    if traits.tongue:
        pen.ellipse(x, low + 0.2, 0.14, 0.26, (214, 104, 112))
    pen.line([(x, y + h), (x, low)], 0.035, _INK)
    for side in (-1, 1):
        end = (x + side * (0.24 + 0.1 * m), low - 0.03)
        pen.line(curve((x, low), (x + side * 0.15, low + 0.1), end, 6), 0.035, _INK)


def _paint_whiskers(pen: Pen, traits: Traits, dice: Dice) -> None:
    colour = (240, 238, 234) if dice.chance(0.75) else (60, 56, 54)
    for side in (-1, 1):
        for k in (-1, 0, 1):
            x, y = traits.turn + side * 0.25, 0.42 + 0.08 * k
            end = (x + side * traits.whiskers, y + 0.22 * k + dice.between(-0.1, 0.1))
            pen.line(curve((x, y), ((x + end[0]) / 2, y + 0.08 * k - 0.08), end, 5), 0.014, colour)


# ---------------------------------------------------------------- body


class _Body:
    """A body, cut out of the fur part by part."""

    def __init__(self, pen: Pen, traits: Traits, fur: Image.Image, dice: Dice) -> None:
        self.pen = pen
        self.traits = traits
        self.fur = fur
        self.dice = dice
        self.mask = Image.new("L", fur.size)
        self.cut, self.brush = pen.on(self.mask), pen.on(fur)
        self.edge = mix(traits.fur, _INK, 0.4)
        self.paw = traits.second_fur if traits.pattern in ("bib", "patches") else traits.fur
        self.leg = 0.22 + 0.06 * traits.build
        self.tail = 0.13 + 0.06 * traits.build
        self.tail_length = 2.4 - 1.1 * traits.tail

    def paint(self, pose: Pose, sun: Point) -> None:
        """Paint the body in a pose."""
        if pose == "portrait":
            self._chest()
        elif pose == "standing":
            self._standing()
        elif pose == "lying":
            self._lying()
        else:
            self._sitting(front=pose == "sitting")
        self.pen.image.paste(_finished(self.fur, self.mask, self.pen, sun, self.dice), mask=self.mask)

    def _part(self, points: list[Point], *, outlined: bool = True) -> None:
        points = _tufted(points, self.traits.fluff * 0.6, self.dice)
        self.cut.shape(points, 255)
        if outlined:
            self.brush.line([*points, points[0]], 0.05, self.edge)

    def _limb(self, points: list[Point], first: float, last: float) -> None:
        self.cut.limb(points, first, last, 255)
        for offset in (-first, first):
            self.brush.line([(x + offset, y) for x, y in points], 0.04, self.edge)
        x, y = points[-1]
        self.brush.ellipse(x, y, last * 1.25, last, self.paw)
        self.cut.ellipse(x, y, last * 1.25, last, 255)

    def _chest(self) -> None:
        w = 0.95 + 0.35 * self.traits.build
        self._part([(-0.6, 0.3), (0.6, 0.3), (w, 1.5), (w * 1.25, 4.5), (-w * 1.25, 4.5), (-w, 1.5)])

    def _sitting(self, *, front: bool) -> None:
        w, leg = 1.0 + 0.2 * self.traits.build, self.leg
        side, reach, curl = self.dice.pick((-1, 1)), self.tail_length / 2, self.dice.between(-1.4, 0.6)
        tail = curve((side * 0.7, 3.7), (side * (1.2 + reach), 3.9), (side * (1.0 + reach), 3.2 + curl))
        self.cut.limb(tail, self.tail * 1.2, self.tail, 255)
        for x in (-0.75, 0.75):
            self._part(ellipse(x, 3.3, 0.62, 0.68))
        left = curve((-0.5, 0.4), (-w * 1.3, 2.2), (-w, 3.8), 10)
        self._part([*left, *curve((w, 3.8), (w * 1.3, 2.2), (0.5, 0.4), 10)], outlined=False)
        if front:
            for x in (-1, 1):
                self._limb([(x * 0.36, 2.0), (x * 0.38, 3.0), (x * 0.4, 3.85)], leg, leg * 0.9)

    def _standing(self) -> None:
        b, leg, y = self.traits.build, self.leg, 1.2
        foot = 2.9 + 0.5 * b
        self._long_tail(y, self.dice.between(-0.8, 2.2))
        for x in (0.95, 3.45):
            self._limb([(x, y + 0.2), (x + 0.1, (y + foot) / 2), (x, foot)], leg * 1.1, leg * 0.85)
        self._trunk(y, 0.72 + 0.2 * b)
        for x in (0.6, 3.75):
            self._limb([(x, y + 0.3), (x - 0.08, (y + foot) / 2), (x - 0.04, foot + 0.08)], leg * 1.1, leg * 0.85)

    def _lying(self) -> None:
        leg, y = self.leg, 1.25
        self._long_tail(y, 2.0)
        self._limb([(0.6, 1.8), (-0.2, 2.0), (-0.7, 2.0)], leg * 0.9, leg * 0.8)
        self._limb([(3.2, 1.9), (2.5, 2.05), (2.2, 2.05)], leg, leg * 0.8)
        self._trunk(y, 0.85 + 0.1 * self.traits.build)

    def _long_tail(self, y: float, end: float) -> None:
        reach = self.tail_length
        tail = curve((3.7, y), (4.2 + reach / 3, y + 0.2), (3.9 + reach / 1.6, end))
        self.cut.limb(tail, self.tail * 1.3, self.tail * 0.8, 255)

    def _trunk(self, y: float, height: float) -> None:
        self._part(ellipse(2.2, y, 1.95, height))
        self._part(ellipse(3.3, y + 0.15, 0.85, height * 0.95), outlined=False)
        self.cut.limb([(0.15, 0.35), (0.9, y - 0.15)], 0.62, 0.7, 255)
