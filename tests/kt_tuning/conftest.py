"""Tuners that share a run directory."""

import pytest
from tiny_models import tiny


@pytest.fixture
def make_tuner(tmp_path):
    """Make tuners that share a run directory."""
    from kt_tuning import Tuner

    def make(hypermodel=tiny, **options):
        arguments = {"max_trials": 2, "epochs": 2, "directory": tmp_path, "project_name": "run"}
        return Tuner(hypermodel, **{**arguments, **options})

    return make
