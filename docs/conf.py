"""Configuration of the site: `make docs` writes it to docs/_build/html, without a network."""

from __future__ import annotations

import os
import re
import shutil
import sys
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

project = "kt-tuning"
author = "the kt-tuning authors"
copyright = "2026, the kt-tuning authors"
version = release = installed_version("kt-tuning")

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
exclude_patterns = ["_build", "_templates"]
nitpicky = True
# Annotations name classes of other libraries and of modules that are not public.
nitpick_ignore_regex = [(r"py:(class|obj|exc|data|meth|func|attr|mod)", r".*")]
suppress_warnings = ["mystnb.mime_priority"]

# Dashes and ellipses are changed; quotation marks are not, as quoted texts are copied.
smartquotes_action = "De"

# Docstrings: Google style, with single backticks around code.
default_role = "code"
napoleon_numpy_docstring = False
napoleon_custom_sections = [("Hyperparameters", "params_style")]
napoleon_use_ivar = True
napoleon_attr_annotations = False
autosummary_generate = True
templates_path = ["_templates"]
autoclass_content = "both"
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
maximum_signature_line_length = 80

# Notebooks are shown with the outputs that they were saved with; the tests execute them.
nb_execution_mode = "off"
myst_enable_extensions = ["colon_fence", "deflist", "attrs_inline"]
myst_heading_anchors = 3

html_theme = "furo"
pygments_dark_style = "github-dark"
html_title = "kt-tuning"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
html_theme_options: dict[str, Any] = {"navigation_with_keys": True}

COMMANDS = "<!-- commands -->"
"""Place in reference/command_line.md of the commands, as typer describes them."""
TYPOGRAPHY: tuple[tuple[str, Any], ...] = (
    (r"\s*\[default: \((.+)\)\]", r" *Default: \1.*"),
    (r"\s*\[default: (.+)\]", r" *Default:* `\1`."),
    (r"\s*\[required\]", " *Required.*"),
    # Outside of code, an option is made code, and "<" begins no tag.
    (r"(`[^`]*`)|(?<!\S)(--[a-z-]+)", lambda found: found[1] or f"`{found[2]}`"),
    (r"(`[^`]*`)|<", lambda found: found[1] or "&lt;"),
)
"""Patterns in what typer writes, and what the page has instead."""


ARRAY = r"~numpy\.ndarray\[tuple\[~typing\.Any, \.\.\.\], ~numpy\.dtype\[([^\]]+)\]\]"
"""What `numpy.typing.NDArray` becomes in a signature."""
TRIVIAL_BASES = re.compile("Bases: (object|Tuner|Record|_Choices|ABC|TrialFigures.*)")


def command_line_reference() -> str:
    """Return every command with its options as Markdown, from their declarations."""
    import typer
    from typer.cli import get_docs_for_click

    from kt_tuning.cli.app import app

    command = typer.main.get_command(app)
    context = typer.Context(command, info_name="kt-tuning")
    text = get_docs_for_click(obj=command, ctx=context, name="kt-tuning")
    _, heading, rest = text.partition("\n## ")
    text = heading + rest
    for pattern, better in TYPOGRAPHY:
        text = re.sub(pattern, better, text)
    return text


def fill_in(app: Any, page: str, source: list[str]) -> None:
    """Replace the marks of generated parts in a page, and lead links to the copied notebooks."""
    if page == "reference/command_line":
        source[0] = source[0].replace(COMMANDS, command_line_reference())
    source[0] = source[0].replace("../notebooks/", "notebooks/")


def prepare_generated_pages(app: Any) -> None:
    """Copy the notebooks to where Sphinx looks for pages, and remove an earlier build's stubs."""
    source = Path(app.srcdir)
    shutil.rmtree(source / "reference" / "generated", ignore_errors=True)
    for notebook in sorted((ROOT / "notebooks").glob("*.ipynb")):
        shutil.copy(notebook, source / "notebooks" / notebook.name)


def readable_signature(
    app: Any, what: str, name: str, obj: Any, options: Any, signature: str | None, returned: str
) -> tuple[str | None, str]:
    """Replace the default of a dataclass' field that is made anew, and shorten types of arrays."""
    if signature:
        signature = signature.replace("<factory>", "...")
        signature = re.sub(ARRAY, r"~numpy.typing.NDArray[\1]", signature)
    return signature, returned and re.sub(ARRAY, r"~numpy.typing.NDArray[\1]", returned)


def remove_trivial_bases(app: Any, domain: str, kind: str, content: Any) -> None:
    """Remove the line on the bases of a class that tells a reader nothing."""
    if content.children and TRIVIAL_BASES.fullmatch(content.children[0].astext()):
        content.pop(0)


def setup(app: Any) -> None:
    """Connect the functions above to the build."""
    app.connect("autodoc-process-signature", readable_signature)
    app.connect("object-description-transform", remove_trivial_bases)
    app.connect("builder-inited", prepare_generated_pages, priority=100)
    app.connect("source-read", fill_in)
