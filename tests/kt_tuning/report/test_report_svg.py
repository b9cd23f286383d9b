from __future__ import annotations

from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import matplotlib
import pytest

from kt_tuning.report.figures.style import BLUE, ReportFigure, new_figure, svg_markup


def _figure(text: str = "title") -> ReportFigure:
    figure = new_figure(200, 100)
    figure.axes[0].plot([0, 1], [0, 1], color=BLUE)
    figure.axes[0].set_title(text, parse_math=False)
    figure.description = "what <it> shows"
    return figure


def _tree(figure: ReportFigure, key: str = "key") -> Element:
    return ElementTree.fromstring(svg_markup(figure, key))


def test_size_and_description() -> None:
    svg = _tree(_figure())
    assert svg.get("viewBox") == "0 0 150 75"
    assert svg.get("role") == "img"
    assert svg.get("aria-label") == "what <it> shows"


def test_colours_become_variables_of_the_page() -> None:
    text = svg_markup(_figure(), "key")
    assert "stroke: var(--blue)" in text
    assert BLUE not in text


def test_nothing_names_another_file_or_the_time() -> None:
    text = svg_markup(_figure(), "key")
    assert "http" not in text
    assert "date" not in text.lower()


def test_the_same_figure_is_the_same_text() -> None:
    texts = [svg_markup(_figure(), "key") for _ in range(2)]
    assert texts[0] == texts[1]


def test_identifiers_of_two_figures_differ() -> None:
    one, other = (
        {node.get("id") for node in _tree(_figure(), key).iter() if node.get("id")}
        for key in ("one", "other")
    )
    assert one
    assert not one & other


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", "$\\frac{", "猫", '🐈 & "dog"', "שלום عالم"]
)
def test_any_text_is_drawn_as_it_is(text: str) -> None:
    svg = _tree(_figure(text))
    assert text in [node.text for node in svg.iter("text")]
    assert not list(svg.iter("script"))


def test_the_settings_of_the_user_are_left_alone() -> None:
    before = dict(matplotlib.rcParams)
    svg_markup(_figure(), "key")
    assert dict(matplotlib.rcParams) == before
