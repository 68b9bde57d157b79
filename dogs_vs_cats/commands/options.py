"""What several commands take."""

from pathlib import Path

import click

from dogs_vs_cats.settings.params import Settings, load_settings

PATH = click.Path(path_type=Path)


def _load(_context: click.Context, _option: click.Parameter, params: Path) -> Settings:
    return load_settings(params)


settings_option = click.option(
    "--params",
    "settings",
    type=PATH,
    default="params.yaml",
    show_default=True,
    callback=_load,
    help="The settings.",
)
"""The checked ``params.yaml``, as the argument ``settings``."""
