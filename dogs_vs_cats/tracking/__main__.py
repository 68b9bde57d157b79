"""Give MLflow what it missed while it did not answer (send), or open its pages where runs are kept (ui)."""

import argparse
import os
import sys
from pathlib import Path

from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.settings.addresses import is_local
from dogs_vs_cats.settings.params import TrackingSettings, load_settings
from dogs_vs_cats.tracking.pages import PORT, page_addresses
from dogs_vs_cats.tracking.tracked_runs import tracking_uri
from dogs_vs_cats.tracking.unsent import send


def main() -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser("python -m dogs_vs_cats.tracking", description=__doc__)
    parser.add_argument("command", choices=["send", "ui"])
    parser.add_argument("--root", type=Path, default=Path(), help="the project's folder (%(default)s)")
    parser.add_argument("--uri", help="where to send to; not given: where each run was to go")
    parser.add_argument("--registered-model", help="for send: that gets the versions, where the name was another's")
    parser.add_argument("--port", type=int, default=PORT, help="for ui: of this machine, to listen on (%(default)s)")
    arguments = parser.parse_args()
    root = arguments.root.resolve()
    try:
        if arguments.command == "ui":
            _open_ui(load_settings(root / "params.yaml").tracking, root, arguments.port)
        else:
            _send(root, arguments.uri, arguments.registered_model)
    except WorkflowError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


def _send(root: Path, uri: str | None, registered_model: str | None) -> None:
    line = ""
    for line in send(root, uri, registered_model=registered_model):
        print(line)
    if not line:
        print("nothing to send")


def _open_ui(settings: TrackingSettings, root: Path, port: int) -> None:
    """Say where the pages are; where runs are in a database, become ``mlflow ui``, which serves them."""
    uri, pages, why = tracking_uri(settings, root), {}, "no page of runs yet: make some with dvc repro"
    try:
        pages = page_addresses(settings, root, port)
    except WorkflowError as error:
        if not is_local(uri):
            raise
        why = f"warning: {error}"  # other experiments may be looked at
    if not pages:
        print(why, flush=True)
    for name, address in pages.items():
        print(f"{name}: {address}", flush=True)
    if is_local(uri):
        # In a variable, since every user of the machine sees a command line, and the address may hold a password.
        os.environ["MLFLOW_BACKEND_STORE_URI"] = uri
        # Each of MLflow 3.17's workers says of its own server that it is outdated, and the addresses scroll away.
        os.environ.setdefault("PYTHONWARNINGS", "ignore::UserWarning:mlflow.server.fastapi_app")
        os.chdir(root)
        command = [sys.executable, "-m", "mlflow", "ui", "--port", str(port)]
        os.execv(command[0], command)  # noqa: S606 - no shell is needed


if __name__ == "__main__":
    main()
