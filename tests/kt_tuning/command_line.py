"""`kt-tuning` as a shell calls it, in the test's own process, and a folder of images for it."""

from __future__ import annotations

import contextlib
import io
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from striped import striped_images

from kt_tuning import cli
from kt_tuning.core.errors import KtTuningError


def kt_tuning(monkeypatch: pytest.MonkeyPatch, *arguments: Any) -> int | str:
    """Run the command line in this process; return its exit status."""
    monkeypatch.setattr(sys, "argv", ["kt-tuning", *map(str, arguments)])
    try:
        cli.main()
    except SystemExit as stop:
        return stop.code or 0
    return 0


def printed_by(*arguments: Any) -> str:
    """Run the command line in this process; return what it printed.

    Raises:
        KtTuningError: if it refused, with the line that says why.
    """
    out, told = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(told),
    ):
        status = kt_tuning(patch, *arguments)
    assert "Aborted." not in told.getvalue()
    assert status in (0, 2), f"exit status {status}"
    if status:
        raise KtTuningError(told.getvalue().strip().splitlines()[-1].removeprefix("error: "))
    return out.getvalue()


def write_photos(folder: Path) -> Path:
    """60 striped images in folders of their classes; 36 are trained and 12 validated on."""
    images, labels = striped_images(60)
    for number, (pixels, label) in enumerate(zip(images, labels, strict=True)):
        path = folder / ("lying", "standing")[label] / f"{number:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[..., 0]).save(path)
    return folder
