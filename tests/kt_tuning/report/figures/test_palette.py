"""The palette under simulated colour blindness, and on white."""

import ast
import itertools
import re
from pathlib import Path

import numpy as np
import pytest

from kt_tuning.report.figures import style as palette

SHOWN = {name: getattr(palette, name) for name in ("INK", "MUTED", "FAINT", "BLUE", "ORANGE")}
# Machado, Oliveira and Fernandes (2009), "A physiologically-based model for simulation of color
# vision deficiency", severity 1.0; on linear RGB.
BLINDNESS = {
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
JUST_NOTICEABLE = 2.3  # CIE76, Sharma and Bala (2002)


def linear(colour):
    rgb = np.array([int(colour[start : start + 2], 16) for start in (1, 3, 5)]) / 255
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    """CIE L*a*b*, D65."""
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = np.clip(np.array(to_xyz) @ rgb, 0, None) / [0.9505, 1.0, 1.089]
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def contrast_on_white(colour):
    """WCAG 2: (L1 + 0.05) / (L2 + 0.05)."""
    return 1.05 / (linear(colour) @ [0.2126, 0.7152, 0.0722] + 0.05)


@pytest.mark.parametrize("kind", BLINDNESS)
@pytest.mark.parametrize(
    "pair", [("BLUE", "ORANGE"), ("BLUE", "FAINT"), ("ORANGE", "FAINT")], ids=" and ".join
)
def test_what_is_compared_is_told_apart_with_colour_blindness(kind, pair):
    one, two = (lab(np.array(BLINDNESS[kind]) @ linear(SHOWN[name])) for name in pair)
    assert np.linalg.norm(one - two) > 8 * JUST_NOTICEABLE


@pytest.mark.parametrize("name", SHOWN)
def test_lines_and_text_stand_out_from_white(name):
    assert contrast_on_white(SHOWN[name]) > 3


def test_shades_darken():
    for one, two in itertools.pairwise(palette.SHADES):
        assert contrast_on_white(one) < contrast_on_white(two)


def test_no_figure_has_a_colour_of_its_own():
    style = Path(palette.__file__)
    for path in {*style.parents[1].rglob("*.py")} - {style}:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
        assert not [t for t in texts if isinstance(t, str) and re.fullmatch("#[0-9a-f]{6}", t)]


@pytest.mark.parametrize("name", [*SHOWN, "RULE"])
def test_the_light_page_has_the_colours_of_the_figures(name):
    style = Path(palette.__file__).parents[1] / "templates" / "style.css"
    light = style.read_text(encoding="utf-8").split("@media")[0]
    assert f"--{name.lower()}: {getattr(palette, name)};" in light
