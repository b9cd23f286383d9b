"""The definition of a search, which is stored with the run and compared when it is resumed."""

from kt_tuning.search.definition.record import SearchDefinition, as_stored, read_definition
from kt_tuning.search.definition.state import describe_hypermodel, describe_recipe, unchanged
from kt_tuning.search.definition.structure import describe_model

__all__ = [
    "SearchDefinition",
    "as_stored",
    "describe_hypermodel",
    "describe_model",
    "describe_recipe",
    "read_definition",
    "unchanged",
]
