"""What the winner sees and mistakes, and what its training images went through."""

from __future__ import annotations

import base64
from xml.etree.ElementTree import Element

from kt_tuning.evaluation import Gallery, Picture
from kt_tuning.report.formatting import percent, shorten
from kt_tuning.report.html import element
from kt_tuning.report.run_summary import RunSummary
from kt_tuning.report.sections.blocks import quiet, section

NAME_LENGTH = 32
_METHODS = {
    "grad_cam": "In orange is what speaks for the class that was predicted, by Grad-CAM.",
    "occlusion": "In orange is what the prediction needs: its probability falls when that is "
    "covered.",
}


def gallery_section(run: RunSummary) -> Element | None:
    """Return the worst mistakes and some images of each class, with where the winner looks."""
    found = run.gallery
    if found is None:
        return None
    names = _class_names(run)
    mistakes: list[Element] = [element("h3", "Worst mistakes")]
    if found.mistakes:
        mistakes.append(
            quiet("Where it was sure and wrong. A mislabelled image is often among them.")
        )
        mistakes.append(_grid(found.mistakes, names))
    else:
        mistakes.append(quiet("None."))
    return section(
        "gallery",
        "Mistakes, and where it looks",
        element("p", _explained(found)),
        *mistakes,
        element("h3", "One of each class"),
        _grid(found.examples, names),
    )


def _explained(found: Gallery) -> str:
    return f"Each image as it is, and in grey. {_METHODS.get(found.method, '')}".strip()


def _class_names(run: RunSummary) -> tuple[str, ...]:
    if run.scores is not None:
        return run.scores.class_names
    return () if run.data is None else run.data.class_names


def _grid(pictures: tuple[Picture, ...], names: tuple[str, ...]) -> Element:
    return element("div", *(_picture(one, names) for one in pictures), class_="gallery")


def _picture(picture: Picture, names: tuple[str, ...]) -> Element:
    truth, predicted = _name(picture.label, names), _name(picture.predicted, names)
    sure = f"{percent(picture.confidence)} sure"
    right = picture.label == picture.predicted
    what = f"Image {picture.index}: {truth}"
    return element(
        "figure",
        element("img", src=_checked(picture.image), alt=what, loading="lazy"),
        element(
            "img",
            src=_checked(picture.heat),
            alt=f"{what}, and what speaks for {predicted}",
            loading="lazy",
        ),
        element(
            "figcaption",
            element("strong", truth),
            f" {'recognised' if right else f'taken for {predicted}'}, {sure}",
        ),
        class_="" if right else "mistaken",
    )


def _name(label: int, names: tuple[str, ...]) -> str:
    return shorten(names[label], NAME_LENGTH) if 0 <= label < len(names) else f"class {label}"


def _checked(uri: str) -> str:
    """Return a picture's address if it holds the picture, and none that would be fetched."""
    return uri if uri.startswith("data:image/") else "data:,"


def augmentation_section(run: RunSummary) -> Element | None:
    """Return what augmentation does to training images; None if there is no picture of it."""
    if run.augmentation is None:
        return None
    picture = base64.b64encode(run.augmentation).decode()
    return section(
        "augmentation",
        "Augmentation",
        element(
            "p", "Training images, and beside them what the best trial's policy makes of them."
        ),
        element(
            "figure",
            element(
                "img",
                src=f"data:image/jpeg;base64,{picture}",
                alt="A row a training image: first as it is, then augmented copies",
                class_="preview",
            ),
        ),
    )
