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


@pytest.mark.parametrize("seed", range(40))
def test_random_policies_agree_away_from_the_border(seed):
    policy = random_policy(seed, SOFT, 0.3)
    images = smooth(6, 48, 48)
    assert mean_difference(policy, images, uniforms(policy, 6, seed)) <= 2


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("options", [{"border": "constant"}, {"interpolation": "bicubic"}])
def test_so_they_do_with_other_borders_and_interpolation(seed, options):
    policy = random_policy(100 + seed, SOFT, 0.3, **options)
    images = smooth(6, 48, 48)
    assert mean_difference(policy, images, uniforms(policy, 6, seed)) <= 2


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("border", ["mirror", "edge", "wrap", "constant"])
def test_flips_turns_shifts_and_tables_agree_exactly(seed, border):
    policy = random_policy(seed, EXACT, 1.0, border=border)
    images = smooth(5, 24, 24)
    numbers = uniforms(policy, 5, seed)
    shown = inside(policy, images.shape, numbers)
    fused, reference = augment(policy, images, numbers), op_by_op(policy, images, numbers)
    assert np.array_equal(fused[shown], reference[shown])


@pytest.mark.parametrize("interpolation", ["auto", "bilinear"])
@pytest.mark.parametrize("seed", range(10))
def test_large_images_agree_as_small_ones_do(seed, interpolation):
    """They go through PIL one by one instead of together."""
    policy = random_policy(200 + seed, SOFT, 0.3, interpolation=interpolation)
    images = smooth(2, 120, 100)
    if any(step.op == "turn" for step in policy.steps):
        images = images[:, :100]
    assert mean_difference(policy, images, uniforms(policy, 2, seed)) <= 2


@pytest.mark.parametrize("side", [40, 100])
@pytest.mark.parametrize("seed", range(5))
def test_grey_images_agree(seed, side):
    policy = random_policy(300 + seed, SOFT, 0.3, interpolation="bilinear")
    images = smooth(3, side, side, 1)
    assert mean_difference(policy, images, uniforms(policy, 3, seed)) <= 2


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
