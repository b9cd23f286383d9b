"""The families of a search: whose trial is whose, and how many epochs each trains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypermodels import FAMILY

ALONE = ""
"""What the family is called of a search that has only one."""


def family_of(values: Mapping[str, Any]) -> str:
    """The family of a configuration."""
    return str(values.get(FAMILY, ALONE))


def epochs_by_family(hypermodel: Any, epochs: int) -> dict[str, int]:
    """How many epochs a full training of each family has.

    Args:
        hypermodel: If it has `members`, as `hypermodels.Families`, these are the families.
        epochs: Of those that train by epochs; one whose `by_epochs` is false is done after one.
    """
    members = getattr(hypermodel, "members", None) or {ALONE: hypermodel}
    return {
        family: epochs if getattr(member, "by_epochs", True) else 1
        for family, member in members.items()
    }
