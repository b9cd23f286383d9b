"""After the search: what won is trained again, as several members or as one that knows it all."""

from kt_tuning.retraining.bag import bag
from kt_tuning.retraining.boost import Boosted, boost
from kt_tuning.retraining.combining import combine
from kt_tuning.retraining.configuration import Configuration
from kt_tuning.retraining.distill import distill
from kt_tuning.retraining.snapshots import snapshots
from kt_tuning.retraining.teaching import distillation_loss

__all__ = [
    "Boosted",
    "Configuration",
    "bag",
    "boost",
    "combine",
    "distill",
    "distillation_loss",
    "snapshots",
]
