"""What augmentation gains: the default ConvNet with each policy, and with one that was searched.

Each training has 4,000 images to learn from and 1,000 to choose its best epoch by; what is compared
is the accuracy on all test images, as means over the seeds. Then a search has ten minutes to find
a policy for the same model, and the best one is trained with each seed as well.

    python benchmarks/policies.py --folder cifar10/ --out policies.jsonl
    python benchmarks/policies.py --folder cifar10/ --policies none standard --search-minutes 0

`--folder` holds train/<class>/*.jpg and test/<class>/*.jpg, such as CIFAR-10; without it, and with
`--quick`, handwritten digits that come with scikit-learn are taken. The last line is one JSON
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

import keras
import keras_tuner

import kt_tuning as ktt
from hypermodels import ConvNet
from kt_tuning.augment import Policy

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
    from sklearn.datasets import load_digits

    digits = load_digits()
    return ktt.ImageData.from_arrays(digits.images, digits.target, value_range=(0, 16), seed=0)


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
            print(json.dumps(rows[-1]), flush=True)
            if options.out:
                with options.out.open("a") as file:
                    file.write(json.dumps(rows[-1]) + "\n")
    return rows


def searched(data: ktt.ImageData, options: argparse.Namespace) -> Policy:
    """The best policy that a search of so many minutes finds."""
    with tempfile.TemporaryDirectory() as directory:
        recipe = ktt.Recipe(augment="search")
        tuner = ktt.Tuner(
            DefaultConvNet(data),
            recipe=recipe,
            max_trials=None,
            epochs=options.epochs,
            directory=directory,
        )
        tuner.search(data, time_limit=60 * options.search_minutes, workers="auto", verbose=False)
        best = recipe.plan(tuner.get_best_hyperparameters()[0].values).policy
    print(json.dumps({"searched": best.to_json(), "trials": len(tuner.results())}), flush=True)
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
    parser.add_argument("--out", type=Path, help="file that gets a line of JSON a training")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if options.quick:
        options.folder, options.policies = None, ["none", "text"]
        options.seeds, options.epochs, options.search_minutes = [0], 3, 0.2
    data = images(options.folder)
    policies: dict[str, str | Policy] = {name: name for name in options.policies}
    if options.search_minutes:
        policies["searched"] = searched(data, options)
    rows = [row for seed in options.seeds for row in train(data, policies, seed, options)]
    accuracy = {
        name: [row["test_accuracy"] for row in rows if row["policy"] == name] for name in policies
    }
    means = {name: statistics.mean(values) for name, values in accuracy.items()}
    print(f"{'policy':16}{'test accuracy':>15}   seed by seed")
    for name in sorted(means, key=means.__getitem__):
        print(f"{name:16}{means[name]:15.1%}   {', '.join(f'{v:.1%}' for v in accuracy[name])}")
    print(json.dumps({"epochs": options.epochs, "means": means, "runs": rows}))


if __name__ == "__main__":
    main()
