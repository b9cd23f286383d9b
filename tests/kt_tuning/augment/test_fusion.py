"""Fused equals unfused: random policies against PIL, operation by operation."""

import numpy as np
import pytest
from op_by_op import op_by_op
from smooth_images import smooth, uniforms

from kt_tuning.augment import OPS, AugMix, OneOf, Policy, Step, augment

EXACT = ("flip", "vertical_flip", "turn", "crop", "posterise", "solarise", "invert", "gamma")
# Spreads the histogram: a rounding in what comes before becomes several levels.
AMPLIFYING = {"equalise", "autocontrast", "solarise", "posterise", "gamma"}
# White noise: each interpolation of the reference smooths it once more.
ROUGH = {"noise", "salt_and_pepper", "erasing"}
GEOMETRIC = {name for name, op in OPS.items() if op.kind == "geometric"}
SOFT = sorted(set(OPS) - AMPLIFYING - ROUGH)


def random_step(rng, names, strength):
    name = str(rng.choice(names))
    row = OPS[name]
    magnitude = max(row.low, strength * rng.random() * row.high)
    return Step(name, magnitude, float(rng.choice([0.5, 1.0])))


def random_policy(seed, names, strength, **options):
    """Two to five steps; PIL truncates, so each of the reference's takes half a level away."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(2, 6))
    return Policy(tuple(random_step(rng, names, strength) for _ in range(count)), **options)


def inside(policy, shape, numbers):
    """Where no operation had to fill anything in: what stays white when the border is black."""
    white = np.full((*shape[:3], 1), 255, np.uint8)
    steps, columns, column = [], [], 0
    for step in policy.steps:
        if step.op in GEOMETRIC:
            steps.append(step)
            columns.extend(range(column, column + step.draws))
        column += step.draws
    outline = Policy(tuple(steps), "constant", policy.interpolation)
    return op_by_op(outline, white, numbers[:, columns])[..., 0] == 255


def mean_difference(policy, images, numbers):
    interior = inside(policy, images.shape, numbers)
    fused, reference = augment(policy, images, numbers), op_by_op(policy, images, numbers)
    difference = np.abs(fused.astype(int) - reference)[interior]
    return difference.mean() if difference.size else 0.0


@pytest.mark.parametrize(
    ("seeds", "shape", "options"),
    [
        (range(40), (6, 48, 48, 3), {}),
        (range(100, 110), (6, 48, 48, 3), {"border": "constant"}),
        (range(100, 110), (6, 48, 48, 3), {"interpolation": "bicubic"}),
        # Large images go through PIL one by one instead of together.
        (range(200, 210), (2, 120, 100, 3), {}),
        (range(200, 210), (2, 120, 100, 3), {"interpolation": "bilinear"}),
        (range(300, 305), (3, 40, 40, 1), {"interpolation": "bilinear"}),
        (range(300, 305), (3, 100, 100, 1), {"interpolation": "bilinear"}),
    ],
)
def test_random_policies_agree_away_from_the_border(seeds, shape, options):
    for seed in seeds:
        policy = random_policy(seed, SOFT, 0.3, **options)
        images = smooth(*shape)
        if any(step.op == "turn" for step in policy.steps):
            images = images[:, : shape[2]]
        numbers = uniforms(policy, shape[0], seed % 100)
        assert mean_difference(policy, images, numbers) <= 2, seed


@pytest.mark.parametrize("border", ["mirror", "edge", "wrap", "constant"])
def test_flips_turns_shifts_and_tables_agree_exactly(border):
    images = smooth(5, 24, 24)
    for seed in range(20):
        policy = random_policy(seed, EXACT, 1.0, border=border)
        numbers = uniforms(policy, 5, seed)
        shown = inside(policy, images.shape, numbers)
        fused, reference = augment(policy, images, numbers), op_by_op(policy, images, numbers)
        assert np.array_equal(fused[shown], reference[shown]), seed


@pytest.mark.parametrize(
    "step",
    [
        OneOf((Step("rotate", 10.0), Step("brightness", 0.3), Step("posterise", 2.0))),
        AugMix((Step("shear_x", 0.1), Step("contrast", 0.3), Step("solarise", 0.3))),
    ],
)
def test_choices_and_chains_agree(step):
    policy = Policy((Step("flip", 1.0, 0.5), step), "edge")
    images = smooth(8)
    numbers = uniforms(policy, 8)
    fused, reference = augment(policy, images, numbers), op_by_op(policy, images, numbers)
    difference = np.abs(fused.astype(int) - reference)[:, 6:-6, 6:-6]
    assert difference.mean() <= 2


def test_every_form_is_drawn():
    drawn = {step.op for seed in range(40) for step in random_policy(seed, SOFT, 0.3).steps}
    assert drawn == set(SOFT)
    assert {name for name in EXACT if OPS[name].kind == "pointwise"} >= {"invert", "gamma"}
