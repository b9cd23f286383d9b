"""The marks of tests, by patterns of their files; setup.cfg describes the marks."""

from fnmatch import fnmatch

INTEGRATION = (
    "*/test_mlflow_tracker.py",
    "*/test_ray_executor.py",
    "*/test_report_in_chromium.py",
    "*/test_shared_study.py",
    "*/test_tuner_tracker.py",
    "*/test_wandb_tracker.py",
)
"""They need another program or service."""

SLOW = (
    "test_documented_code.py",
    "test_notebooks.py",
    "test_site.py",
    "hypermodels/compiling/test_averaging.py",
    "hypermodels/test_backbone_files.py",
    "hypermodels/test_every_family.py",
    "hypermodels/test_finetune.py",
    "hypermodels/test_linear_probe.py",
    "hypermodels/test_pretrained.py",
    "hypermodels/test_training_step.py",
    "kt_tuning/core/test_pickling.py",
    "kt_tuning/data/test_worker_pool.py",
    "kt_tuning/ensembling/test_ensemble.py",
    "kt_tuning/ensembling/test_ensemble_files.py",
    "kt_tuning/evaluation/test_evaluate_parts.py",
    "kt_tuning/execution/*",
    "kt_tuning/export/test_every_format.py",
    "kt_tuning/export/test_export_linear_probe.py",
    "kt_tuning/export/test_export_saved_model.py",
    "kt_tuning/finalize/*",
    "kt_tuning/report/test_report_page.py",
    "kt_tuning/search/*",
    "kt_tuning/test_*",
    "kt_tuning/trials/*",
    "kt_tuning/tuners/*",
)
"""They train models, or start processes."""

QUICK = (
    "kt_tuning/execution/test_worker_resources.py",
    "kt_tuning/finalize/test_boosting_round.py",
    "kt_tuning/search/test_distributions.py",
    "kt_tuning/search/test_objectives.py",
    "kt_tuning/search/test_oracle.py",
    "kt_tuning/search/test_oracle_enqueue.py",
    "kt_tuning/search/test_pruning.py",
    "kt_tuning/search/test_samplers.py",
    "kt_tuning/search/test_storage_urls.py",
    "kt_tuning/test_recipe.py",
    "kt_tuning/test_run_options.py",
    "kt_tuning/test_summaries.py",
    "kt_tuning/trials/test_trial_files.py",
    "kt_tuning/tuners/test_signatures.py",
)
"""Exceptions from `SLOW`."""


def mark_of(file: str) -> str | None:
    """Return "integration", "slow" or None.

    Args:
        file: Path of a test file below this folder, with slashes.
    """

    def is_one_of(patterns: tuple[str, ...]) -> bool:
        return any(fnmatch(file, pattern) for pattern in patterns)

    if is_one_of(INTEGRATION):
        return "integration"
    return "slow" if is_one_of(SLOW) and not is_one_of(QUICK) else None
