"""The report of a run as one self-contained HTML file, from the templates beside this module."""

from __future__ import annotations

import base64
import dataclasses
import functools
import hashlib
import html
import inspect
import webbrowser
from pathlib import Path

import jinja2
from markupsafe import Markup

from kt_tuning.core.atomic import atomic_write
from kt_tuning.core.errors import SearchError, StorageError
from kt_tuning.core.names import printable
from kt_tuning.core.records import backbones_of
from kt_tuning.evaluation.selection_bias import EPOCH_CAVEAT
from kt_tuning.export import accuracy_note
from kt_tuning.export.measurement import measurement_rows
from kt_tuning.report import formatting, page_content
from kt_tuning.report.figures import Plots
from kt_tuning.report.figures.confusion import MOST_CLASSES_WITH_COUNTS, confusion_data
from kt_tuning.report.figures.evaluation import MOST_CURVES, class_curves_data, reliability_data
from kt_tuning.report.figures.scored_trials import ScoredTrials
from kt_tuning.report.figures.search_trials import FEWEST_TRIALS
from kt_tuning.report.figures.style import svg_markup
from kt_tuning.report.run_summary import RunSummary, load_run
from kt_tuning.run.layout import REPORT

FRAME_HEIGHT = 720
"""Pixels of the frame in a notebook; the page scrolls in it."""

SECTIONS = {
    "scores": "Test scores",
    "confusion": "Confusion matrix",
    "curves": "ROC and precision",
    "reliability": "Reliability",
    "robustness": "Robustness",
    "gallery": "Mistakes and explanations",
    "model": "Final model",
    "exports": "Exports",
    "cost": "Cost",
    "best-trial": "Best trial",
    "search": "Search",
    "slices": "Hyperparameters one by one",
    "trials": "Trials",
    "repeated": "Trained again",
    "augmentation": "Augmentation",
    "reproduce": "Load, serve, reproduce",
}
"""Template in `templates/sections/` -> title, in the page's order. Empty ones are left out."""


@dataclasses.dataclass(frozen=True)
class Report:
    """The report of a run. A notebook displays it if it is the last value of a cell.

    Attributes:
        path: The HTML file.
    """

    path: Path

    def __repr__(self) -> str:
        return f"Report({str(self.path)!r})"

    def open(self) -> bool:
        """Open the page in the user's browser; return whether there is one."""
        return webbrowser.open(self.path.resolve().as_uri())

    def _repr_html_(self) -> str:
        try:
            page = self.path.read_text(encoding="utf-8")
        except OSError as error:
            raise StorageError(
                f"The report {self.path} cannot be read: {error.strerror}. Write it again."
            ) from error
        # A frame of its own: the page's styles stay inside, and the notebook's outside. Without
        # `allow-same-origin` its script cannot reach the notebook.
        return (
            f'<iframe srcdoc="{html.escape(page)}" sandbox="allow-scripts" title="Report" '
            f'style="width: 100%; height: {FRAME_HEIGHT}px; border: 0"></iframe>'
        )


def write_report(run_directory: str | Path, *, path: str | Path | None = None) -> Path:
    """Write the report of a run: one HTML file that needs no network and no other file.

    It reads only the run directory, and writes the same bytes for the same content. The report
    states which stages have not run yet, such as the evaluation.

    Args:
        run_directory: The run directory of a search.
        path: The file to write; `report.html` in the run directory by default.

    Returns:
        The path of the file.

    Raises:
        StorageError: if the folder is not a run directory, a file in it is damaged, or `path`
            cannot be written.
    """
    path = Path(run_directory) / REPORT if path is None else Path(path)
    page = render_page(load_run(run_directory))
    try:
        with atomic_write(path, durable=False) as temporary:
            temporary.write_text(page, encoding="utf-8", newline="\n")
    except OSError as error:
        raise StorageError(
            f"The report should go to a file that can be written. Received: {path}: {error}"
        ) from error
    return path


def render_page(run: RunSummary) -> str:
    """Return the report's HTML."""
    rendered = [(key, _title(run, key), render_section(run, key)) for key in SECTIONS]
    templates = environment()
    script = _source("script.js")
    return templates.get_template("page.html").render(
        run=run,
        lines=page_content.summary_lines(run),
        notes=page_content.notes(run),
        sections=[section for section in rendered if section[2]],
        style=_source("style.css"),
        script=script,
        script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def render_section(run: RunSummary, key: str) -> Markup:
    """Return the content of one section without its heading; empty if there is none."""
    template = environment().get_template(f"sections/{key}.html")
    return Markup(template.render(run=run, figure=functools.partial(_figure, Plots(run))).strip())


@functools.cache
def environment() -> jinja2.Environment:
    """Return the templates' environment; every value that they show is escaped for HTML.

    The functions of `formatting` and `page_content` are its filters and globals.
    """
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("kt_tuning.report"),
        autoescape=True,
        # What no HTML file may hold is replaced in values that are not markup yet.
        finalize=lambda value: value if isinstance(value, Markup) else printable(value),
        undefined=jinja2.StrictUndefined,
        extensions=["jinja2.ext.do"],
        trim_blocks=True,
        lstrip_blocks=True,
    )
    helpers = {
        name: value
        for module in (formatting, page_content)
        for name, value in vars(module).items()
        if inspect.isfunction(value)
    }
    made.filters.update(
        helpers,
        accuracy_note=accuracy_note,
        backbones_of=backbones_of,
        base64=lambda content: base64.b64encode(content).decode(),
        measurement_rows=measurement_rows,
    )
    made.globals.update(
        helpers,
        EPOCH_CAVEAT=EPOCH_CAVEAT,
        FEWEST_TRIALS=FEWEST_TRIALS,
        MOST_CLASSES_WITH_COUNTS=MOST_CLASSES_WITH_COUNTS,
        MOST_CURVES=MOST_CURVES,
        class_curves_data=class_curves_data,
        confusion_data=confusion_data,
        reliability_data=reliability_data,
        slice_names=_slice_names,
    )
    return made


def _source(name: str) -> Markup:
    """Return a file of the package that goes into the page as it is."""
    loader = environment().loader
    assert loader is not None
    return Markup(loader.get_source(environment(), name)[0])


def _title(run: RunSummary, key: str) -> str:
    if key == "scores" and run.scores is not None:
        return f"{run.scores.split.capitalize()} scores"
    if key == "model":
        return page_content.model_line(run).label
    return SECTIONS[key]


def _figure(plots: Plots, name: str, *arguments: str) -> Markup | None:
    """Return what a method of `Plots` draws; None if there is nothing to draw yet."""
    try:
        figure = getattr(plots, name)(*arguments)
    except SearchError:
        return None
    return svg_markup(figure, "-".join((name, *arguments)))


def _slice_names(run: RunSummary) -> list[str]:
    """Return the hyperparameters that vary, the most important first; none without scores."""
    try:
        every = ScoredTrials.of(run, run.search.objective, run.search.direction)
        names = every.with_score().varying()
    except SearchError:
        return []
    rank = list(every.importances()) if len(names) and len(run.trials) >= FEWEST_TRIALS else []
    return sorted(names, key=lambda name: rank.index(name) if name in rank else len(rank))
