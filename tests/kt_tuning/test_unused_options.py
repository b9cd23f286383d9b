"""Options that a family does not use are named before the search."""

import pytest

from kt_tuning.pipeline import RunOptions
from kt_tuning.pipeline.make_tuner import unused_options

FAMILIES = ("linearprobe", "finetune", "convnet")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"normalize": True}, "linearprobe does not use --normalize; finetune does not use "),
        ({"augment": "strong"}, "linearprobe does not use --augment."),
        ({"batch_size": (32,)}, "linearprobe does not use --batch-size."),
        ({"patience": 3}, "linearprobe does not use --patience."),
        (
            {"mixup": (0.2,), "cutmix": (1.0,)},
            "linearprobe does not use --mixup, --cutmix; finetune uses --mixup, --cutmix only if "
            "no layer is frozen (unfreeze=1).",
        ),
        (
            {"max_batch_size": (256,)},
            "linearprobe does not use --max-batch-size; finetune uses --max-batch-size only",
        ),
    ],
)
def test_what_a_family_does_not_use_is_one_line(given, expected):
    said = unused_options(RunOptions(**given), FAMILIES)
    assert said.startswith(expected)
    assert "\n" not in said


@pytest.mark.parametrize("given", [{}, {"balance": ("weights",)}, {"time_limit": "60s"}])
def test_what_all_families_use_is_not_mentioned(given):
    assert unused_options(RunOptions(**given), FAMILIES) is None


def test_networks_from_nothing_use_everything():
    options = RunOptions(normalize=True, mixup=(0.2,), augment="strong", patience=2)
    assert unused_options(options, ("convnet", "resnet")) is None
