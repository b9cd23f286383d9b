"""What decides what the trials of a search mean: kept with the run, and compared before more."""

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
