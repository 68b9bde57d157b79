"""Dice, colours and a pen: what the drawn animals and the scenes around them are made with."""

import math
import random
from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias, TypeVar

from PIL import Image, ImageChops, ImageDraw

Animal: TypeAlias = Literal["cat", "dog"]
Colour: TypeAlias = tuple[int, int, int]
Point: TypeAlias = tuple[float, float]
Item = TypeVar("Item")

BLACK: Colour = (0, 0, 0)
WHITE: Colour = (255, 255, 255)

_CIRCLE = [(math.cos(2 * math.pi * k / 36), math.sin(2 * math.pi * k / 36)) for k in range(36)]


class Dice:
    """Random choices made of ``random`` and ``randbytes`` alone, whose streams are the same in every Python version."""

    def __init__(self, *seed: object) -> None:
        """Start a stream of its own for each different seed."""
        self._random = random.Random("/".join(map(str, seed)))  # noqa: S311 - not for cryptography

    def between(self, low: float, high: float) -> float:
        """A number between two others, each as likely."""
        return low + (high - low) * self._random.random()

    def about(self, middle: float, spread: float) -> float:
        """A number near another, bell-shaped, never more than ``spread`` away."""
        return middle + spread * ((self._random.random() + self._random.random() + self._random.random()) / 1.5 - 1)

    def chance(self, probability: float) -> bool:
        """True in this share of the throws."""
        return self._random.random() < probability

    def pick(self, items: Sequence[Item]) -> Item:
        """One of the items."""
        return items[int(self._random.random() * len(items))]

    def tint(self, colour: Colour, spread: float) -> Colour:
        """A colour near another: lighter or darker by up to ``spread``, its hue by a third of that."""
        light = self.between(-spread, spread)
        return clip(part + light + self.between(-spread, spread) / 3 for part in colour)

    def noise(self, width: int, height: int) -> Image.Image:
        """A grey picture of independent random pixels."""
        return Image.frombytes("L", (width, height), self._random.randbytes(width * height))


def clip(parts: Iterable[float]) -> Colour:
    """The nearest colour to red, green and blue of any size."""
    red, green, blue = (min(255, max(0, round(part))) for part in parts)
    return red, green, blue


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """The first colour with a share of the second."""
    return clip(a + (b - a) * share for a, b in zip(first, second, strict=True))


def darken(picture: Image.Image, light: Image.Image) -> Image.Image:
    """Multiply a picture by a grey one of the same size, 255 leaving it as it is."""
    return ImageChops.multiply(picture, Image.merge("RGB", (light, light, light)))


def ellipse(x: float, y: float, rx: float, ry: float, degrees: float = 0) -> list[Point]:
    """The outline of a turned ellipse."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return [(x + a * rx * c - b * ry * s, y + a * rx * s + b * ry * c) for a, b in _CIRCLE]


def curve(start: Point, bend: Point, end: Point, steps: int = 12) -> list[Point]:
    """A quadratic Bezier curve."""
    points = []
    for k in range(steps + 1):
        t = k / steps
        a, b, c = (1 - t) ** 2, 2 * t * (1 - t), t * t
        points.append((a * start[0] + b * bend[0] + c * end[0], a * start[1] + b * bend[1] + c * end[1]))
    return points


class Pen:
    """Paints in the animal's own coordinates: its head has radius 1 and is at the origin, y points down."""

    def __init__(self, image: Image.Image, origin: Point, scale: float, degrees: float, *, mirror: bool) -> None:
        """Paint on ``image``: the animal's origin at this pixel, ``scale`` pixels a unit, turned, maybe mirrored."""
        self.image = image
        self.origin = origin
        self.scale = scale
        self.degrees = degrees
        self.mirror = mirror
        self._draw = ImageDraw.Draw(image)
        self._cos = math.cos(math.radians(degrees)) * scale
        self._sin = math.sin(math.radians(degrees)) * scale

    def on(self, image: Image.Image) -> "Pen":
        """The same coordinates on another image."""
        return Pen(image, self.origin, self.scale, self.degrees, mirror=self.mirror)

    def turned(self, scale: float, degrees: float) -> "Pen":
        """Coordinates scaled and turned around the origin."""
        turn = -degrees if self.mirror else degrees
        return Pen(self.image, self.origin, self.scale * scale, self.degrees + turn, mirror=self.mirror)

    def place(self, point: Point) -> tuple[int, int]:
        """The pixel a point is at."""
        x, y = point
        if self.mirror:
            x = -x
        return (
            round(self.origin[0] + x * self._cos - y * self._sin),
            round(self.origin[1] + x * self._sin + y * self._cos),
        )

    def shape(self, points: Iterable[Point], fill: Colour | int) -> None:
        """Fill an outline."""
        self._draw.polygon([self.place(point) for point in points], fill=fill)

    def ellipse(self, x: float, y: float, rx: float, ry: float, fill: Colour | int, degrees: float = 0) -> None:
        """Fill a turned ellipse."""
        self.shape(ellipse(x, y, rx, ry, degrees), fill)

    def line(self, points: Iterable[Point], width: float, fill: Colour | int) -> None:
        """Draw a line, at least a pixel wide."""
        placed = [self.place(point) for point in points]
        self._draw.line(placed, fill=fill, width=max(1, round(width * self.scale)), joint="curve")

    def limb(self, points: Sequence[Point], first: float, last: float, fill: Colour | int) -> None:
        """Draw a line whose half width goes from ``first`` to ``last``, with round ends."""
        steps = max(1, len(points) - 1)
        for k, (x, y) in enumerate(points):
            width = first + (last - first) * k / steps
            self.ellipse(x, y, width, width, fill)
            if k < steps:
                self.line([(x, y), points[k + 1]], 2 * width, fill)
