"""The Optuna study of a search: how it is opened, written and read back."""

from kt_tuning.search.study.open_study import open_study, read_earlier
from kt_tuning.search.study.search_study import SearchStudy
from kt_tuning.search.study.trial_states import Proposal
from kt_tuning.search.study.warm_start import adopt_trials, check_objectives

__all__ = [
    "Proposal",
    "SearchStudy",
    "adopt_trials",
    "check_objectives",
    "open_study",
    "read_earlier",
]
