"""Values as text, and text from users without unprintable characters.

Class names, hyperparameter names and error messages come from folders and from other people's
code. The templates and matplotlib escape them for HTML and SVG; `printable` replaces only the
characters that no XML document and no UTF-8 file may hold.
"""

from __future__ import annotations

import math
from typing import Any

from kt_tuning.core.names import printable
from kt_tuning.evaluation import Interval

_LABELS = {
    "auc": "AUC",
    "brier": "Brier score",
    "f1": "F1",
    "log_loss": "Log-loss (nats)",
    "lr": "Learning rate",
    "pr_auc": "PR AUC",
    "roc_auc": "ROC AUC",
    "top_3_accuracy": "Top-3 accuracy",
    "top_5_accuracy": "Top-5 accuracy",
}


def shorten(value: object, width: int) -> str:
    """Return `value` on one line, cut to `width` characters with an ellipsis as the last."""
    text = " ".join(printable(value).split())
    return text if len(text) <= width else text[: width - 1].rstrip() + "…"


def metric_label(name: str) -> str:
    """Return a metric's name for a heading: "val_roc_auc" is "Validation ROC AUC"."""
    base = name.removeprefix("val_")
    label = _LABELS.get(base) or printable(base).replace("_", " ").capitalize()
    return label if base == name else f"Validation {inline_label(base)}"


def number(value: float | None, digits: int = 4) -> str:
    """Return `value` rounded to `digits` decimals, or an en dash for None and not-a-number.

    Below the last decimal, and above a million, it is in scientific notation.
    """
    if value is None or not math.isfinite(value):
        return "–"
    if value != 0 and not 10.0**-digits <= abs(value) < 1e6:
        return f"{value:.{digits - 1}e}"
    return f"{value:.{digits}f}"


def ends(interval: Interval) -> str:
    """Return both ends of an interval, or why there are none; a dash for an undefined value."""
    if math.isnan(interval.value):
        return number(None)
    if math.isnan(interval.low) or math.isnan(interval.high):
        return interval.limits
    return f"{number(interval.low)} to {number(interval.high)}"


def percent(value: float) -> str:
    """Return a share of 1 as per cent with one decimal."""
    return f"{100 * value:.1f}%"


def duration(seconds: float) -> str:
    """Return seconds as "8.3 s", "4 min 10 s" or "2 h 05 min"."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def milliseconds(value: float) -> str:
    """Return "0.42 ms", "12.3 ms" or "1,234 ms": three significant digits."""
    digits = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:,.{digits}f} ms"


def large_number(value: float) -> str:
    """Return "812", "1.3 k", "24.5 M" or "3.2 G"."""
    text = f"{value:,.0f}"
    for unit in ("k", "M", "G"):
        if value < 999.95:
            break
        value /= 1e3
        text = f"{value:,.1f} {unit}"
    return text


def value_text(value: Any) -> str:
    """Return a hyperparameter's value: floats with six significant digits, the rest as they are."""
    return f"{value:.6g}" if isinstance(value, float) else printable(value)


def images_of(images: int, split: str) -> str:
    """Return how many images of which split, for "test", "validation" and "out-of-fold"."""
    if split == "out-of-fold":
        return (
            f"{images:,} training and validation images, each predicted by models that were not "
            "trained on it (out of fold)"
        )
    return f"{images:,} images of the {split} split"


def metric_value(value: float | None, name: str) -> str:
    """Return a metric's value: learning rates with three significant digits, others by `number`."""
    if value is not None and name.removeprefix("val_") in ("learning_rate", "lr"):
        return f"{value:.3g}"
    return number(value)


def inline_label(name: str) -> str:
    """Return a metric's name within a sentence: "log_loss" is "log-loss (nats)", "f1" is "F1"."""
    label = metric_label(name)
    return label if label[:2].isupper() else label[:1].lower() + label[1:]
