"""Wrong arguments are refused before anything is trained or written."""

import keras
import keras_tuner
import numpy as np
import optuna
import pytest
from tiny_models import tiny

import kt_tuning as kt
from hypermodels import ConvNet
from kt_tuning.core.errors import KtTuningError, OptionError, StorageError
from kt_tuning.trials import ImageTask

X, Y = np.zeros((6, 8, 8, 1), np.uint8), np.arange(6) % 2


@pytest.fixture(autouse=True)
def _nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    # What a test put there itself: a file or a folder in the way.
    assert {path.name for path in tmp_path.iterdir()} <= {"run"}
    assert not list(tmp_path.glob("run/*.db"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"loss": "nonsense"}, "`loss` should be one that Keras knows"),
        ({"loss": 3}, "`loss` should be one that Keras knows"),
        ({"optimizer": "nonsense"}, "`optimizer` should be one that Keras knows"),
        ({"optimizer": 3}, "`optimizer` should be one that Keras knows"),
        ({"metrics": "accuracy"}, "`metrics` should be a list"),
        ({"distribution_strategy": 3}, "`distribution_strategy` should be a"),
        ({"pruner": 3}, "pruner"),
        ({"pruner": optuna.samplers.RandomSampler()}, "pruner"),
        ({"tracker": 3}, "tracker"),
        ({"objective": None}, "`objective` should be the name of a metric"),
        ({"objective": ["val_loss", 3]}, "`objective` should be the name of a metric"),
        ({"hyperparameters": 3}, "`hyperparameters` should be a HyperParameters"),
        ({"directory": 3}, "`directory` should be a path"),
        ({"project_name": 3}, "`project_name` should be a path"),
        ({"project_name": "a\0b"}, "`project_name` should be a path"),
        ({"warm_start": 3}, "`warm_start` should be a run directory"),
        ({"warm_start": "sqlite:///none.db"}, "There is no study in sqlite:///none.db"),
    ],
)
def test_a_tuner_refuses(arguments, said):
    with pytest.raises(KtTuningError, match=said):
        kt.Tuner(tiny, **{"max_trials": 1, **arguments})


@pytest.mark.parametrize(
    ("arguments", "options", "said"),
    [
        (("photos",), {}, "not a path: load_images\\('photos'\\)"),
        (([1, 2], Y), {}, "takes arrays"),
        ((X, Y), {}, "needs validation data"),
        ((X, Y), {"validation_split": 0.0}, "needs validation data"),
        ((X, Y), {"callbacks": [keras.callbacks.Callback]}, "is a list of Keras callbacks"),
        ((X, Y), {"trial_time_limit": "x"}, "`trial_time_limit`"),
    ],
)
def test_a_search_refuses(arguments, options, said):
    tuner = kt.Tuner(tiny, max_trials=1, objective="val_accuracy")
    with pytest.raises(KtTuningError, match=said):
        tuner.search(*arguments, verbose=False, **options)


def test_a_part_of_the_images_is_refused():
    data = kt.ImageData.from_arrays(np.arange(20 * 64).reshape(20, 8, 8) % 251, np.arange(20) % 2)
    with pytest.raises(KtTuningError, match="takes a whole ImageData"):
        kt.Tuner(tiny, max_trials=1).search(data.train, verbose=False)


def test_a_configuration_is_a_dict():
    with pytest.raises(KtTuningError, match="dict of values by name"):
        kt.Tuner(tiny, max_trials=1).enqueue(3)


def test_what_keras_and_keras_tuner_take_is_taken():
    kt.Tuner(
        tiny,
        max_trials=1,
        loss=keras.losses.SparseCategoricalCrossentropy(),
        optimizer=keras.optimizers.Adam(),
        metrics=["accuracy"],
        objective=[keras_tuner.Objective("val_loss", "min"), "val_accuracy"],
        hyperparameters=keras_tuner.HyperParameters(),
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"objective": "accurracy"}, "Unknown objective 'accurracy'"),
        ({"strategy": "magic"}, "Unknown strategy 'magic'. Known: auto, random"),
        ({"max_trials": 0}, "max_trials"),
        ({"epochs": 0}, "epochs=0"),
        ({"seed": -1}, "seed=-1"),
        ({"project_name": ""}, "project_name"),
        ({"hypermodel": 3}, "keras_tuner.HyperModel"),
        ({"recipe": "strong"}, "kt_tuning.Recipe.*'strong'"),
        ({"hypermodel": ConvNet}, r"ConvNet\(data.input_shape, data.classes\)"),
    ],
)
def test_wrong_options_are_refused_at_once(options, message, make_tuner):
    with pytest.raises(OptionError, match=message):
        make_tuner(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs=0"),
        ({"time_limit": "10 bananas"}, "10 bananas"),
        ({"batch_size": 8}, "belong to `Recipe`"),
        ({"workers": "many"}, "workers"),
        ({"workers": 0}, "workers"),
        ({"max_stale_trials": 0}, "max_stale_trials"),
        ({"callbacks": keras.callbacks.TerminateOnNaN()}, "a list of Keras callbacks"),
        ({"callbacks": ["early_stopping"]}, "early_stopping"),
    ],
)
def test_wrong_search_arguments_are_refused_and_leave_nothing(
    options, message, make_tuner, stripes
):
    tuner = make_tuner()
    tuner.enqueue({"units": 3})
    with pytest.raises(OptionError, match=message):
        tuner.search(stripes, **options)


def test_a_hypermodel_for_other_images_is_refused(make_tuner, stripes):
    with pytest.raises(OptionError, match=r"maps \(16, 16, 1\) to \(3,\)"):
        make_tuner(ConvNet((16, 16, 1), 3, stages=1, filters=4)).search(stripes)


def test_families_of_hypermodels_are_known_to_fit_without_building_one(
    make_tuner, stripes, monkeypatch
):
    asked = []
    monkeypatch.setattr(kt.Tuner, "_run_session", lambda *args, **kwargs: None)
    monkeypatch.setattr(ImageTask, "check", lambda self, model: asked.append(model))
    make_tuner(ConvNet(stripes.input_shape, stripes.classes, stages=1, filters=4)).search(stripes)
    assert not asked
    make_tuner(tiny).search(stripes)
    assert len(asked) == 1


def test_a_metric_that_images_do_not_have_is_refused(make_tuner, stripes):
    objective = keras_tuner.Objective("val_mae", "min")
    with pytest.raises(OptionError, match="Unknown objective on images 'val_mae'"):
        make_tuner(objective=objective).search(stripes)


def test_a_missing_warm_start_is_refused_and_leaves_nothing(make_tuner, tmp_path):
    with pytest.raises(StorageError, match="There is no study"):
        make_tuner(warm_start=tmp_path / "nowhere")


def test_overwrite_is_refused_where_there_is_no_run(make_tuner, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").write_text("important")
    with pytest.raises(StorageError, match="is no run directory"):
        make_tuner(overwrite=True)
    assert (tmp_path / "run" / "thesis.tex").read_text() == "important"


def test_a_file_in_the_way_is_a_storage_error(make_tuner, tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(StorageError, match="run directory"):
        make_tuner()
    assert (tmp_path / "run").is_file()
