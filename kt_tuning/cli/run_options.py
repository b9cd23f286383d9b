"""The options of `run`: what each is, what it means, and where `--help` shows it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kt_tuning.cli.config import read_config

SEARCH, TRAINING, LIMITS, DATA = "Search", "Training", "Limits", "Data"
MACHINES = "Machines"

Folder = Annotated[
    Path,
    typer.Argument(
        help="One sub-folder a class, or train/, val/ and test/ holding those; or a table (.csv, "
        ".tsv, .parquet) with a column of file names and one of labels; or an .npz file with the "
        "arrays x and y, or x_train, y_train, x_test, y_test."
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        help="Run directory; started again, it resumes the same search.",
        show_default="runs/<name of the source>, never among the images",
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(
        help="YAML file of these options: what `kt-tuning config` prints, or config.yaml of a "
        "run directory. What is said here besides counts more.",
        is_eager=True,
        callback=read_config,
    ),
]
Refit = Annotated[
    bool | None,
    typer.Option(
        "--refit/--no-refit",
        help="Train the ensemble's members again, on training and validation images, before "
        "evaluation. By default if they contain a pre-trained network and that takes little time.",
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite",
        help="Delete the files of an earlier search in the run directory when this one begins.",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No live view.")]

Hypermodel = Annotated[
    list[str] | None,
    typer.Option(
        help="Family of models, see `kt-tuning hypermodels`; several are searched together. auto: "
        "those that suit the images and the pre-trained networks that are at hand.",
        show_default="auto",
        rich_help_panel=SEARCH,
    ),
]
Backbone = Annotated[
    str | None,
    typer.Option(
        help="Pre-trained network of finetune and linearprobe, downloaded if it is not here: a "
        "name of `kt-tuning backbones`, a .keras file, or hf://… or kaggle://… for KerasHub.",
        show_default="all that are at hand",
        rich_help_panel=SEARCH,
    ),
]
Fix = Annotated[
    list[str] | None,
    typer.Option(
        help="NAME=VALUE of a hyperparameter that is not searched; may be repeated. With "
        "several families, FAMILY/NAME=VALUE is for one of them.",
        show_default="all are searched",
        rich_help_panel=SEARCH,
    ),
]
Hyperparameters = Annotated[
    Path | None,
    typer.Option(
        help="YAML file that fixes or narrows hyperparameters: NAME: VALUE, NAME: [VALUE, …] "
        "or NAME: {min: …, max: …, step: …, sampling: …}.",
        rich_help_panel=SEARCH,
    ),
]
Objective = Annotated[
    list[str] | None,
    typer.Option(
        help="val_accuracy, val_loss, val_f1, val_roc_auc, …; repeated, also parameters, "
        "flops, latency.",
        show_default="val_accuracy",
        rich_help_panel=SEARCH,
    ),
]
Strategy = Annotated[
    str,
    typer.Option(
        help="auto, random, grid, qmc, tpe, gp (or bayesian), cmaes, genetic, evolution, "
        "hyperband, asha, bohb.",
        rich_help_panel=SEARCH,
    ),
]
Pruner = Annotated[
    str | None,
    typer.Option(
        help="none, median, percentile, patient, asha, hyperband, wilcoxon.",
        show_default="what goes with the strategy",
        rich_help_panel=SEARCH,
    ),
]
TimeLimit = Annotated[
    str | None,
    typer.Option(
        help="Wall-clock of the whole command: 90s, 10m, 1h30m. Trials get what reading the images "
        "and evaluating and exporting the winner leave, a third at least.",
        rich_help_panel=SEARCH,
    ),
]
MaxTrials = Annotated[
    int | None,
    typer.Option(
        help="Trials, at most.",
        show_default="20 without a time limit",
        rich_help_panel=SEARCH,
    ),
]
Folds = Annotated[
    int | None,
    typer.Option(
        help="Cross-validate each configuration on so many folds.", rich_help_panel=SEARCH
    ),
]
Executions = Annotated[
    int,
    typer.Option(help="Trainings of each configuration, averaged.", rich_help_panel=SEARCH),
]
EnsembleSize = Annotated[
    int, typer.Option(help="Best trials that may join the ensemble.", rich_help_panel=SEARCH)
]
Price = Annotated[
    float,
    typer.Option(
        help="What a member of the ensemble must pay: the share of the loss that is worth a "
        "doubling of the parameters; from 0, where cost does not matter, to less than 1.",
        rich_help_panel=SEARCH,
    ),
]
Seed = Annotated[int, typer.Option(help="Of everything random.", rich_help_panel=SEARCH)]

Epochs = Annotated[int, typer.Option(help="Epochs of a full training.", rich_help_panel=TRAINING)]
BatchSize = Annotated[
    list[int] | None,
    typer.Option(help="Several are searched.", show_default="64", rich_help_panel=TRAINING),
]
MaxBatchSize = Annotated[
    list[int] | None,
    typer.Option(
        help="Double the batches, up to so many images, whenever the training loss stalls; "
        "several are searched.",
        show_default="batches do not grow",
        rich_help_panel=TRAINING,
    ),
]
Augment = Annotated[
    str | None,
    typer.Option(
        help="none, light, photo, standard, strong, text, randaugment, trivial, augmix; or search.",
        show_default="light; photo from 96 pixels",
        rich_help_panel=TRAINING,
    ),
]
Mixup = Annotated[
    list[float] | None,
    typer.Option(
        help="α of MixUp; several are searched.", show_default="0", rich_help_panel=TRAINING
    ),
]
Cutmix = Annotated[
    list[float] | None,
    typer.Option(
        help="α of CutMix; several are searched.", show_default="0", rich_help_panel=TRAINING
    ),
]
Balance = Annotated[
    list[str] | None,
    typer.Option(
        help="How rare classes count as much as frequent ones: none, weights (of the loss), "
        "sampling; several are searched.",
        show_default="none",
        rich_help_panel=TRAINING,
    ),
]
Patience = Annotated[
    int | None,
    typer.Option(help="Stop a trial after so many epochs in vain.", rich_help_panel=TRAINING),
]
Precision = Annotated[
    str,
    typer.Option(
        help="What training computes with: float32, mixed_bfloat16, mixed_float16; auto is the "
        "fastest that the device has.",
        rich_help_panel=TRAINING,
    ),
]

Workers = Annotated[
    str,
    typer.Option(
        help="Trials at the same time; auto is one a GPU, or a processor. ray, or ray://host:port: "
        "on a Ray cluster, as many as it has room for; ray?cpus=2&gpus=0.25&storage=/shared says "
        "what each of them gets, and where what it goes on from is kept.",
        rich_help_panel=MACHINES,
    ),
]
Storage = Annotated[
    str | None,
    typer.Option(
        help="Database that keeps the study, postgresql://user@host/name or mysql://…: the same "
        "command on several machines, with --out on a file system that all of them have, is one "
        "search. A password comes from KT_TUNING_STORAGE_PASSWORD; it is not written anywhere.",
        show_default="study.db in the run directory",
        rich_help_panel=MACHINES,
    ),
]
Track = Annotated[
    list[str] | None,
    typer.Option(
        help="Also log the search to tensorboard, csv, mlflow or wandb; may be repeated.",
        show_default="nowhere",
        rich_help_panel=MACHINES,
    ),
]

TrialTimeLimit = Annotated[
    str | None,
    typer.Option(help="Wall-clock of one trial.", rich_help_panel=LIMITS),
]
MaxStaleTrials = Annotated[
    int | None,
    typer.Option(
        help="End when so many trials in a row found nothing better.", rich_help_panel=LIMITS
    ),
]
MaxParameters = Annotated[
    int | None,
    typer.Option(help="Scalars in a model's weights, at most.", rich_help_panel=LIMITS),
]
MaxFlops = Annotated[
    int | None,
    typer.Option(help="Floating-point operations for one image, at most.", rich_help_panel=LIMITS),
]
MaxLatency = Annotated[
    float | None,
    typer.Option(help="Milliseconds for one image, at most.", rich_help_panel=LIMITS),
]

ImageSize = Annotated[
    int | None,
    typer.Option(
        help="Side in pixels.",
        show_default="from the images and the time limit",
        rich_help_panel=DATA,
    ),
]
Channels = Annotated[
    int | None,
    typer.Option(help="1 or 3.", show_default="from the images", rich_help_panel=DATA),
]
Limit = Annotated[
    int | None,
    typer.Option(help="Train and validate on this many images.", rich_help_panel=DATA),
]
MaxUnreadable = Annotated[
    float, typer.Option(help="Share of files that may be unreadable.", rich_help_panel=DATA)
]
Images = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the files that a table names.",
        show_default="that of the table",
        rich_help_panel=DATA,
    ),
]
Column = Annotated[
    list[str] | None,
    typer.Option(
        help="Column of a table, as file=NAME, label=NAME, split=NAME or group=NAME; repeated.",
        show_default="found by their usual names",
        rich_help_panel=DATA,
    ),
]
MaxMissing = Annotated[
    float,
    typer.Option(
        help="Share of a table's rows that may be left out: their file is missing, their label is "
        "empty, or another row contradicts it.",
        rich_help_panel=DATA,
    ),
]
Class = Annotated[
    list[str] | None,
    typer.Option(
        "--class",
        help="Sub-folder that is a class, whatever its name; repeated for each class, in the order "
        "of their labels. Others are left out.",
        show_default="all sub-folders",
        rich_help_panel=DATA,
    ),
]
Groups = Annotated[
    str | None,
    typer.Option(
        help="Images that stay on one side of the split: folder, for those of one folder below the "
        "class folders; or a regular expression with one group in parentheses that is looked for "
        r"in their paths, such as 'patient(\d+)'. Copies of an image always stay together.",
        show_default="copies only",
        rich_help_panel=DATA,
    ),
]
Normalize = Annotated[
    bool,
    typer.Option(
        "--normalize",
        help="Standardise pixels, inside the model, by the means and standard deviations of the "
        "training images' channels.",
        rich_help_panel=DATA,
    ),
]
