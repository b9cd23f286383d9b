"""What augmentation gains: the default ConvNet with each policy, and with a policy from a search.

Each training has 4,000 training images, and 1,000 to choose its best epoch; the accuracies on all
test images are compared, as means over the seeds. A search has ten minutes to find a policy for the
same model, and the best one is trained with each seed as well. It starts without augmentation,
since the default start of a search for policies was chosen by this table and would count twice. For
comparison: a beginner's network and a KerasTuner search around it (see `_beginner.py`), each with
the seconds of the median training of its seed.

    python benchmarks/policies.py --folder cifar10/ --out policies.jsonl
    python benchmarks/policies.py --folder cifar10/ --policies none standard --search-minutes 0

`--folder` holds train/<class>/*.jpg and test/<class>/*.jpg, such as CIFAR-10; without it, and with
`--quick`, the handwritten digits of scikit-learn are used. The last line is one JSON
object.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import _beginner
import _image_sets
import keras
import keras_tuner

import kt_tuning as ktt
from hypermodels import ConvNet
from kt_tuning.augment import Policy
from kt_tuning.augment.policy import MOST_OPERATIONS

IMAGES = 5000
EPOCHS = 30
POLICIES = ("none", "light", "standard", "trivial", "randaugment")


class DefaultConvNet(keras_tuner.HyperModel):
    """The default ConvNet: nothing of it is searched."""

    def __init__(self, data: ktt.ImageData) -> None:
        super().__init__()
        self._net = ConvNet(data.input_shape, data.classes)

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """The default model."""
        return self._net.build(keras_tuner.HyperParameters())

    def fit(self, hp: keras_tuner.HyperParameters, model: Any, *args: Any, **kwargs: Any) -> Any:
        """Train it with its own schedule."""
        return self._net.fit(hp, model, *args, **kwargs)


def images(folder: str | None) -> ktt.ImageData:
    """CIFAR-10 with a limited training set, or digits."""
    if folder is not None:
        return ktt.load_images(folder, progress=False).limit(IMAGES, seed=0)
    return _image_sets.digits()


def train(
    data: ktt.ImageData, policies: dict[str, str | Policy], seed: int, options: argparse.Namespace
) -> list[dict[str, Any]]:
    """Train the default model with each policy; score it on the test images."""
    rows = []
    with tempfile.TemporaryDirectory() as directory:
        for name, policy in policies.items():
            tuner = ktt.Tuner(
                DefaultConvNet(data),
                recipe=ktt.Recipe(augment=policy),
                max_trials=1,
                epochs=options.epochs,
                seed=seed,
                directory=directory,
                project_name=name,
            )
            tuner.search(data, verbose=False)
            scores = ktt.evaluate(tuner.best_model(), data.test)
            row = tuner.results().iloc[0]
            rows.append(
                {
                    "policy": name,
                    "seed": seed,
                    "test_accuracy": round(float(scores["accuracy"]), 4),
                    "val_accuracy": round(float(row["val_accuracy"]), 4),
                    "seconds": round(float(row["seconds"]), 1),
                }
            )
            note(rows[-1], options)
    seconds = statistics.median(row["seconds"] for row in rows)
    for row in _beginner.measure(options.beginner, data, seconds, seed):
        rows.append({"policy": row.pop("name"), **row})
        note(rows[-1], options)
    return rows


def note(row: dict[str, Any], options: argparse.Namespace) -> None:
    """Print a result, and keep it."""
    print(json.dumps(row), flush=True)
    if options.out:
        with options.out.open("a") as file:
            file.write(json.dumps(row) + "\n")


def unaugmented_start() -> keras_tuner.HyperParameters:
    """Return a space of policies whose defaults change nothing; what is left out is as usual."""
    space = keras_tuner.HyperParameters()
    space.Boolean("augment_flip", default=False)
    space.Float("augment_shift", 0.0, 0.25, step=0.0625, default=0.0)
    space.Int("augment_operations", 0, MOST_OPERATIONS, default=0)
    return space


def searched(data: ktt.ImageData, options: argparse.Namespace) -> Policy:
    """The best policy that a search of so many minutes finds."""
    with tempfile.TemporaryDirectory() as directory:
        recipe = ktt.Recipe(augment="search")
        tuner = ktt.Tuner(
            DefaultConvNet(data),
            recipe=recipe,
            hyperparameters=unaugmented_start(),
            max_trials=None,
            epochs=options.epochs,
            directory=directory,
        )
        tuner.search(data, time_limit=60 * options.search_minutes, workers="auto", verbose=False)
        best = recipe.plan(tuner.get_best_hyperparameters()[0].values).policy
        results = tuner.results().sort_values("number")
        columns = {name: name.removeprefix("hp/") for name in results if name.startswith("hp/")}
        first = results.rename(columns=columns)[list(columns.values())].iloc[0].dropna()
        started = recipe.plan(first.to_dict()).policy
    assert not started.steps, f"The search started with a policy: {started}"
    print(json.dumps({"searched": best.to_json(), "trials": len(results)}), flush=True)
    return best


def main() -> None:
    """Train, and print a table and the JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", help="images, e.g. CIFAR-10")
    parser.add_argument("--policies", nargs="*", default=list(POLICIES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--search-minutes", type=float, default=10.0, help="0: no search")
    _beginner.add_option(parser)
    parser.add_argument("--out", type=Path, help="file that gets a line of JSON a training")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if options.quick:
        options.folder, options.policies = None, ["none", "text"]
        options.seeds, options.epochs, options.search_minutes = [0], 3, 0.2
        options.beginner = options.beginner[:1]
    data = images(options.folder)
    policies: dict[str, str | Policy] = {name: name for name in options.policies}
    if options.search_minutes:
        policies["searched"] = searched(data, options)
    rows = [row for seed in options.seeds for row in train(data, policies, seed, options)]
    accuracy = {
        name: [row["test_accuracy"] for row in rows if row["policy"] == name]
        for name in (*policies, *options.beginner)
    }
    means = {name: statistics.mean(values) for name, values in accuracy.items()}
    print(f"{'policy':40}{'test accuracy':>15}   seed by seed")
    for name in sorted(means, key=means.__getitem__):
        print(f"{name:40}{means[name]:15.1%}   {', '.join(f'{v:.1%}' for v in accuracy[name])}")
    print(json.dumps({"epochs": options.epochs, "means": means, "runs": rows}))


if __name__ == "__main__":
    main()
