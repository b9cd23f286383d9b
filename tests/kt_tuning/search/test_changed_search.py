"""A run directory that is asked for again with something changed: which changes are allowed."""

import functools
import json
import shutil

import keras
import keras_tuner
import numpy as np
import pandas
import pytest
import tensorflow as tf
from striped import striped_images

from kt_tuning import ImageData, Recipe, Tuner
from kt_tuning.core.errors import StorageError
from kt_tuning.search.identity import describe_arguments

RECIPE = {"batch_size": 16, "augment": "none", "precision": "float32"}


def network(name="build", *, units=(4, 8), most=2, least_rate=0.003, **other):
    """A function that builds small models; `other` changes what is not searched."""

    def build(hp):
        model = keras.Sequential([keras.Input((8, 8, 1), dtype="uint8")])
        model.add(keras.layers.Rescaling(1 / 255))
        model.add(keras.layers.Flatten())
        chosen = hp.Choice("units", list(units), default=other.get("default")) if units else 8
        for _ in range(hp.Int("depth", 1, most)):
            model.add(keras.layers.Dense(chosen, other.get("activation", "relu")))
        if "dropout" in other:
            model.add(keras.layers.Dropout(hp.Float("dropout", 0.0, 0.5, default=other["dropout"])))
        elif "rate" in other:
            model.add(keras.layers.Dropout(other["rate"]))
        for _ in range(other.get("last", 1)):
            model.add(keras.layers.Dense(2, activation="softmax"))
        rate = hp.Float("rate", least_rate, 0.03, sampling="log", default=0.01)
        optimizer = other.get("optimizer", keras.optimizers.Adam)(rate)
        model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    build.__name__ = name
    return build


class Network(keras_tuner.HyperModel):
    def build(self, hp):
        return network()(hp)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, stripes):
    """A search that has trained one trial."""
    directory = tmp_path_factory.mktemp("finished")
    tuner = tuner_in(directory)
    tuner.search(stripes, epochs=1, verbose=False)
    # The study is whole in its file once nobody has it open.
    tuner.study._storage._backend.remove_session()
    tuner.study._storage._backend.engine.dispose()
    return directory


@pytest.fixture
def copied(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "copy")


def tuner_in(directory, hypermodel=None, *, recipe=None, **options):
    arguments = {"max_trials": 1, "epochs": 1, "strategy": "random", **options}
    return Tuner(
        hypermodel or network(),
        recipe=Recipe(**{**RECIPE, **(recipe or {})}),
        directory=directory,
        project_name="run",
        **arguments,
    )


def contents(directory):
    return {
        path.relative_to(directory): path.read_bytes() if path.is_file() else None
        for path in directory.rglob("*")
    }


REFUSED = {
    "another function": (network("other"), {}, "hypermodel: was build, now other"),
    "a class": (Network(), {}, "hypermodel: was build, now Network"),
    "partial": (
        functools.partial(lambda hp, units: network()(hp), units=8),
        {},
        "hypermodel: was build, now <lambda>",
    ),
    "fixed": (network(units=()), {}, r"units: was searched from \{4, 8\}, now not searched"),
    "fewer values": (network(units=(4,)), {}, r"units: was searched from \{4, 8\}, now .* \{4\}"),
    "other values": (network(units=(4, 9)), {}, r"units: was .*\{4, 8\}, now .*\{4, 9\}"),
    "narrower range": (
        network(least_rate=0.005),
        {},
        r"rate: was searched from 0.003 to 0.03 \(log\), now searched from 0.005 to 0.03 \(log\)",
    ),
    "other layers": (network(activation="tanh"), {}, "layer 2 .Dense.*: activation was relu"),
    "more layers": (network(rate=0.2), {}, "layer 3 was Dense, now Dropout"),
    "one layer more": (network(last=2), {}, "layer 4 was nothing, now Dense"),
    "another optimizer": (
        network(optimizer=keras.optimizers.SGD),
        {},
        "optimizer Adam, now optimizer SGD",
    ),
    "new, model changed": (network(dropout=0.1), {}, "layer 3 was Dense, now Dropout"),
    "objective": (None, {"objective": "val_loss"}, "objectives: was .*val_accuracy.*val_loss"),
    "objectives": (
        None,
        {"objective": ["val_accuracy", "parameters"]},
        "objectives: was .*now .*parameters",
    ),
    "seed": (None, {"seed": 1}, "seed: was 0, now 1"),
    "folds": (None, {"folds": 3}, "folds: was 1, now 3"),
    "executions": (None, {"executions_per_trial": 2}, "executions: was 1, now 2"),
    "limit": (None, {"max_parameters": 9999}, "limits: was {}, now .*9999"),
    "augment": (None, {"recipe": {"augment": "light"}}, "augment of the recipe: was none, now li"),
    "batch size": (None, {"recipe": {"batch_size": 8}}, "batch_size of the recipe: was 16, now 8"),
    "first size": (None, {"recipe": {"batch_size": (8, 16)}}, "batch_size of the recipe: was 16"),
    "mixup": (None, {"recipe": {"mixup": 0.2}}, "mixup of the recipe: was 0.0, now 0.2"),
    "balance": (None, {"recipe": {"balance": "weights"}}, "balance of the recipe: was none"),
    "patience": (None, {"recipe": {"patience": 3}}, "patience of the recipe: was None, now 3"),
    "precision": (None, {"recipe": {"precision": "auto"}}, "precision of the recipe: was float32"),
    "stock oracle": (
        None,
        {"strategy": keras_tuner.oracles.RandomSearchOracle("val_accuracy", seed=0)},
        "oracle: was optuna, now RandomSearchOracle",
    ),
}


