"""What every HTML page is made with: the templates, and pictures put into the page so that it needs no other file."""

import base64
from pathlib import Path

import jinja2

_TEMPLATES = Path(__file__).parent / "templates"


def environment(templates: Path = _TEMPLATES) -> jinja2.Environment:
    """A folder of templates' environment: names are escaped, and a value that is not there is an error."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates),
        # By file ending Jinja would not escape a .j2 file.
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def data_uri(picture: bytes, kind: str = "png") -> str:
    """A picture as an address that holds it.

    Args:
        picture: the file's bytes.
        kind: png or jpeg.
    """
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"
