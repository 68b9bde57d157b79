"""Compare the models on photos that none was tuned on, and say what can be claimed."""

from pathlib import Path

from dogs_vs_cats.cli import parse_arguments, run
from dogs_vs_cats.paths import Prepared, project_root
from dogs_vs_cats.runtime import import_backend


def main() -> None:
    """Predict, compare, draw, write."""
    arguments = parse_arguments(
        "Compare the models",
        arrays="folder of decoded photos",
        features="folder of bottleneck features",
        backbone="the backbone's ImageNet weights, for the model that takes photos",
        models="folder of the trained models",
        training="folder with each training's history.csv and timing.json",
        comparison="JSON file to write: all results",
        metrics="JSON file to write: the results for dvc metrics",
        report="HTML file to write: the results for people",
        plots="folder to write: the pictures for dvc plots",
    )
    # Here, not above: TensorFlow takes seconds to import, a fault in params.yaml should not.
    import_backend()
    from dogs_vs_cats.evaluation.comparison import write_json
    from dogs_vs_cats.reports.comparison import figures, write_figures, write_page
    from dogs_vs_cats.reports.examining import compare_models
    from dogs_vs_cats.reports.publishing import publish
    from dogs_vs_cats.tracking.making import made_from
    from dogs_vs_cats.tracking.pages import page_lines
    from dogs_vs_cats.tracking.views import COMPARED, RESULTS

    settings = arguments.settings
    prepared = Prepared(arguments.arrays, arguments.features, arguments.backbone)
    compared = compare_models(prepared, arguments.models, arguments.training, settings.compare)
    drawn = figures(compared, settings.compare.calibration_bins)
    compared.comparison.write(arguments.comparison)
    write_json(arguments.metrics, compared.comparison.metrics())
    making = made_from(arguments.params, compared.counts)
    write_page(arguments.report, compared, drawn, making)
    write_figures(arguments.plots, drawn)
    publish(compared, drawn, making, arguments.report, settings.tracking, project_root())
    print(compared.comparison.verdict)
    # A queued experiment's folder is gone after it; there the path is that of what dvc exp apply brings.
    here = project_root() == Path.cwd()
    print(f"report: {arguments.report.resolve().as_uri() if here else arguments.report}")
    shown = {RESULTS: "all trainings", COMPARED: "these models side by side"}
    print(*page_lines(settings.tracking, project_root(), shown), sep="\n")


if __name__ == "__main__":
    run(main)
