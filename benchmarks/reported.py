"""Whether the scores that a search reports are those of the models that it returns.

20 configurations of small models on 120 validation images, trained in float32 and in bfloat16, with
pruning: each trial's `val_` metrics in `tuner.results()` are compared with the same metrics of its
model from `get_best_models`, predicted in batches of 256 as everywhere in kt-tuning. The difference
should be exactly 0. For comparison: the difference with batches of 32, the default of
`keras.Model.predict`, where floats are added in another order; and the difference to the same epoch
of the learning curve, which is measured in the precision of the training. `--quick` runs 4
configurations.

The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

import kt_tuning as ktt
from hypermodels import ConvNet, Families, ResNet
from kt_tuning.evaluation import METRICS, score
from kt_tuning.evaluation.predict import BATCH_SIZE

PRECISIONS = ("float32", "mixed_bfloat16")
SHAPE = (24, 24, 3)


def images() -> ktt.ImageData:
    """600 noisy images of three shades that overlap."""
    rng = np.random.default_rng(0)
    labels = np.arange(600) % 3
    shades = labels[:, None, None, None] * 12
    pixels = rng.integers(0, 120, (600, *SHAPE)) + shades
    return ktt.ImageData.from_arrays(pixels.astype("uint8"), labels)


def measure(data: ktt.ImageData, precision: str, trials: int) -> dict[str, Any]:
    """Search, and compare what is reported with what is returned."""
    members = {
        "convnet": ConvNet(SHAPE, 3, stages=2, filters=8),
        "resnet": ResNet(SHAPE, 3, stages=2, filters=8),
    }
    images, labels = data.validation.take(np.arange(len(data.validation))), data.validation.labels
    with tempfile.TemporaryDirectory() as folder:
        recipe = ktt.Recipe(precision=precision, batch_size=(16, 32))
        tuner = ktt.Tuner(
            Families(members), max_trials=trials, epochs=4, recipe=recipe, directory=folder
        )
        tuner.search(data, verbose=False)
        results = tuner.results()
        usable = results[results["status"].isin(["COMPLETED", "PRUNED"])]
        order = usable.sort_values("val_accuracy", ascending=False, kind="stable")
        curves = tuner.history()
        models = tuner.get_best_models(len(order))
    differences, of_batches, curve = [], [], []
    for (trial, reported), model in zip(order.iterrows(), models, strict=True):
        names = [name for name in METRICS if f"val_{name}" in reported]
        returned, keras_default = (
            _measured(labels, model.predict(images, batch_size=size, verbose=0), names)
            for size in (BATCH_SIZE, 32)
        )
        differences += [abs(reported[name] - value) for name, value in returned.items()]
        of_batches += [abs(keras_default[name] - value) for name, value in returned.items()]
        at_best = (curves["trial_id"].astype(str) == trial) & (
            curves["epoch"] == reported["best_epoch"]
        )
        epoch = curves[at_best].iloc[0]
        curve += [abs(epoch[name] - returned[name]) for name in ("val_loss", "val_accuracy")]
    return {
        "precision": precision,
        "trials": len(results),
        "compared": len(models),
        "metrics": len(returned),
        "difference": max(differences),
        "of_batches_of_32": max(of_batches),
        "of_the_curve": max(curve),
    }


def _measured(labels: Any, predictions: Any, names: list[str]) -> dict[str, float]:
    found = score(labels, predictions, ["log_loss", *names])
    return {"val_loss": found.pop("log_loss")} | {f"val_{name}": found[name] for name in names}


def main() -> int:
    """Measure and print; the exit status says whether the claim holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    data, rows = images(), []
    print(
        f"{'trained in':16}{'trials':>8}{'metrics':>9}{'reported - returned':>22}"
        f"{'batches of 32':>16}{'curve':>10}"
    )
    for precision in PRECISIONS:
        row = measure(data, precision, 4 if arguments.quick else 20)
        rows.append(row)
        print(
            f"{precision:16}{row['compared']:8}{row['metrics']:9}{row['difference']:22.3g}"
            f"{row['of_batches_of_32']:16.2g}{row['of_the_curve']:10.3g}"
        )
    worst = max(row["difference"] for row in rows)
    print(json.dumps({"quick": arguments.quick, "worst": worst, "target": 0.0, "rows": rows}))
    return int(worst > 0)


if __name__ == "__main__":
    sys.exit(main())
