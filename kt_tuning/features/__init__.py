"""Features of frozen networks, computed once."""

from kt_tuning.features.cache import FeatureCache
from kt_tuning.features.views import Views

__all__ = ["FeatureCache", "Views"]
