"""``dogs-vs-cats page``: a page in the browser to drop photos on."""

import argparse
import importlib.util
import os
import signal
from pathlib import Path


def main(arguments: list[str]) -> None:
    """Serve the page on this machine until Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="dogs-vs-cats page",
        description="Serve a page on this machine alone to drop photos on: what both trained models say of them, and "
        "where they look. Ctrl-C ends it.",
    )
    parser.add_argument("--port", type=int, help="the port (7860, or the next one that is free)")
    parser.add_argument("--open", action="store_true", help="open the page in the browser")
    given = parser.parse_args(arguments)

    # Here, not above: --help and bad arguments are answered at once.
    from dogs_vs_cats.errors import missing_package

    if importlib.util.find_spec("nicegui") is None:
        raise missing_package("page", "nicegui")
    from dogs_vs_cats.serving.side_by_side import open_side_by_side

    try:
        with open_side_by_side(Path()) as models:
            from dogs_vs_cats.serving.photo_server import address, listen, serve

            with listen(given.port) as listener:
                # A service manager's way of asking: the models are then closed as after Ctrl-C.
                signal.signal(signal.SIGTERM, signal.default_int_handler)
                print(f"{address(listener)}: drop photos there; Ctrl-C ends it", flush=True)
                serve(models, listener, open_browser=given.open)
    except KeyboardInterrupt:
        print("the page is closed", flush=True)
        # Not waiting for the threads: one may be importing TensorFlow, for seconds that nothing interrupts.
        os._exit(0)
