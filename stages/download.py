"""The labelled photos, and the unlabelled ones where there are any, as they come."""

from dogs_vs_cats.cli import parse_arguments, run
from dogs_vs_cats.data.sources.fetching import fetch
from dogs_vs_cats.paths import project_root
from dogs_vs_cats.settings.photo_settings import DownloadSettings


def _from_project_root(settings: DownloadSettings) -> DownloadSettings:
    # A queued experiment runs in a copy of the project that does not have what lies beside the tracked files.
    paths = {key: getattr(settings, key) for key in ("path", "test_path")}
    return settings.model_copy(
        update={key: str(project_root() / path) for key, path in paths.items() if path and not path.startswith("~")}
    )


def main() -> None:
    """Fetch the photos of ``download.source``."""
    arguments = parse_arguments("Fetch the labelled photos", raw="folder to leave them in")
    settings = _from_project_root(arguments.settings.download)
    fetch(settings, arguments.raw, project_root() / "data" / ".downloads")


if __name__ == "__main__":
    run(main)
