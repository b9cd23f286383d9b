"""KerasTuner's public names and signatures against ours: additions only."""

import importlib
import inspect
import pkgutil

import keras_tuner
import pytest

import kt_tuning

NAMES = sorted(
    name for name in dir(keras_tuner) if not name.startswith("_") and name not in ("src", "utils")
)
CLASSES = [name for name in NAMES if isinstance(getattr(keras_tuner, name), type)]
POSITIONAL = inspect.Parameter.POSITIONAL_OR_KEYWORD
KEYWORD_ONLY = inspect.Parameter.KEYWORD_ONLY
STARRED = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD


def differences(stock, ours):
    """What a call that `stock` takes would find changed in `ours`."""
    theirs, mine = (list(inspect.signature(each).parameters.values()) for each in (stock, ours))
    found = []
    positional = [p for p in mine if p.kind is POSITIONAL]
    for place, parameter in enumerate(p for p in theirs if p.kind is POSITIONAL):
        name = parameter.name
        if place >= len(positional) or positional[place].name != name:
            found.append(f"{name} is not at place {place}")
            continue
        default = positional[place].default
        added = parameter.default is inspect.Parameter.empty
        if default != parameter.default and not added:
            found.append(f"{name}={default!r} instead of {parameter.default!r}")
    for kind in STARRED:
        if kind in {p.kind for p in theirs} - {p.kind for p in mine}:
            found.append(f"no {kind.description}")
    known = {p.name for p in theirs}
    found += [
        f"{p.name} is new and not keyword-only"
        for p in mine
        if p.name not in known and p.kind is POSITIONAL
    ]
    return found


def public_methods(cls):
    return [
        name
        for name, member in inspect.getmembers(cls, callable)
        if name == "__init__" or not name.startswith("_")
    ]


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_is_there(name):
    assert name in kt_tuning.__all__
    assert type(getattr(kt_tuning, name)) is type(getattr(keras_tuner, name))


def test_every_public_module_can_be_imported():
    modules = [
        info.name.removeprefix("keras_tuner.")
        for info in pkgutil.walk_packages(keras_tuner.__path__, "keras_tuner.")
        if ".src" not in info.name and info.name != "keras_tuner.tuners"
    ]
    assert {"oracles", "engine.hyperparameters"} <= set(modules)
    for name in modules:
        ours = importlib.import_module(f"kt_tuning.{name}")
        assert ours is importlib.import_module(f"keras_tuner.{name}")
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("kt_tuning.engine.nothing")


@pytest.mark.parametrize("name", CLASSES)
def test_signatures_differ_by_additions_only(name):
    stock, ours = getattr(keras_tuner, name), getattr(kt_tuning, name)
    changed = {
        method: found
        for method in public_methods(stock)
        if (found := differences(getattr(stock, method), getattr(ours, method)))
    }
    assert changed == {}


@pytest.mark.parametrize("module", ["oracles", "errors", "applications", "tuners", "engine"])
def test_every_name_of_a_public_module_is_there(module):
    stock, ours = getattr(keras_tuner, module), getattr(kt_tuning, module)
    names = [name for name in dir(stock) if not name.startswith("_")]
    assert [name for name in names if not hasattr(ours, name)] == []


def stock_call(self, oracle, hypermodel=None, *args, limit=3, **kwargs):
    """A signature of the other side."""


@pytest.mark.parametrize(
    ("ours", "found"),
    [
        (lambda self, oracle=1, hypermodel=None, *a, data=0, limit=3, **k: 0, []),
        (
            lambda self, hypermodel=None, oracle=None, *a, limit=3, **k: 0,
            ["oracle is not at place 1", "hypermodel is not at place 2"],
        ),
        (
            lambda self, oracle, hypermodel=2, *a, **k: 0,
            ["hypermodel=2 instead of None"],
        ),
        (
            lambda self, oracle, hypermodel=None, data=0, **k: 0,
            ["no variadic positional", "data is new and not keyword-only"],
        ),
    ],
)
def test_differences_are_found(ours, found):
    assert differences(stock_call, ours) == found
