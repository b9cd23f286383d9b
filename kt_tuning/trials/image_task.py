"""The task of training on images with a recipe."""

from __future__ import annotations

import functools
import time
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import keras_tuner
import numpy as np
from numpy.typing import NDArray

from hypermodels.frozen import Features, FrozenPart, learns_only_head
from kt_tuning.augment import augment, mix
from kt_tuning.core.errors import DataError, OptionError
from kt_tuning.core.names import find_name
from kt_tuning.core.units import count
from kt_tuning.data import ImageData
from kt_tuning.data.batch_loader import FollowEpochs, Loader
from kt_tuning.data.batches import Batches, Random
from kt_tuning.evaluation import METRICS, metrics_for, predict_split, score
from kt_tuning.evaluation.predict import checked_probabilities
from kt_tuning.features import FeatureCache, Views
from kt_tuning.recipe import NO_BALANCE, SAMPLING, WEIGHTS, FitPlan, Recipe
from kt_tuning.trials.building import has_own_fit
from kt_tuning.trials.callbacks import SIZE, BatchGrowth, Deadline, copy_callbacks
from kt_tuning.trials.checkpoint import TrainingState
from kt_tuning.trials.classifiers import (
    check_classifier,
    compiled_metrics,
    needs_one_hot,
    one_hot,
)
from kt_tuning.trials.keras_fast import is_prepared, prepare_classifier
from kt_tuning.trials.metrics import COSTS
from kt_tuning.trials.spec import TrialFailedError
from kt_tuning.trials.task import Probabilities, Task

EVERY_EPOCH = ("accuracy", "log_loss")
EXTRACTING, VIEWS = 0.8, 0.4
"""Shares of a limited time for the features of a frozen network, if its head is fitted to them by a
solver, and if the rest of the network is trained on several views of each image."""
TRIED_IMAGES = 8
"""Images that a model predicts before it is trained."""


