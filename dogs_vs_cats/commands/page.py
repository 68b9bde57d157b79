"""``dogs-vs-cats page``: a page in the browser to drop photos on."""

import os
import signal
from importlib.util import find_spec
from pathlib import Path

import click

from dogs_vs_cats.errors import missing_package


@click.command()
@click.option("--port", type=int, help="The port; without it, 7860 or the next one that is free.")
@click.option("--open", "open_browser", is_flag=True, help="Open the page in the browser.")
def main(port: int | None, open_browser: bool) -> None:  # noqa: FBT001
    """Serve a page on this machine alone to drop photos on.

    It shows what the trained models say of them, and where they look. Ctrl-C ends it.
    """
    if find_spec("nicegui") is None:
        raise missing_package("page", "nicegui")
    from dogs_vs_cats.serving.side_by_side import open_side_by_side

    try:
        with open_side_by_side(Path()) as models:
            # After the models: what is missing of them is told before NiceGUI's seconds.
            from dogs_vs_cats.serving.photo_server import address, listen, serve

            with listen(port) as listener:
                # A service manager's way of asking: the models are then closed as after Ctrl-C.
                signal.signal(signal.SIGTERM, signal.default_int_handler)
                print(f"{address(listener)}: drop photos there; Ctrl-C ends it", flush=True)
                serve(models, listener, open_browser=open_browser)
    except KeyboardInterrupt:
        print("the page is closed", flush=True)
        # Not waiting for the threads: one may be importing TensorFlow, for seconds that nothing interrupts.
        os._exit(0)
