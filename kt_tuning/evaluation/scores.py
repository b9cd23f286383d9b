"""The result of `evaluate`: the record, and its representations."""

from __future__ import annotations

import dataclasses
import html
from typing import ClassVar

from kt_tuning.core.errors import OptionError
from kt_tuning.core.json_record import Record
from kt_tuning.evaluation.cost import Cost
from kt_tuning.evaluation.diagnostics import ClassCurves, Mistake, Reliability
from kt_tuning.evaluation.generalization import Generalization
from kt_tuning.evaluation.intervals import Interval
from kt_tuning.evaluation.robustness import Robustness

SHOWN = ("accuracy", "log_loss")
"""Metrics in the representation of scores on one line."""


@dataclasses.dataclass(frozen=True)
class Scores(Record):
    """Metrics, size and speed of a model; the content of `scores.json`.

    `scores["accuracy"]` is the value without its interval.

    Attributes:
        metrics: The metrics of `METRICS` that are meaningful for C classes, by name.
        confusion: (C, C) counts; rows are true classes, columns predicted classes.
        class_names: (C,) names by label.
        images: Number of images.
        parameters: Number of scalars in the model's weights; None if it is not known.
        latency_ms: Milliseconds for one image: the percentiles "p50", "p95" and "p99".
        split: Name of the evaluated split.
        curves: ROC and precision-recall curve of each class.
        mistakes: The wrongly classified images of highest log-loss, the worst first.
        reliability: Accuracy by confidence; None in older records.
        model: Digest of the model, see `model_digest`; None if it is not known.
        cost: Result of `measure_cost`, if it was measured.
        robustness: Result of `robustness`, if it was measured.
        generalization: Result of `generalization`, if it was measured.
    """

    way_on: ClassVar[str] = "`kt-tuning evaluate`, or in Python `tuner.evaluate()`, writes it."

    metrics: dict[str, Interval]
    confusion: list[list[int]]
    class_names: tuple[str, ...]
    images: int
    parameters: int | None
    latency_ms: dict[str, float]
    split: str = "test"
    curves: tuple[ClassCurves, ...] = ()
    mistakes: tuple[Mistake, ...] = ()
    reliability: Reliability | None = None
    model: str | None = None
    cost: Cost | None = None
    robustness: Robustness | None = None
    generalization: Generalization | None = None

    def __getitem__(self, name: str) -> float:
        if name not in self.metrics:
            known = ", ".join(self.metrics)
            raise OptionError(f"No metric is called {name!r}. Measured: {known}.")
        return self.metrics[name].value

    def completed_by(self, other: Scores) -> Scores:
        """Return these scores, with missing parts taken from earlier scores of the same model.

        Scores of another or an unknown model are ignored.
        """
        if self.model is None or self.model != other.model:
            return self
        table = self.robustness
        return dataclasses.replace(
            self,
            cost=self.cost or other.cost,
            robustness=other.robustness if table is None else table.completed_by(other.robustness),
            generalization=self.generalization or other.generalization,
        )

    def __repr__(self) -> str:
        shown = ", ".join(
            f"{name} {item.value:.4f} ({item.limits})"
            for name, item in self.metrics.items()
            if name in SHOWN
        )
        return f"Scores({self._title()}: {shown})"

    def __str__(self) -> str:
        width = max(len(name) for name in (*self.metrics, "parameters"))
        lines = [self._title(), f"{'metric':<{width}}    value  95% interval"]
        lines += [f"{name:<{width}}  {interval}" for name, interval in self.metrics.items()]
        lines += [f"{name:<{width}}   {fact}" for name, fact in self._facts().items()]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """Show as a table in a notebook."""
        rows = [
            f"<tr><th>{html.escape(name)}</th><td>{item.value:.4f}</td><td>{item.limits}</td></tr>"
            for name, item in self.metrics.items()
        ]
        rows += [
            f'<tr><th>{name}</th><td colspan="2">{fact}</td></tr>'
            for name, fact in self._facts().items()
        ]
        return (
            f"<table><caption>{html.escape(self._title())}</caption>"
            "<thead><tr><th>metric</th><th>value</th><th>95% interval</th></tr></thead>"
            f"<tbody>{''.join(rows)}</tbody></table>"
        )

    def _title(self) -> str:
        return f"{self.split}: {self.images:,} images, {len(self.class_names)} classes"

    def _facts(self) -> dict[str, str]:
        parameters = "unknown" if self.parameters is None else f"{self.parameters:,}"
        latencies = ", ".join(f"{ms:.2f} ms ({name})" for name, ms in self.latency_ms.items())
        facts = {"parameters": parameters, "latency": f"{latencies} for one image"}
        if self.cost is not None:
            best = self.cost.throughput
            facts["throughput"] = (
                f"{best.images_per_second:,.0f} images/s in batches of {best.batch_size}"
            )
        if self.cost is not None and self.cost.multiply_adds is not None:
            facts["arithmetic"] = f"{self.cost.multiply_adds / 1e6:,.1f} M multiply-adds per image"
        if self.robustness is not None and self.robustness.corrupted:
            corrupted = self.robustness.mean()
            facts["robustness"] = f"{self.robustness.metric} {corrupted:.4f} on corrupted images"
        if self.reliability is not None:
            error = self.reliability.expected_error
            facts["confidence"] = f"expected calibration error {error:.4f}"
        return facts
