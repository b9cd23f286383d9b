"""How to use what came of the search, and how to run it again."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from kt_tuning.report.formatting import duration
from kt_tuning.report.html import element
from kt_tuning.report.run_summary import RunSummary
from kt_tuning.report.sections.blocks import pairs, quiet, section

_LOAD = """\
import tensorflow as tf

model = tf.saved_model.load("export/{version}")
image = tf.io.read_file("cat.jpg")          # JPEG or PNG, any size
answer = model.signatures["serve_bytes"](tf.stack([image]))
# "serving_default" takes uint8 pixels instead: (images, {shape})"""

_SERVE = """\
kt-tuning predict export/{version} cat.jpg

docker run -p 8501:8501 -e MODEL_NAME=model \\
  -v "$PWD/export:/models/model" tensorflow/serving"""


def reproduce_section(run: RunSummary) -> Element:
    """Return how to load and serve the exported model, settings and versions."""
    return section(
        "reproduce",
        "Load, serve, reproduce",
        *_use(run),
        element("div", _settings(run), _versions(run), class_="split"),
    )


def _settings(run: RunSummary) -> Element:
    search = run.search
    settings = {
        "Hypermodel": search.hypermodel,
        "Objective": f"{search.objective} ({search.direction})",
        "Strategy": search.strategy,
        "Seed": str(search.seed),
        "Epochs a trial, at most": f"{search.epochs:,}",
        "Trials, at most": "no limit" if search.max_trials is None else f"{search.max_trials:,}",
        "Time limit": "none" if search.time_limit is None else duration(search.time_limit),
    }
    if run.data is not None:
        settings |= {"Data": run.data.source, "Data fingerprint": run.data.fingerprint}
    block = element("div", element("h3", "Search"), _pairs(settings))
    if search.time_limit is not None:
        block.append(
            quiet(
                "With a time limit the number of trials, and the length of one that would not end "
                "in time, depend on the speed of the machine; other trials that both runs reach "
                "are the same for the same seed."
            )
        )
    return block


def _versions(run: RunSummary) -> Element:
    return element("div", element("h3", "Versions"), _pairs(run.search.versions))


def _pairs(values: dict[str, str]) -> Element:
    return pairs(["Name", "Value"], values, numbers=False)


def _use(run: RunSummary) -> list[Element]:
    if run.export is None:
        return [
            element("h3", "Serve"),
            quiet("Nothing has been exported from this run yet."),
        ]
    shape = "height, width, channels"
    if run.data is not None:
        shape = ", ".join(str(size) for size in run.data.pixels.shape)
    return [
        element("h3", "Load the SavedModel, from the run directory; it needs only TensorFlow"),
        element("pre", _LOAD.format(version=run.export, shape=shape)),
        element("h3", "Predict from the command line, or serve it over HTTP"),
        element("pre", _SERVE.format(version=run.export)),
    ]
