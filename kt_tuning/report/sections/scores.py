"""How good the winner is on images that the search never saw, and what it mistakes for what."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from kt_tuning.evaluation import Interval, Scores
from kt_tuning.report.figures import confusion_data, plot_confusion
from kt_tuning.report.figures.confusion import MOST_CLASSES_WITH_COUNTS, ConfusionData
from kt_tuning.report.formatting import ends, images_of, metric_label, number, percent, shorten
from kt_tuning.report.html import cell, element, table
from kt_tuning.report.run_summary import RunSummary
from kt_tuning.report.sections.blocks import figure_block, not_measured, quiet, section

MOST_MISTAKES = 8
NAME_LENGTH = 40


def scores_section(run: RunSummary) -> Element:
    """Return the table of scores with their intervals, and what is lost from split to split."""
    scores = run.scores
    if scores is None:
        return section(
            "scores",
            "Test scores",
            element(
                "p",
                "Not measured yet. ",
                element("code", "kt-tuning evaluate"),
                ", or ",
                element("code", "tuner.evaluate()"),
                " in Python, opens the test split once and writes them; then make this report "
                "again.",
            ),
        )
    rows = [
        element(
            "tr",
            cell(metric_label(name)),
            cell(number(metric.value), class_="number"),
            cell(ends(metric), class_="number"),
        )
        for name, metric in scores.metrics.items()
    ]
    return section(
        "scores",
        f"{scores.split.capitalize()} scores",
        element("p", f"The winner on the {scores.images:,} images of the {scores.split} split."),
        table(["Metric", "Value", "95% interval"], rows),
        *_generalization(scores),
    )


def _generalization(scores: Scores) -> list[Element]:
    title = element("h3", "From training to test")
    found = scores.generalization
    if found is None:
        return [title, not_measured("What is lost on the way is")]
    names = list(next(iter(found.scores.values())))
    told = (
        "Train to validation is what was learnt by heart, validation to test what the search has "
        "fitted to the validation images; with 95% intervals."
    )
    if "validation" not in found.scores:
        told = (
            "The models were trained on the training and the validation images; with 95% intervals."
        )
    if "out-of-fold" in found.scores:
        told += (
            " Out of fold is what the models of one fold, not all, say of the images that they "
            "were not trained on."
        )
    rows = [_split_row(split.capitalize(), found.scores[split], names) for split in found.scores]
    rows += [_split_row(f"Worse, {gap}", found.gaps[gap], names) for gap in found.gaps]
    return [
        title,
        quiet(told),
        table(["Split", *map(metric_label, names)], rows),
    ]


def _split_row(title: str, measured: dict[str, Interval], metrics: list[str]) -> Element:
    cells = [f"{number(measured[name].value)} ({ends(measured[name])})" for name in metrics]
    return element("tr", cell(title), *(cell(text, class_="number") for text in cells))


def confusion_section(run: RunSummary) -> Element | None:
    """Return the confusion matrix and the most frequent mistakes; None before any prediction."""
    data = confusion_data(run)
    if data is None:
        return None
    few = len(data.class_names) <= MOST_CLASSES_WITH_COUNTS
    numbers = "numbers are images" if few else "the most frequent mistakes are counted below"
    matrix = figure_block(
        plot_confusion(run),
        "confusion",
        data.description,
        f"A row a true class, a column a predicted class. Blue is right, orange is mistaken, the "
        f"stronger the larger its share of the row; {numbers}.",
        keep_size=True,
    )
    return section(
        "confusion",
        "Confusion matrix",
        element("p", f"Of the {images_of(int(data.counts.sum()), data.split)}."),
        element("div", matrix, _mistakes(data), class_="split" if few else ""),
    )


def _mistakes(data: ConfusionData) -> Element:
    names = [shorten(name, NAME_LENGTH) for name in data.class_names]
    rows = [
        element(
            "tr",
            cell(names[row], class_="text"),
            cell(names[column], class_="text"),
            cell(f"{data.counts[row, column]:,}", class_="number"),
            cell(percent(data.shares[row, column]), class_="number"),
        )
        for row, column in data.largest_mistakes(MOST_MISTAKES)
    ]
    title = element("h3", "Most frequent mistakes")
    if not rows:
        return element("div", title, element("p", "None.", class_="quiet"))
    return element("div", title, table(["True", "Taken for", "Images", "Share"], rows))
