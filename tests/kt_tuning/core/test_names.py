import keras_tuner
import pytest

from kt_tuning import Policy, Recipe
from kt_tuning.augment import Step
from kt_tuning.core.errors import OptionError
from kt_tuning.core.names import find_name, is_one_line, printable
from kt_tuning.evaluation import Parts
from kt_tuning.evaluation.metrics import METRICS, find_metric
from kt_tuning.export import format_named
from kt_tuning.finalize.refit_plan import RefitOptions
from kt_tuning.pipeline import RunOptions
from kt_tuning.search import OptunaOracle
from kt_tuning.search.objectives import find_objectives
from kt_tuning.search.pruning import pruner_name
from kt_tuning.search.samplers import strategy_name
from kt_tuning.tracking import find_trackers


@pytest.mark.parametrize("spelling", ["saved_model", "SavedModel", "saved-model", " SAVED MODEL "])
def test_case_and_punctuation_make_no_difference(spelling):
    assert find_name(spelling, ["keras", "saved_model"], "format") == "saved_model"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a b\tc", True),
        ("é😀", True),
        ("", False),
        ("a\nb", False),
        ("a\n", False),
        ("\x1b", False),
    ],
)
def test_names_on_one_line(name, expected):
    assert is_one_line(name) is expected


def test_an_alias_finds_its_name():
    assert find_name("TFLite", ["litert"], "format", aliases={"tf_lite": "litert"}) == "litert"


def test_an_unknown_name_is_refused_with_the_closest_and_all_known_ones():
    with pytest.raises(OptionError) as caught:
        find_name("Convnets", ["mlp", "convnet"], "hypermodel", hint="or your own")
    assert str(caught.value) == (
        "Unknown hypermodel 'Convnets'. Did you mean 'convnet'? Known: mlp, convnet; or your own."
    )


def test_what_is_no_text_is_refused_as_an_unknown_name():
    with pytest.raises(OptionError, match=r"^Unknown metric 3. Known: f1.$"):
        find_name(3, ["f1"], "metric")


@pytest.mark.parametrize(
    ("find", "spelling", "name"),
    [
        (strategy_name, "CMA-ES", "cmaes"),
        (strategy_name, "TPE", "tpe"),
        (strategy_name, "BayesianOptimization", "bayesian"),
        (strategy_name, "random_search", "random"),
        (pruner_name, "ASHA", "asha"),
        (lambda name: format_named(name).name, "TFLite", "litert"),
        (lambda name: format_named(name).name, "tflite-int8", "litert_int8"),
        (lambda name: format_named(name).name, "ONNX", "onnx"),
        (lambda name: format_named(name).name, "savedmodel", "saved_model"),
        (lambda name: Step(name).op, "Flip", "flip"),
        (lambda name: Recipe(augment=name).augment, "RandAugment", "randaugment"),
        (lambda name: Recipe(augment=name).augment, "TrivialAugment", "trivial"),
        (lambda name: Recipe(augment=name).augment, "Search", "search"),
        (lambda name: Recipe(augment=["none", name]).augment, "AugMix", ("none", "augmix")),
        (lambda name: Recipe(balance=name).balance, "Weights", "weights"),
        (lambda name: Recipe(precision=name).precision, "bfloat16", "mixed_bfloat16"),
        (lambda name: Parts([name]).names, "Corruptions", ("corruptions",)),
        (lambda name: RefitOptions(members=name).members, "Best", "best"),
        (lambda name: RunOptions(hypermodel=(name,)).hypermodel, "Conv-Net", ("convnet",)),
        (lambda name: RunOptions(fixed={name: 8}).fixed, "ResNet/width", {"resnet/width": 8}),
        (lambda name: RunOptions(strategy=name).strategy, "Hyperband", "hyperband"),
        (lambda name: find_trackers(name)[0].name, "TensorBoard", "tensorboard"),
        (lambda name: find_objectives(name)[0].name, "val-accuracy", "val_accuracy"),
        (lambda name: find_objectives(name)[0].name, "VAL_LOSS", "val_loss"),
    ],
)
def test_every_table_takes_the_spellings_of_users(find, spelling, name):
    assert find(spelling) == name


def test_a_policy_and_a_metric_are_found_by_any_spelling():
    assert Policy.named("Light") is Policy.named("light")
    assert find_metric("ROC-AUC") is METRICS["roc_auc"]


def test_an_oracle_takes_a_strategy_and_a_pruner_in_upper_case():
    oracle = OptunaOracle(
        "TPE", pruner="Median", objective=keras_tuner.Objective("val_loss", "min"), max_trials=1
    )
    assert type(oracle.pruner).__name__ == "MedianPruner"


def test_objectives_that_keras_logs_are_left_as_they_are():
    assert find_objectives("loss")[0].name == "loss"
    with pytest.raises(OptionError, match="Did you mean 'val_accuracy'"):
        find_objectives("val_acuracy")


def test_printable_text_has_no_control_character_but_tabs_and_line_ends():
    assert printable("a\tb\n\x1b[31mred\x9b\x7f\r\0 é") == "a\tb\n\\x1b[31mred\\x9b\\x7f\\r\\x00 é"


def test_printable_text_can_be_held_by_xml_and_utf8():
    assert printable("a\udcff\uffff") == r"a\udcff\uffff"
