"""What is around a drawn animal: a room, a garden, things, something in front; and what the camera does to it all."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from dogs_vs_cats.data.drawn.tools import BLACK, WHITE, Animal, Colour, Dice, darken, mix

Size = tuple[int, int]

_COLOURS: list[Colour] = [
    (176, 170, 158), (142, 156, 170), (196, 190, 176), (120, 132, 112), (168, 142, 132), (102, 116, 136),
    (204, 198, 192), (158, 120, 116), (118, 146, 138), (116, 110, 108), (186, 176, 140), (140, 124, 148),
]  # fmt: skip
_TOYS: list[Colour] = [*_COLOURS, (190, 60, 54), (60, 110, 180), (220, 190, 60)]


def paint_backdrop(size: Size, animal: Animal, dice: Dice) -> Image.Image:
    """Paint what is behind the animal.

    Args:
        size: width and height in pixels.
        animal: for whom; dogs are outdoors more often, as in photos.
        dice: the picture's.

    Returns:
        An RGB image.
    """
    first, second = dice.tint(dice.pick(_COLOURS), 30), dice.tint(dice.pick(_COLOURS), 30)
    picture = Image.new("RGB", size, mix(first, second, 0.5))
    picture.paste(first, mask=_ramp(size, dice))
    outdoors = dice.chance(0.12 if animal == "cat" else 0.45)
    kind = "garden" if outdoors else dice.pick(("room", "room", "sofa", "blanket", "blurred"))
    if kind == "garden":
        _garden(picture, dice)
    elif kind == "blanket":
        picture = _blanket(picture, second, dice)
    elif kind == "blurred":
        _lights(picture, dice)
    else:
        horizon = _floor(picture, dice)
        for _ in range(int(dice.between(0, 4))):
            _furniture(picture, horizon, dice)
        if kind == "sofa":
            _sofa(picture, dice)
    for _ in range(int(dice.between(0, 4))):
        _thing(picture, dice)
    width, height = size
    depth = dice.between(0.02, 0.05) if kind == "blurred" else dice.between(0, 0.012)
    picture = picture.filter(ImageFilter.BoxBlur(depth * width))
    grain = dice.noise(max(2, width // 6), max(2, height // 6)).resize(size, Image.Resampling.BILINEAR)
    return darken(picture, grain.point([222 + v * 33 // 255 for v in range(256)]))


def _ramp(size: Size, dice: Dice) -> Image.Image:
    """Grey from black at one side to white at the other."""
    return Image.linear_gradient("L").rotate(dice.pick((0, 90, 180, 270))).resize(size)


def _floor(picture: Image.Image, dice: Dice) -> int:
    """A floor, of boards or plain, with a skirting; returns the height it begins at."""
    width, height = picture.size
    draw = ImageDraw.Draw(picture)
    horizon = round(height * dice.between(0.35, 0.8))
    colour = dice.tint(dice.pick(_COLOURS), 30)
    draw.rectangle((0, horizon, width, height), fill=colour)
    draw.rectangle((0, horizon - height // 40, width, horizon), fill=mix(colour, WHITE, 0.4))
    if dice.chance(0.6):
        gap, vanish = max(2, width // int(dice.between(4, 10))), dice.between(-1, 2) * width
        for x in range(-2 * width, 3 * width, gap):
            draw.line((vanish + (x - vanish) * 0.4, horizon, x, height), fill=mix(colour, BLACK, 0.3), width=2)
    return horizon


def _sofa(picture: Image.Image, dice: Dice) -> None:
    width, height = picture.size
    draw = ImageDraw.Draw(picture)
    cloth = dice.tint(dice.pick(_COLOURS), 40)
    top = round(height * dice.between(0.15, 0.5))
    seat = round(top + (height - top) * dice.between(0.4, 0.7))
    draw.rounded_rectangle((-20, top, width + 20, height + 40), radius=width // 12, fill=cloth)
    draw.rounded_rectangle((-20, seat, width + 20, height + 40), radius=width // 16, fill=mix(cloth, WHITE, 0.15))
    for x in (dice.between(0.2, 0.45) * width, dice.between(0.6, 0.85) * width):
        draw.line((x, top, x, seat), fill=mix(cloth, BLACK, 0.3), width=3)


def _garden(picture: Image.Image, dice: Dice) -> None:
    width, height = picture.size
    draw = ImageDraw.Draw(picture)
    horizon = round(height * dice.between(0.35, 0.8))
    grass = dice.tint((104, 132, 70), 28)
    draw.rectangle((0, 0, width, horizon), fill=dice.tint((168, 190, 206), 26))
    for _ in range(int(dice.between(3, 9))):
        x, r = dice.between(0, 1) * width, dice.between(0.08, 0.3) * width
        y = horizon - dice.between(0.2, 1) * r
        draw.ellipse((x - r, y - r, x + r, y + r), fill=dice.tint((78, 104, 62), 26))
    draw.rectangle((0, horizon, width, height), fill=grass)
    for _ in range(90):
        x, y = dice.between(0, width), dice.between(horizon, height)
        blade = dice.between(0.02, 0.07) * height
        draw.line((x, y, x + dice.between(-0.5, 0.5) * blade, y - blade), fill=dice.tint(grass, 36), width=3)
    if dice.chance(0.3):
        wood = dice.tint((150, 122, 92), 30)
        for post in range(-10, width, max(8, width // 9)):
            draw.rectangle((post, horizon - height // 4, post + width // 14, horizon + height // 20), fill=wood)


def _blanket(picture: Image.Image, colour: Colour, dice: Dice) -> Image.Image:
    width, height = picture.size
    draw = ImageDraw.Draw(picture)
    step = max(4, int(dice.between(0.06, 0.2) * width))
    stripe = mix(colour, WHITE, 0.3) if dice.chance(0.5) else colour
    for x in range(-step, width + step, step):
        draw.rectangle((x, 0, x + step // 2, height), fill=stripe)
    if dice.chance(0.6):
        across = Image.new("L", picture.size)
        bars = ImageDraw.Draw(across)
        for y in range(-step, height + step, step):
            bars.rectangle((0, y, width, y + step // 2), fill=110)
        picture.paste(dice.tint(colour, 40), mask=across)
    return picture.rotate(dice.between(-35, 35), Image.Resampling.BILINEAR, fillcolor=colour)


def _lights(picture: Image.Image, dice: Dice) -> None:
    width, height = picture.size
    draw = ImageDraw.Draw(picture)
    for _ in range(int(dice.between(5, 25))):
        x, y, r = dice.between(0, width), dice.between(0, height), dice.between(0.04, 0.22) * width
        draw.ellipse((x - r, y - r, x + r, y + r), fill=dice.tint(dice.pick(_COLOURS), 40))


def _furniture(picture: Image.Image, horizon: int, dice: Dice) -> None:
    width, height = picture.size
    draw = ImageDraw.Draw(picture)
    colour = dice.tint(dice.pick(_COLOURS), 40)
    x, w, h = dice.between(-0.1, 0.9) * width, dice.between(0.12, 0.4) * width, dice.between(0.15, 0.5) * height
    y = horizon - h - dice.between(0.05, 0.35) * height
    kind = dice.pick(("window", "painting", "cupboard", "table"))
    if kind == "window":
        draw.rectangle((x, y, x + w, y + h), fill=(226, 230, 232))
        draw.rectangle((x + w * 0.06, y + h * 0.06, x + w * 0.94, y + h * 0.94), fill=dice.tint((170, 196, 214), 30))
        draw.rectangle((x + w * 0.47, y, x + w * 0.53, y + h), fill=(226, 230, 232))
    elif kind == "painting":
        draw.rectangle((x, y, x + w * 0.7, y + h * 0.7), fill=mix(colour, BLACK, 0.5))
        draw.rectangle((x + w * 0.07, y + h * 0.07, x + w * 0.63, y + h * 0.63), fill=dice.tint(colour, 60))
    elif kind == "cupboard":
        draw.rectangle((x, horizon - h, x + w, horizon + height * 0.06), fill=colour)
        draw.line((x + w / 2, horizon - h, x + w / 2, horizon), fill=mix(colour, BLACK, 0.4), width=3)
    else:
        draw.rectangle((x, horizon - h * 0.4, x + w, horizon - h * 0.32), fill=colour)
        for leg in (0.06, 0.9):
            box = (x + w * leg, horizon - h * 0.32, x + w * (leg + 0.05), horizon + height * 0.1)
            draw.rectangle(box, fill=mix(colour, BLACK, 0.3))


def _thing(picture: Image.Image, dice: Dice) -> None:
    """A toy, a bowl, a plant: round and pointed things that are no ears and no noses."""
    width, height = picture.size
    draw = ImageDraw.Draw(picture)
    x, y, r = dice.between(0, 1) * width, dice.between(0.3, 1) * height, dice.between(0.03, 0.1) * width
    colour = dice.tint(dice.pick(_TOYS), 30)
    kind = dice.pick(("ball", "bowl", "plant", "box", "cone"))
    if kind == "ball":
        draw.ellipse((x - r, y - r, x + r, y + r), fill=colour)
        draw.ellipse((x - r / 2, y - r / 2, x, y), fill=mix(colour, WHITE, 0.4))
    elif kind == "bowl":
        draw.pieslice((x - 1.6 * r, y - r, x + 1.6 * r, y + r), 0, 180, fill=colour)
        draw.ellipse((x - 1.6 * r, y - 0.35 * r, x + 1.6 * r, y + 0.35 * r), fill=mix(colour, BLACK, 0.45))
    elif kind == "plant":
        for _ in range(int(dice.between(4, 9))):
            lean, tall = dice.between(-2, 2) * r, dice.between(2, 5) * r
            draw.polygon([(x - r / 3, y), (x + r / 3, y), (x + lean, y - tall)], fill=dice.tint((78, 120, 66), 34))
        draw.polygon([(x - r, y - r / 2), (x + r, y - r / 2), (x + 0.7 * r, y + r), (x - 0.7 * r, y + r)], fill=colour)
    elif kind == "box":
        lid = [(x - r, y - r), (x - 0.4 * r, y - 1.5 * r), (x + 2 * r, y - 1.5 * r), (x + 1.4 * r, y - r)]
        draw.rectangle((x - r, y - r, x + 1.4 * r, y + r), fill=colour)
        draw.polygon(lid, fill=mix(colour, WHITE, 0.3))
    else:
        draw.polygon([(x - r, y + r), (x + r, y + r), (x, y - 1.4 * r)], fill=colour)


def paint_obstacle(picture: Image.Image, dice: Dice) -> None:
    """Paint something in front of the animal: an edge, bars, leaves, a door."""
    width, height = picture.size
    draw = ImageDraw.Draw(picture)
    colour = dice.tint(dice.pick(_COLOURS), 40)
    kind = dice.pick(("edge", "bars", "leaves", "door"))
    if kind == "edge":
        top, slope = dice.between(0.62, 0.85) * height, dice.between(-0.15, 0.15) * height
        draw.polygon([(0, top), (width, top + slope), (width, height), (0, height)], fill=colour)
    elif kind == "bars":
        gap = dice.between(0.16, 0.3) * width
        for k in range(8):
            draw.rectangle((k * gap, 0, k * gap + gap * dice.between(0.1, 0.25), height), fill=colour)
    elif kind == "leaves":
        x, y = dice.pick((0.0, 1.0)) * width, dice.between(0.2, 1) * height
        for _ in range(int(dice.between(6, 14))):
            tip_x, tip_y = x + dice.between(-0.6, 0.6) * width, y + dice.between(-0.6, 0.5) * height
            middle_x, middle_y = (x + tip_x) / 2, (y + tip_y) / 2
            wide_x, wide_y = (tip_y - y) * 0.08, (x - tip_x) * 0.08
            sides = [(middle_x + wide_x, middle_y + wide_y), (tip_x, tip_y), (middle_x - wide_x, middle_y - wide_y)]
            draw.polygon([(x, y), *sides], fill=dice.tint((72, 112, 60), 36))
    else:
        x = dice.between(0.2, 0.4) * width
        draw.rectangle((0, 0, x, height) if dice.chance(0.5) else (width - x, 0, width, height), fill=colour)


def photograph(picture: Image.Image, size: Size, dice: Dice) -> Image.Image:
    """Do what light and camera do: shadow, blur, exposure, colour cast, grain.

    Args:
        picture: the painted scene.
        size: width and height of the photograph, pixels.
        dice: the picture's.

    Returns:
        An RGB image.
    """
    width, height = size
    picture = picture.resize(size, Image.Resampling.BOX)
    if dice.chance(0.5):
        dark = int(dice.between(120, 210))
        picture = darken(picture, _ramp(size, dice).point([dark + v * (255 - dark) // 255 for v in range(256)]))
    blur = dice.between(0, 0.7) if dice.chance(0.88) else dice.between(1.2, 2.6)
    picture = picture.filter(ImageFilter.GaussianBlur(blur * max(size) / 200))
    exposure = dice.about(1.15, 0.2) if dice.chance(0.95) else dice.between(0.35, 0.6)
    contrast = dice.about(1.0, 0.15)
    tables: list[int] = []
    for _ in range(3):
        gain = exposure * dice.about(1.0, 0.07)
        tables += [min(255, max(0, round((v * gain - 118) * contrast + 118))) for v in range(256)]
    strength = int(dice.between(3, 14))
    grain = np.asarray(dice.noise(width * 3, height), dtype=np.int16).reshape(height, width, 3)
    pixels = np.asarray(picture.point(tables), dtype=np.int16) + (grain - 128) * strength // 128
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
