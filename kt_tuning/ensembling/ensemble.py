"""Ensembles: weighted means of Keras models that are Keras models themselves."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kt_tuning.core.errors import DataError, OptionError
from kt_tuning.core.records import REFITTED, DataCard, check_image_batch
from kt_tuning.ensembling.combination import (
    MEMBER,
    Combination,
    check_members,
    combine_folds,
    sharpening_of,
)
from kt_tuning.ensembling.members import Member, Select, costs_of, stack_predictions
from kt_tuning.ensembling.problem import COST_PENALTY, LOG_LOSS
from kt_tuning.ensembling.record import EnsembleRecord, record_of
from kt_tuning.ensembling.run_files import (
    find_ensemble_file,
    read_ensemble_file,
    write_ensemble_file,
)
from kt_tuning.ensembling.solve import AUTO, solve
from kt_tuning.evaluation.predict import batches
from kt_tuning.evaluation.test_uses import model_digest

if TYPE_CHECKING:
    import keras

Floats = NDArray[np.floating[Any]]


class Ensemble:
    """The weighted mean of the calibrated probabilities of several Keras models.

    It can be converted to one Keras model (`to_keras`), so that the evaluated model is also the
    served one.

    Attributes:
        record: The members and how their weights were found, or None.
        card: The data that the members were trained on, or None; `export` needs it.
        provenance: Content of the provenance file that `export` writes.
    """

    def __init__(
        self,
        models: Sequence[keras.Model | Sequence[keras.Model]],
        weights: ArrayLike | Combination,
        *,
        record: EnsembleRecord | None = None,
        card: DataCard | None = None,
        provenance: Mapping[str, Any] | None = None,
        sharpening: float = 1.0,
    ) -> None:
        """Combine models with given weights; `Ensemble.fit` finds the weights.

        Args:
            models: K functional or Sequential models, uint8 pixels (n, H, W, C) ->
                probabilities (n, classes); with folds, K sequences of one model per fold.
            weights: (K,) non-negative numbers that sum to 1; or a combination of K members, with
                temperatures and calibration.
            record: See the class.
            card: See the class.
            provenance: See the class.
            sharpening: With folds, see `sharpening_of`.

        Raises:
            OptionError: if the models have different inputs or outputs, or the weights are invalid.
        """
        self._members = tuple(
            tuple(member) if isinstance(member, Sequence) else (member,) for member in models
        )
        self._models = tuple(model for member in self._members for model in member)
        check_members(self._models)
        if len(set(map(len, self._members))) > 1:
            raise OptionError(
                "All members should have models of the same number of folds. Received: "
                f"{[len(member) for member in self._members]}."
            )
        self._sharpening = sharpening
        if not isinstance(weights, Combination):
            weights = Combination(tuple(np.asarray(weights).tolist()))
        self._combination = weights
        if len(self._combination.weights) != len(self._members):
            raise OptionError(
                f"Expected one weight for each of the {len(self._members)} models. "
                f"Received: {len(self._combination.weights)} weights."
            )
        self._combined: keras.Model | None = None
        self.record = record
        self.card = card
        self.provenance = dict(provenance or {})

    @classmethod
    def from_members(
        cls,
        members: Sequence[Member],
        labels: ArrayLike,
        *,
        solver: str = AUTO,
        metric: str = LOG_LOSS,
        calibration: str = AUTO,
        cost_penalty: float = COST_PENALTY,
        select: Select | None = None,
        seed: int = 0,
    ) -> Self:
        """Calibrate candidates, find their weights, and keep those with a positive weight.

        Args:
            members: K candidates; only those that are kept are loaded.
            labels: (N,) integers in 0..C-1 of the rows that the members predicted.
            solver: "auto" or a name in `SOLVERS`; see `solve`.
            metric: Name in `METRICS`; see `solve`.
            calibration: "auto" or a name in `CALIBRATIONS`; see `solve`.
            cost_penalty: Share by which each doubling of the cost must reduce the loss, in [0, 1);
                see `solve`.
            select: Chooses the members that may be used; see `solve`.
            seed: Seed of `solve`.

        Raises:
            OptionError: if a name is unknown, the cost penalty is out of range, a member with a
                weight has no model, or the models have different inputs or outputs.
            DataError: if the predictions or labels are invalid; see `solve`.
        """
        predictions, truth = stack_predictions(members, labels)
        found = solve(
            predictions,
            truth,
            solver=solver,
            metric=metric,
            calibration=calibration,
            costs=costs_of(members),
            cost_penalty=cost_penalty,
            select=select,
            seed=seed,
        )
        record = record_of(found, members, truth)
        kept = found.combination.kept()
        by_fold = [members[index].models() for index in kept]
        folds = {len(models) for models in by_fold}
        if len(folds) > 1:
            # Members of different numbers of folds cannot be combined fold by fold.
            by_fold = [[members[index].model()] for index in kept]
        elif folds != {1}:
            sharpening = sharpening_of(record.combination, predictions[kept], truth, *folds)
            record = dataclasses.replace(record, folds=len(by_fold[0]), sharpening=sharpening)
        return cls(by_fold, record.combination, record=record, sharpening=record.sharpening)

    @classmethod
    def fit(
        cls,
        models: Sequence[keras.Model | Callable[[], keras.Model]],
        predictions: Sequence[ArrayLike],
        labels: ArrayLike,
        *,
        solver: str = AUTO,
        seed: int = 0,
    ) -> Self:
        """Combine models, with weights fitted to their predictions; see `from_members`.

        The members are named by their positions.

        Args:
            models: K models, or functions without arguments that load them; only those of the
                members that are kept are called.
            predictions: (K, N, C) probabilities of the models on validation rows.
            labels: (N,) integers in 0..C-1.
            solver: "auto" or a name in `SOLVERS`; see `solve`.
            seed: Seed of `solve`.

        Raises:
            OptionError: if the solver is unknown, or the models have different inputs or outputs.
            DataError: if the numbers of models and predictions differ, or predictions or labels
                are invalid.
        """
        if len(models) != len(predictions):
            raise DataError(
                "Expected as many models as predictions. Received: "
                f"{len(models)} models, {len(predictions)} predictions."
            )
        members = [
            Member(str(place), np.asarray(one), load=functools.partial(_as_model, model))
            for place, (model, one) in enumerate(zip(models, predictions, strict=True))
        ]
        return cls.from_members(members, labels, solver=solver, seed=seed)

    @property
    def weights(self) -> Floats:
        """(K,) weights, non-negative with sum 1; a copy."""
        return np.array(self._combination.weights)

    def to_keras(self) -> keras.Model:
        """Return the ensemble as one functional model with built-in layers.

        It maps uint8 pixels (n, H, W, C) to float32 probabilities (n, classes), and is made only
        once. The members are nested models "member_0", "member_1", …, which share their weights
        with the given models. With folds, each nested model combines the members of one fold.
        """
        if self._combined is None:
            self._combined = combine_folds(self._members, self._combination, self._sharpening)
        return self._combined

    def record_model(self) -> EnsembleRecord:
        """Return the record with the digest of this model, and store it in `record`.

        Raises:
            OptionError: if the ensemble has no record.
        """
        if self.record is None:
            raise OptionError("Only an ensemble that `fit` or `from_members` made has a record.")
        self.record = dataclasses.replace(self.record, model=model_digest(self))
        return self.record

    def predict(self, images: NDArray[np.uint8], batch_size: int | None = None) -> Floats:
        """Return float32 probabilities (N, classes) of uint8 images (N, H, W, C).

        Args:
            images: Any number of them.
            batch_size: Images at a time; None chooses it by their size.

        Raises:
            DataError: if the images are not uint8, or do not have the members' input shape.
        """
        check_image_batch(images, self._models[0].input_shape[1:])
        if batch_size is None:
            batch_size = len(batches(self, len(images), images.shape[1:])[0])
        return self.to_keras().predict(images, batch_size=batch_size, verbose=0)

    def predict_on_batch(self, images: NDArray[np.uint8]) -> Floats:
        """Predict all images in one batch, as a server does; `evaluate` measures its latency."""
        check_image_batch(images, self._models[0].input_shape[1:])
        return self._predict_on_batch(images)

    @functools.cached_property
    def _predict_on_batch(self) -> Callable[[NDArray[np.uint8]], Floats]:
        """Predicts as a server does: on TensorFlow one graph for any number of images."""
        import keras

        model = self.to_keras()
        if keras.config.backend() != "tensorflow":
            return model.predict_on_batch
        from kt_tuning.export.export_source import graph_of

        graph = graph_of(model, model.input_shape[1:])
        return lambda images: np.asarray(graph(images))

    def save(self, path: str | Path) -> None:
        """Write one `.keras` file for `Ensemble.load`; Keras can also load the model from it.

        Raises:
            OptionError: if `path` does not end in ".keras".
        """
        path = Path(path)
        if path.suffix != ".keras":
            raise OptionError(
                f"An ensemble is saved as a .keras file. Received: {path}. For a SavedModel use "
                "`export`."
            )
        facts = {
            "combination": self._combination.to_json(),
            "folds": len(self._members[0]),
            "sharpening": self._sharpening,
            "record": self.record and self.record.to_json(),
            "card": self.card and self.card.to_json(),
            "provenance": self.provenance,
        }
        write_ensemble_file(path, self.to_keras(), facts)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Load an ensemble that `save` wrote; it can predict, and be saved and exported again.

        Args:
            path: The `.keras` file, or a run directory with an ensemble.

        Raises:
            StorageError: if there is no such file, or it does not contain an ensemble.
        """
        path = Path(path)
        model, facts = read_ensemble_file(find_ensemble_file(path) if path.is_dir() else path)
        record, card, folds = facts["record"], facts["card"], facts["folds"]
        combination = Combination.from_json(facts["combination"], source=str(path))
        parts = [model] if folds == 1 else [model.get_layer(MEMBER.format(k)) for k in range(folds)]
        names = [MEMBER.format(index) for index in range(len(combination.weights))]
        ensemble = cls(
            [[part.get_layer(name) for part in parts] for name in names],
            combination,
            record=record and EnsembleRecord.from_json(record, source=str(path)),
            card=card and DataCard.from_json(card, source=str(path)),
            provenance=facts["provenance"],
            sharpening=facts["sharpening"],
        )
        ensemble._combined = model
        return ensemble

    def export(self, path: str | Path, *, check_images: NDArray[np.uint8] | None = None) -> Path:
        """Write a SavedModel with class names and provenance; see `export_model`.

        Args:
            path: The folder to write.
            check_images: Images on which export and ensemble are compared; random ones if None.

        Raises:
            OptionError: if the ensemble has no `card`.
        """
        if self.card is None:
            raise OptionError(
                "export writes the class names and the image size, which are in the data's "
                "card. Set `ensemble.card = data.card` first."
            )
        # Deferred: exporting needs TensorFlow, combining only Keras.
        from kt_tuning.export import export_model

        described = {} if self.record is None else {"ensemble": self.record.to_json()}
        return export_model(
            self.to_keras(),
            path,
            card=self.card,
            provenance=described | self.provenance,
            check_images=check_images,
        ).path

    def count_params(self) -> int:
        """Return the number of scalars in the weights of all members."""
        return sum(model.count_params() for model in self._models)

    def __len__(self) -> int:
        return len(self._members)

    def __repr__(self) -> str:
        shares = ", ".join(f"{weight:.3f}" for weight in self._combination.weights)
        solver = "" if self.record is None else f", solver={self.record.solver!r}"
        mirrored = ", mirrored" if self.record is not None and self.record.mirrored else ""
        refitted = "" if self.record is None or not self.record.refitted else f", {REFITTED}"
        return f"Ensemble(members={len(self)}, weights=[{shares}]{solver}{mirrored}{refitted})"


def _as_model(model: keras.Model | Callable[[], keras.Model]) -> keras.Model:
    import keras

    # A model is callable, too.
    return model if isinstance(model, keras.Model) else model()
