"""What won: its hyperparameters, and how it was trained."""

from __future__ import annotations

import functools
from xml.etree.ElementTree import Element

from kt_tuning.records import TrialRecord, backbones_of
from kt_tuning.report.figures import curves_data, draw_curves, draw_losses, loss_data
from kt_tuning.report.figures.learning_curves import HEIGHT, WIDTH
from kt_tuning.report.formatting import value_text
from kt_tuning.report.html import cell, element, table
from kt_tuning.report.run_summary import RunSummary
from kt_tuning.report.sections.blocks import drawn, section


def winner_section(run: RunSummary) -> Element | None:
    """Return learning curves and the winner's values; None if no trial has a score."""
    if not run.members:
        return None
    return section(
        "winner",
        "Winner",
        *_curves(run),
        element("h3", "Hyperparameters"),
        _values(run),
        *_backbones(run),
    )


def _curves(run: RunSummary) -> list[Element]:
    """Each axes is a figure of its own, so that a narrow window puts one below the other."""
    curves, losses = curves_data(run), loss_data(run)
    blocks = []
    if curves.curves:
        draw = functools.partial(draw_curves, data=curves)
        blocks.append(drawn(draw, (WIDTH, HEIGHT), "curves", curves.description))
    if losses is not None:
        draw = functools.partial(draw_losses, data=losses)
        blocks.append(drawn(draw, (WIDTH, HEIGHT), "losses", losses.description))
    return [element("div", *blocks, class_="pair")] if blocks else []


def _backbones(run: RunSummary) -> list[Element]:
    """Where the pre-trained networks inside the members come from; nothing if there are none."""
    header = ("Name", "Licence", "Trained on", "Source", "Digest")
    keys = ("licence", "data", "source", "digest")
    rows = [
        element(
            "tr",
            cell(origin.get("name") or "", class_="name"),
            *(cell(origin.get(key) or "not known") for key in keys),
            cell(", ".join(f"Trial {trial.number}" for trial in users)),
        )
        for origin, users in backbones_of(_trials(run))
    ]
    if not rows:
        return []
    return [element("h3", "Pre-trained networks"), table([*header, "Used by"], rows)]


def _trials(run: RunSummary) -> list[TrialRecord]:
    return [trial.record for trial, weight in run.members if weight > 0]


def _values(run: RunSummary) -> Element:
    """A row a hyperparameter, a column a member; a dash where it is not active."""
    trials = _trials(run)
    names = dict.fromkeys(name for trial in trials for name in trial.values)
    rows = [
        element(
            "tr",
            cell(name, class_="name"),
            *(
                cell(value_text(trial.values[name]) if name in trial.values else "–")
                for trial in trials
            ),
        )
        for name in names
    ]
    return table(["Name", *(f"Trial {trial.number}" for trial in trials)], rows)
