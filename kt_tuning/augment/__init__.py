"""Augmentation by PIL and NumPy: policies (`Policy`) and their application (`augment`)."""

from kt_tuning.augment.fused import augment
from kt_tuning.augment.mixup_cutmix import Mixing, mix
from kt_tuning.augment.ops import OPS, Op
from kt_tuning.augment.orientation import loses_class_mirrored
from kt_tuning.augment.policy import POLICIES, Policy, default_policy, find_policy
from kt_tuning.augment.preview import preview
from kt_tuning.augment.steps import AugMix, OneOf, Step

__all__ = [
    "OPS",
    "POLICIES",
    "AugMix",
    "Mixing",
    "OneOf",
    "Op",
    "Policy",
    "Step",
    "augment",
    "default_policy",
    "find_policy",
    "loses_class_mirrored",
    "mix",
    "preview",
]
