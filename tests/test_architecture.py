"""The import rules of the house, read from the source with `ast`."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = [
    {"core"},
    {"run"},
    {"augment", "data", "evaluation", "export", "tracking", "devices"},
    {"recipe", "ensembling", "execution", "features"},
    {"trials"},
    {"search"},
    {"finalize"},
    {"report", "summaries"},
    {"run_options"},
    {"pipeline"},
    {"tuner"},
    {"tuners"},
    {"recorded_tuner"},
    {"cli"},
]
LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}


def imports(path: Path) -> set[str]:
    """Every module that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            found.add(str(node.module))
    return found


def room(path: Path) -> str:
    return path.relative_to(ROOT / "kt_tuning").parts[0].removesuffix(".py")


MODULES = sorted(
    path
    for path in (ROOT / "kt_tuning").rglob("*.py")
    if path.parent.name != "kt_tuning" or path.name != "__init__.py"
)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path):
    here = room(path)
    assert here in LEVEL, f"{here} has no layer: add it to LAYERS"
    for module in imports(path):
        parts = module.split(".")
        if parts[0] != "kt_tuning" or len(parts) == 1 or parts[1] == here:
            continue
        assert LEVEL[parts[1]] < LEVEL[here], f"{here} must not import {module}"


def test_oracles_are_told_apart_by_their_adapters_alone():
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "isinstance":
                assert "Oracle" not in ast.unparse(node.args[1]), f"{path}:{node.lineno}"


def test_hypermodels_know_nothing_of_the_toolkit():
    for path in (ROOT / "hypermodels").rglob("*.py"):
        tops = {module.split(".")[0] for module in imports(path)}
        known = {"hypermodels", "keras", "keras_tuner", "numpy", "scipy", "threadpoolctl"}
        assert tops <= known | set(sys.stdlib_module_names)


@pytest.mark.parametrize("statement", ["import kt_tuning.cli", "import kt_tuning.data"])
def test_help_and_reading_images_wait_for_neither_keras_nor_tensorflow(statement):
    heavy = "{'keras', 'tensorflow', 'keras_tuner', 'matplotlib', 'pandas'}"
    code = f"{statement}; import sys; assert not {heavy} & set(sys.modules), sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_public_names_are_there():
    import kt_tuning

    for name in kt_tuning.__all__:
        assert getattr(kt_tuning, name).__name__.rpartition(".")[2] == name
    with pytest.raises(AttributeError, match="no attribute 'Tunar'"):
        _ = kt_tuning.Tunar


def test_public_names_are_listed_before_they_are_used():
    code = (
        "import kt_tuning, sys; "
        "assert {*kt_tuning.__all__, '__version__'} <= set(dir(kt_tuning)); "
        "assert 'import_module' not in dir(kt_tuning); "
        "assert 'keras' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_version_is_that_of_the_distribution():
    import importlib.metadata

    import kt_tuning

    assert kt_tuning.__version__ == importlib.metadata.version("kt-tuning")
