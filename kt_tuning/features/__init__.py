"""Features of frozen networks, computed once."""

from kt_tuning.features.cache import FeatureCache, Views

__all__ = ["FeatureCache", "Views"]