class ImageTask(Task):
    """Trains on images with a recipe; one pass over the validation split gives every metric.

    Args:
        hypermodel: Builds the models.
        data: The images.
        recipe: How they are trained.
        objectives: Names of metrics, such as "val_accuracy", of costs, or of metrics that the
            models are compiled with.
        callbacks: Callbacks of the user, copied for each trial.
    """

    measures_itself = True

    def __init__(
        self,
        hypermodel: keras_tuner.HyperModel,
        data: ImageData,
        recipe: Recipe,
        *,
        objectives: Sequence[str],
        callbacks: Sequence[keras.callbacks.Callback] = (),
    ) -> None:
        known = {*COSTS, "val_loss", *(f"val_{name}" for name in METRICS)}
        self._compiled = [objective for objective in objectives if objective not in known]
        self._model: weakref.ref[keras.Model] | None = None
        self.hypermodel = hypermodel
        self.precision = recipe.precision
        self._data = data
        self._recipe = recipe
        self._callbacks = callbacks
        self._kept: tuple[str, NDArray[np.float32]] | None = None
        names = [objective.removeprefix("val_") for objective in objectives]
        asked = [name for name in names if name in METRICS]
        self._names = tuple(dict.fromkeys((*EVERY_EPOCH, *asked)))
        self._asks_log_loss = "log_loss" in asked

    @property
    def asks_model(self) -> bool:
        """Whether an objective is a metric that only compiled models may have."""
        return bool(self._compiled)

    def check(self, model: keras.Model) -> None:
        """Refuse a model for other images or classes, or without probabilities."""
        split = self._data.train
        images = split.take(np.arange(min(TRIED_IMAGES, len(split))))
        check_classifier(model, images, self._data.classes)
        if not model.compiled and not has_own_fit(self.hypermodel):
            raise OptionError(
                "The hypermodel returns a model that is not compiled: in `build`, call "
                "model.compile(optimizer, loss, metrics)."
            )
        if self._compiled:
            known = ["val_loss", *(f"val_{name}" for name in METRICS)]
            measured = compiled_metrics(model, self._targets(model)[:1], None)
            for objective in self._compiled:
                find_name(objective, [*known, *measured], "objective on images")

    def prepare(self, model: keras.Model) -> None:
        """Replace the training loop so that the training step is traced once."""
        frozen = getattr(model, "frozen", None)
        self._model = weakref.ref(model)
        prepare_classifier(model if frozen is None else frozen.head, self._data.classes)

    def fit(
        self,
        hp: keras_tuner.HyperParameters,
        model: keras.Model,
        state: TrainingState,
        *,
        seed: int,
        callbacks: Sequence[keras.callbacks.Callback],
        folder: str = "",
    ) -> Any:
        """Train on shuffled, augmented, mixed batches; the head of a frozen network on features."""
        plan, classes = self._recipe.plan(hp.values), self._data.classes
        frozen, start = getattr(model, "frozen", None), getattr(model, "start", None)
        deadline = next((each for each in callbacks if isinstance(each, Deadline)), None)
        callbacks = [*callbacks, *copy_callbacks(self._callbacks, hp, folder)]
        if frozen is not None and start is None:
            features = self._training_features(frozen, plan, deadline)
            return self.hypermodel.fit(
                hp, model, features, initial_epoch=state.done, callbacks=callbacks
            )
        options: dict[str, Any] = {}
        if start is not None:
            options["start"] = self._training_features(start, plan, deadline)
        soft = plan.mixing is not None
        if model.built and model.output_shape == (None, classes):
            soft = soft or needs_one_hot(model, classes)
        if frozen is None:
            size = state.memory.get(SIZE, plan.batch_size)
            loader = Loader(self._batches(plan, size, seed, soft=soft))
            callbacks = [*self._growth(model, loader, plan, state.memory), *callbacks]
        else:
            until = None if deadline is None else self._extracting_until(deadline, VIEWS)
            views = Views(self._data.train, frozen, self._cache, plan.policy, until=until)
            loader = Loader(
                self._batches(plan, plan.batch_size, seed, soft=soft, views=views), threads=0
            )
            options["frozen"] = True
        with loader:
            return self.hypermodel.fit(
                hp,
                model,
                loader,
                epochs=state.epochs,
                initial_epoch=state.done,
                shuffle=False,
                verbose=0,
                callbacks=[FollowEpochs(loader), *callbacks],
                **options,
            )

    @property
    def _cache(self) -> FeatureCache:
        return FeatureCache(self._data.content, len(self._data.labels))

    def _training_features(
        self, frozen: FrozenPart, plan: FitPlan, deadline: Deadline | None
    ) -> Features:
        """Return features of the training images without augmentation and mixing.

        If time is short, of some images only: features of the validation images are always needed.
        """
        split, at = self._data.train, None
        if deadline is not None:
            at = self._extracting_until(deadline, EXTRACTING)
            self._cache.of(self._data.validation, frozen)
        places, values = self._cache.until(split, frozen, at)
        if deadline is not None and len(places) < len(split):
            deadline.cut(f"after {len(places):,} of {count(len(split), 'training image')}")
        labels, weights = split.labels[places], None
        if plan.balance != NO_BALANCE:
            by_label = self._data.class_weights()
            weights = np.array([by_label[label] for label in labels.tolist()])
        return Features(values, labels, weights)

    def _extracting_until(self, deadline: Deadline, share: float) -> float:
        """Return the value of `time.monotonic()` at which computing features stops."""
        now = time.monotonic()
        return now + share * (deadline.at - now)

    def _validation_features(self, frozen: FrozenPart) -> NDArray[np.float32]:
        """Return features of the validation images; those of the last network are kept."""
        if self._kept is None or self._kept[0] != frozen.digest:
            self._kept = frozen.digest, self._cache.of(self._data.validation, frozen)
        return self._kept[1]

    def _growth(
        self, model: keras.Model, loader: Loader, plan: FitPlan, memory: dict[str, Any]
    ) -> list[BatchGrowth]:
        if not plan.grows:
            return []
        if not is_prepared(model):
            # Keras counts the batches of an epoch only once.
            raise OptionError(
                "`max_batch_size` needs the training loop of kt-tuning, which trains functional "
                "models on TensorFlow, compiled without run_eagerly, jit_compile and "
                "steps_per_execution, on one device. Set `max_batch_size` to None."
            )
        return [BatchGrowth(loader, plan.max_batch_size, memory)]

    def _batches(
        self, plan: FitPlan, size: int, seed: int, *, soft: bool, views: Views | None = None
    ) -> Batches:
        """Return batches of images, or of features of one view of each image, without mixing."""
        classes, change, blend = self._data.classes, None, None
        if views is not None:
            change = Random(views.choose, 1)
        elif plan.policy.steps:
            change = Random(functools.partial(augment, plan.policy), plan.policy.draws)
        if plan.mixing is not None and views is None:
            blend = Random(functools.partial(mix, plan.mixing, classes=classes), plan.mixing.draws)
        elif soft:
            blend = Random(functools.partial(one_hot, classes=classes), 0)
        return Batches(
            self._data.train if views is None else views,
            size,
            seed=seed,
            augment=change,
            mix=blend,
            balanced=plan.balance == SAMPLING,
            class_weight=self._data.class_weights() if plan.balance == WEIGHTS else None,
        )

    def patience(self, values: Mapping[str, Any]) -> int | None:
        """Return the recipe's patience."""
        return self._recipe.patience

    def predict(self, model: keras.Model) -> Probabilities:
        """Return probabilities (N, classes) on the validation split."""
        if (frozen := getattr(model, "frozen", None)) is not None:
            return frozen.classify(self._validation_features(frozen))
        return predict_split(model, self._data.validation)

    def predict_mirrored(
        self, hp: keras_tuner.HyperParameters, model: keras.Model
    ) -> Probabilities | None:
        """Predict mirror images if the model was trained on some.

        Linear probes are left out: they would need the features of all mirror images, and have the
        hyperparameter `mirror` for these. So are models with channels first.
        """
        channels_last = keras.config.image_data_format() == "channels_last"
        mirrors = self._recipe.plan(hp.values).policy.mirrors
        if not mirrors or not channels_last or learns_only_head(model):
            return None
        return predict_split(
            model,
            self._data.validation,
            predict=lambda images: model.predict_on_batch(images[:, :, ::-1]),
        )

    def measure(self, predictions: Probabilities) -> dict[str, float]:
        """Return `val_loss` (cross-entropy in nats), `val_accuracy` and the objectives.

        Raises:
            TrialFailedError: if the predictions are finite but no probabilities.
        """
        if np.isfinite(predictions).all():
            try:
                checked_probabilities(predictions, len(self._data.validation))
            except DataError as error:
                raise TrialFailedError(str(error)) from error
        return self._score(predictions, self._names)

    def describe(self, predictions: Probabilities) -> dict[str, float]:
        """Return every metric in `METRICS`."""
        return self._score(predictions, metrics_for(self._data.classes))

    def _score(self, predictions: Probabilities, names: tuple[str, ...]) -> dict[str, float]:
        measured = score(self._data.validation.labels, predictions, names)
        values = {f"val_{name}": value for name, value in measured.items()}
        values = {"val_loss": values["val_log_loss"], **values}
        if not self._asks_log_loss:
            del values["val_log_loss"]
        model = self._model() if self._compiled and self._model else None
        if model is not None:
            own = compiled_metrics(model, self._targets(model), predictions)
            values.update((name, own[name]) for name in self._compiled)
        return values

    def _targets(self, model: keras.Model) -> NDArray[Any]:
        """Labels of the validation images, in the form that the model was compiled for."""
        labels, classes = self._data.validation.labels, self._data.classes
        soft = self._recipe.mixes or needs_one_hot(model, classes)
        return np.eye(classes, dtype=np.float32)[labels] if soft else labels
