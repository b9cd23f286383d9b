"""Features of frozen networks, computed once for each image."""

from kt_tuning.features.cache import FeatureCache

__all__ = ["FeatureCache"]
