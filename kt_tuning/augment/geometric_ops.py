"""Geometric operations as 3×3 matrices from output to input coordinates.

Every function is (amounts (n,), parameters (n, k), frame) -> (n, 3, 3); parameters are uniform in
[0, 1).
"""

from __future__ import annotations

import numpy as np

from kt_tuning.augment.arrays import Floats, Frame


def flip(amounts: Floats, parameters: Floats, frame: Frame) -> Floats:
    """Mirror left and right."""
    return _affine(len(amounts), -1, 0, frame.width, 0, 1, 0)


def vertical_flip(amounts: Floats, parameters: Floats, frame: Frame) -> Floats:
    """Mirror top and bottom."""
    return _affine(len(amounts), 1, 0, 0, 0, -1, frame.height)


def turn(amounts: Floats, parameters: Floats, frame: Frame) -> Floats:
    """Rotate by 0, 90, 180 or 270 degrees, each with the same probability."""
    quarters = np.floor(4 * parameters[:, 0]).astype(int)
    cosine = np.array([1.0, 0.0, -1.0, 0.0])[quarters]
    sine = np.array([0.0, 1.0, 0.0, -1.0])[quarters]
    return _about_centre(frame, len(amounts), cosine, sine, -sine, cosine)


def rotate(amounts: Floats, parameters: Floats, frame: Frame) -> Floats:
    """Rotate by `amounts` degrees, clockwise, about the centre."""
    angles = np.deg2rad(amounts)
    cosine, sine = np.cos(angles), np.sin(angles)
    return _about_centre(frame, len(amounts), cosine, sine, -sine, cosine)


def shear_x(amounts: Floats, parameters: Floats, frame: Frame) -> Floats:
    """Shear by `amounts` pixels sideways for each pixel down."""
    return _about_centre(frame, len(amounts), 1, amounts, 0, 1)


def shear_y(amounts: Floats, parameters: Floats, frame: Frame) -> Floats:
    """Shear by `amounts` pixels down for each pixel sideways."""
    return _about_centre(frame, len(amounts), 1, 0, amounts, 1)


def translate_x(amounts: Floats, parameters: Floats, frame: Frame) -> Floats:
    """Shift to the right by `amounts` times the width."""
    return _affine(len(amounts), 1, 0, -amounts * frame.width, 0, 1, 0)


def translate_y(amounts: Floats, parameters: Floats, frame: Frame) -> Floats:
    """Shift down by `amounts` times the height."""
    return _affine(len(amounts), 1, 0, 0, 0, 1, -amounts * frame.height)


def zoom(amounts: Floats, parameters: Floats, frame: Frame) -> Floats:
    """Enlarge by a factor of 2 ** `amounts`."""
    scale = np.exp2(-amounts)
    return _about_centre(frame, len(amounts), scale, 0, 0, scale)


def crop(amounts: Floats, parameters: Floats, frame: Frame) -> Floats:
    """Pad and crop: shift by whole pixels of at most `amounts` times the side."""
    reach = np.round(amounts[:, None] * [frame.width, frame.height])
    left, top = (np.floor(parameters * (2 * reach + 1)) - reach).T
    return _affine(len(amounts), 1, 0, left, 0, 1, top)


def resized_crop(amounts: Floats, parameters: Floats, frame: Frame) -> Floats:
    """Crop a share 1 - `amounts` of the area with an aspect ratio of 3:4 to 4:3; fill the output.

    Source: Szegedy et al. 2015; boxes that would not fit are never drawn.
    """
    area = 1 - amounts
    widest = np.log(np.minimum(4 / 3, 1 / area))
    stretch = np.exp(widest * (2 * parameters[:, 0] - 1))
    sides = np.sqrt(np.stack([area * stretch, area / stretch], axis=1))
    left, top = (parameters[:, 1:] * (1 - sides) * [frame.width, frame.height]).T
    return _affine(len(amounts), sides[:, 0], 0, left, 0, sides[:, 1], top)


def perspective(amounts: Floats, parameters: Floats, frame: Frame) -> Floats:
    """Move each corner by up to `amounts` times the side.

    Source: the map from the unit square to a quadrilateral in Heckbert, Fundamentals of Texture
    Mapping and Image Warping (1989), section 2.2.3.
    """
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    quads = corners + amounts[:, None, None] * (2 * parameters.reshape(-1, 4, 2) - 1)
    quads = quads * [frame.width, frame.height]
    first, second, third, fourth = np.moveaxis(quads, 1, 0)
    right, down, bent = second - third, fourth - third, first - second + third - fourth
    area = _cross(right, down)
    across, along = _cross(bent, down) / area, _cross(right, bent) / area
    matrices = np.ones((len(amounts), 3, 3))
    matrices[:, :2, 0] = second - first + across[:, None] * second
    matrices[:, :2, 1] = fourth - first + along[:, None] * fourth
    matrices[:, :2, 2] = first
    matrices[:, 2, 0], matrices[:, 2, 1] = across, along
    return matrices / [frame.width, frame.height, 1]


def _affine(n: int, *entries: Floats | float) -> Floats:
    """Return matrices whose first two rows have these entries, each a number or (n,)."""
    matrices = np.tile(np.eye(3), (n, 1, 1))
    for place, values in enumerate(entries):
        matrices[:, place // 3, place % 3] = values
    return matrices


def _about_centre(
    frame: Frame, n: int, a: Floats | float, b: Floats | float, c: Floats | float, d: Floats | float
) -> Floats:
    """Return the linear maps ((a, b), (c, d)) with the origin in the centre of the frame."""
    matrices = _affine(n, a, b, 0, c, d, 0)
    middle = np.array([frame.width / 2, frame.height / 2])
    matrices[:, :2, 2] = middle - matrices[:, :2, :2] @ middle
    return matrices


def _cross(a: Floats, b: Floats) -> Floats:
    """Return the cross products of vectors (n, 2)."""
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