@pytest.mark.parametrize("change", REFUSED)
def test_what_makes_earlier_trials_untrue_is_refused_and_named(change, copied):
    hypermodel, options, message = REFUSED[change]
    before = contents(copied)
    with pytest.raises(StorageError, match=message) as refused:
        tuner_in(copied, hypermodel, **options)
    assert contents(copied) == before
    for way in ("--out", "warm_start", "--overwrite"):
        assert way in str(refused.value)


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        ("pixels", "images: was arrays, now others in arrays"),
        ("order", "images: was arrays, now others in arrays"),
        ("split", r"other images in the splits train, validation, test \(seed, groups\)"),
        ("names", r"classes: was \('lying', 'standing'\), now \('a', 'b'\)"),
    ],
)
def test_other_images_are_refused(other, difference, copied, stripes):
    images, labels = striped_images(60, seed=1 if other == "pixels" else 0)
    if other == "order":
        images, labels = images[::-1], labels[::-1]
    names = ["a", "b"] if other == "names" else stripes.class_names
    seed = 3 if other == "split" else 0
    data = ImageData.from_arrays(images, labels, seed=seed, class_names=names)
    before = contents(copied)
    with pytest.raises(StorageError, match=f"holds a search on other data. {difference}"):
        tuner_in(copied, max_trials=2).search(data, verbose=False)
    assert contents(copied) == before


def drawn(tuner, count=25):
    """Configurations that the strategy chooses, untrained."""
    trials = [tuner.oracle.create_trial(f"seat {index}") for index in range(count)]
    return [trial.hyperparameters.values for trial in trials]


WIDER = {
    "a value more": (network(units=(4, 8, 16)), "units", lambda value: value == 16),
    "a value before": (network(units=(2, 4, 8), default=2), "units", lambda value: value == 2),
    "a longer range": (network(most=3), "depth", lambda value: value == 3),
    "a lower bound": (network(least_rate=0.0001), "rate", lambda value: value < 0.003),
}


@pytest.mark.parametrize("strategy", ["random", "auto"])
@pytest.mark.parametrize("change", WIDER)
def test_a_wider_space_is_searched_in_all_of_it(change, strategy, copied):
    hypermodel, name, is_new = WIDER[change]
    tuner = tuner_in(copied, hypermodel, strategy=strategy, max_trials=51)
    assert len(tuner.results()) == 1
    # "auto" leaves the neighbourhood of the defaults in one draw of three.
    assert any(is_new(values[name]) for values in drawn(tuner, 50))


def test_a_recipe_with_more_to_choose_from_is_searched(copied):
    tuner = tuner_in(copied, recipe={"batch_size": (16, 32)}, max_trials=26)
    assert {values["batch_size"] for values in drawn(tuner)} == {16, 32}


def test_a_new_hyperparameter_is_searched_if_its_default_is_what_there_was(tmp_path, stripes):
    first = tuner_in(tmp_path, network(rate=0.25))
    first.search(stripes, verbose=False)
    tuner = tuner_in(tmp_path, network(dropout=0.25), max_trials=11)
    assert len({values["dropout"] for values in drawn(tuner, 10)}) == 10


def test_changed_code_with_the_same_default_model_is_said_once(copied, stripes, caplog):
    def changed(hp):
        if hp.values.get("depth", 1) > 1:  # in no build until now
            raise ValueError
        return network()(hp)

    changed.__name__ = "build"
    tuner = tuner_in(copied, changed)
    assert "results of 1 trial so far are those of the former code" in caplog.text
    caplog.clear()
    tuner.search(stripes, epochs=1, verbose=False)
    tuner_in(copied, changed)
    assert "former code" not in caplog.text


