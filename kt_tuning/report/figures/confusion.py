"""The confusion matrix: how often each class is predicted as each class."""

from __future__ import annotations

import dataclasses

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from kt_tuning.core.errors import SearchError, StorageError
from kt_tuning.core.names import printable
from kt_tuning.report.figures.scored_trials import RunFigures
from kt_tuning.report.figures.style import (
    CORRECT,
    FONT_SIZE,
    INK,
    MISTAKEN,
    MUTED,
    ON_CELL,
    RULE,
    ReportFigure,
    default_style,
    new_figure,
)
from kt_tuning.report.formatting import images_of, percent, shorten
from kt_tuning.report.run_summary import CountArray, FloatArray, RunSummary

# Above this the numbers would be too small to read; the colours remain.
MOST_CLASSES_WITH_COUNTS = 20
LABEL_LENGTH = 16


@dataclasses.dataclass(frozen=True)
class ConfusionData:
    """Image counts by true and predicted class.

    Attributes:
        split: The split that was counted: "test", "validation" or "out-of-fold".
        counts: (classes, classes) images, true class by row and predicted class by column.
        class_names: Names by label.
    """

    split: str
    counts: CountArray
    class_names: tuple[str, ...]

    def __post_init__(self) -> None:
        expected = (len(self.class_names), len(self.class_names))
        if self.counts.shape != expected:
            raise StorageError(
                f"The confusion matrix of the {self.split} split should have one row and one "
                f"column per class, {expected}. Received shape: {self.counts.shape}."
            )

    @property
    def images(self) -> int:
        """Number of images."""
        return int(self.counts.sum())

    @property
    def accuracy(self) -> float:
        """Share of images on the diagonal."""
        return float(np.trace(self.counts) / max(self.counts.sum(), 1))

    @property
    def shares(self) -> FloatArray:
        """(classes, classes) each row as shares of its images; zeros where a class has none."""
        return self.counts / np.maximum(self.counts.sum(axis=1, keepdims=True), 1)

    def largest_mistakes(self, most: int) -> list[tuple[int, int]]:
        """Return up to `most` (true, predicted) labels, the most frequent mistake first."""
        mistakes = self.counts * (1 - np.eye(len(self.counts), dtype=np.int64))
        order = np.argsort(-mistakes, axis=None, kind="stable")[:most]
        rows, columns = np.unravel_index(order, mistakes.shape)
        pairs = zip(rows.tolist(), columns.tolist(), strict=True)
        return [(row, column) for row, column in pairs if mistakes[row, column] > 0]

    @property
    def description(self) -> str:
        """The figure in words, for readers who do not see it."""
        names = [printable(name) for name in self.class_names]
        worst = "".join(
            f" The most frequent mistake: {names[row]} predicted as {names[column]}, "
            f"{self.counts[row, column]} of {self.counts[row].sum()}."
            for row, column in self.largest_mistakes(1)
        )
        return (
            f"Confusion matrix of {len(names)} classes on "
            f"{images_of(int(self.counts.sum()), self.split)}: {percent(self.accuracy)} of them "
            f"are on the diagonal.{worst}"
        )


def confusion_data(run: RunSummary) -> ConfusionData | None:
    """Return the confusion matrix of the test split, or of validation before evaluation.

    None if neither was measured.
    """
    if run.scores is not None:
        counts = np.array(run.scores.confusion, dtype=np.int64)
        return ConfusionData(run.scores.split, counts, run.scores.class_names)
    if run.validation_confusion is not None and run.data is not None:
        return ConfusionData(run.validation_kind, run.validation_confusion, run.data.class_names)
    return None


class ConfusionFigure(RunFigures):
    """The figure of the confusion matrix."""

    @default_style()
    def confusion(self) -> ReportFigure:
        """Draw the confusion matrix of the test split or, before the evaluation, of validation.

        Blue cells are correct predictions, orange ones errors; for up to 20 classes the cells show
        the numbers of images.
        """
        run = self._run
        data = confusion_data(run)
        if data is None:
            raise SearchError(
                "A confusion matrix needs scores.json or the best trial's val_predictions.npy. "
                "Received: a run with neither. Let a trial finish first."
            )
        classes = len(data.class_names)
        # In CSS pixels, so that the matrix is easily read.
        width = max(320, 120 + (36 if classes <= MOST_CLASSES_WITH_COUNTS else 12) * classes)
        figure = new_figure(width, width)
        _draw_cells(figure.axes[0], data)
        figure.description = data.description
        return figure


def _draw_cells(axes: Axes, data: ConfusionData) -> None:
    shares = data.shares
    classes = len(shares)
    diagonal = np.eye(classes, dtype=bool)
    cells = np.zeros((classes, classes, 4))
    cells[..., :3] = np.where(diagonal[..., None], to_rgb(CORRECT), to_rgb(MISTAKEN))
    # The square root lets a mistake of one in a hundred be seen beside the diagonal.
    cells[..., 3] = np.where(diagonal, shares, np.sqrt(shares))
    axes.imshow(cells, interpolation="none", aspect="equal")
    if classes <= MOST_CLASSES_WITH_COUNTS:
        for row, column in np.argwhere(data.counts > 0):
            axes.text(
                column,
                row,
                f"{data.counts[row, column]}",
                ha="center",
                va="center_baseline",
                fontsize=FONT_SIZE,
                color=ON_CELL if cells[row, column, 3] > 0.9 else INK,
            )
    labels = [shorten(name, LABEL_LENGTH) for name in data.class_names]
    axes.set_yticks(range(classes), labels, parse_math=False)
    axes.set_xticks(
        range(classes),
        labels,
        parse_math=False,
        rotation=90 if classes > MOST_CLASSES_WITH_COUNTS else 45,
        rotation_mode="anchor",
        ha="left",
        va="center",
    )
    axes.tick_params(length=0, labelsize=FONT_SIZE if classes <= 40 else 0.8 * FONT_SIZE)
    axes.tick_params(axis="x", top=True, labeltop=True, bottom=False, labelbottom=False)
    axes.grid(visible=False)
    axes.spines[:].set_visible(True)
    axes.spines[:].set_color(RULE)
    axes.set_ylabel("True class", fontsize=FONT_SIZE, color=MUTED, rotation_mode="anchor")
    axes.set_xlabel("Predicted class", fontsize=FONT_SIZE, color=MUTED)
    axes.xaxis.set_label_position("top")
