"""Augmentation with PIL: what is drawn (`Policy`), and how it is carried out (`augment`)."""

from kt_tuning.augment.chains import Chains
from kt_tuning.augment.mix import Mixing, mix
from kt_tuning.augment.ops import OPS, Op
from kt_tuning.augment.plan import augment
from kt_tuning.augment.policy import POLICIES, Policy, default_policy, find_policy
from kt_tuning.augment.preview import preview
from kt_tuning.augment.reference import op_by_op
from kt_tuning.augment.steps import OneOf, Step

__all__ = [
    "OPS",
    "POLICIES",
    "Chains",
    "Mixing",
    "OneOf",
    "Op",
    "Policy",
    "Step",
    "augment",
    "default_policy",
    "find_policy",
    "mix",
    "op_by_op",
    "preview",
]