ALLOWED = {
    "more trials": {"max_trials": 2},
    "epochs": {"max_trials": 2, "epochs": 2},
    "strategy": {"max_trials": 2, "strategy": "tpe"},
    "pruner": {"max_trials": 2, "pruner": "median"},
    "tracker": {"max_trials": 2, "tracker": "csv"},
    "a wider space": {"max_trials": 2, "hypermodel": network(units=(4, 8, 16))},
}


@pytest.mark.parametrize("change", ALLOWED)
def test_what_leaves_earlier_trials_true_is_allowed_and_goes_on(change, copied, stripes):
    options = ALLOWED[change]
    first = (copied / "run" / "trial_0" / "result.json").read_bytes()
    tuner = tuner_in(copied, **options)
    if change == "a wider space":
        tuner.enqueue({"units": 16})
    tuner.search(stripes, verbose=False)
    assert (copied / "run" / "trial_0" / "result.json").read_bytes() == first
    assert list(tuner.results()["number"]) == [0, 1]
    if change == "a wider space":
        assert list(tuner.results()["hp/units"]) == [4, 16]
        # What may be chosen now is kept: less is a difference from now on.
        with pytest.raises(StorageError, match="units"):
            tuner_in(copied)
        assert len(tuner_in(copied, **options).get_best_models(2)) == 2


def test_a_run_without_a_definition_is_refused(copied):
    (copied / "run" / "definition.json").unlink()
    with pytest.raises(StorageError, match=r"without definition\.json, of an earlier version"):
        tuner_in(copied)


def test_weights_of_another_model_are_one_clear_error(copied):
    # As of a build that reads what it builds from a file: its definition is the same.
    tuner = tuner_in(copied)
    weights = copied / "run" / "trial_0" / "model.weights.h5"
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save_weights(weights)
    with pytest.raises(StorageError, match="do not fit the model of 270 param") as refused:
        tuner.get_best_models(1)
    assert len(str(refused.value)) < 500
    assert refused.value.__cause__ is None


def test_a_counter_of_a_hypermodel_is_no_difference(tmp_path, stripes):
    class Counting(Network):
        def __init__(self):
            super().__init__()
            self.builds = 0

        def build(self, hp):
            self.builds += 1
            return super().build(hp)

    counting = Counting()
    tuner_in(tmp_path, counting).search(stripes, verbose=False)
    assert len(tuner_in(tmp_path, counting).results()) == 1


def test_a_run_without_any_trial_is_asked_for_anew(tmp_path):
    assert tuner_in(tmp_path).study.trials == []
    other = tuner_in(tmp_path, network("other"), objective="val_loss", seed=2)
    assert other.oracle.create_trial("seat").status == "RUNNING"


def test_arrays_are_known_again(tmp_path):
    images, labels = striped_images(24)
    given = {"x": images, "y": labels, "validation_data": (images, labels)}
    tuner_in(tmp_path).search(**given, verbose=False)
    before = json.loads((tmp_path / "run" / "definition.json").read_text())["data"]
    again = tuner_in(tmp_path, max_trials=2)
    with pytest.raises(StorageError, match="y of the data: was"):
        again.search(**{**given, "y": 1 - labels}, verbose=False)
    again.search(**given, verbose=False)
    assert json.loads((tmp_path / "run" / "definition.json").read_text())["data"] == before
    assert np.array_equal(again.results()["number"], [0, 1])


def test_arguments_of_fit_that_change_the_training_are_compared():
    def described(**arguments):
        return describe_arguments(arguments)

    images = np.arange(6.0)
    assert described(class_weight={0: 1.0, 1: 2.0}) != described(class_weight={0: 1.0, 1: 9.0})
    assert described(class_weight={0: 1.0}) == {"class_weight": "{0: 1.0}"}
    tensor = keras.ops.convert_to_tensor
    assert described(x=tensor(images)) != described(x=tensor(images + 1))
    assert described(x=pandas.DataFrame(images)) != described(x=pandas.DataFrame(images + 1))
    slices = tf.data.Dataset.from_tensor_slices(images)
    assert described(x=slices) == described(x=slices.shuffle(9))
    assert described(x=slices) != described(x=slices.take(5))
    assert described(x=slices) != described(x=slices.batch(1))
    days = images.astype("datetime64[D]")  # has no buffer
    assert described(x=days) == described(x=days.copy())
    assert len(described(x=list(range(1000)))["x"]) < 200
