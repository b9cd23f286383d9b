"""Natural corruptions of images, in five severities."""

from kt_tuning.evaluation.corruptions.table import CORRUPTIONS, SEVERITIES, Corruption, corrupt

__all__ = ["CORRUPTIONS", "SEVERITIES", "Corruption", "corrupt"]
