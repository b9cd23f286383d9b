"""The next configuration: planned ones first, then the sampler's, never one twice."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from keras_tuner.engine.trial import Trial, TrialStatus

from hypermodels import FAMILY
from kt_tuning.errors import SearchError
from kt_tuning.search.distributions import SearchSpace, Values
from kt_tuning.search.drawing import Drawing
from kt_tuning.search.samplers import Strategy, neighbours
from kt_tuning.search.study import Proposal, SearchStudy

HOPELESS = 10
"""Failed trials after which a search without any success gives up."""


@dataclasses.dataclass(frozen=True)
class Restriction:
    """Which families a new trial may be of.

    Attributes:
        affordable: Those that there is time for; a configuration of another one is not proposed.
        preferred: Of these, those that the sampler may choose; best first.
    """

    affordable: Collection[str]
    preferred: Sequence[str]


class Proposer:
    """Decides which configuration is next.

    Args:
        strategy: Makes samplers.
        defaults_first: Whether trial 0 has the defaults.
    """

    def __init__(self, strategy: Strategy, *, defaults_first: bool) -> None:
        self._strategy = strategy
        self._defaults_first = defaults_first
        self._wishes: list[Values] = []
        self._keys: dict[str, str] = {}
        self._succeeded = False
        self._failures: list[str | None] = []

    def wish(self, values: Values) -> None:
        """Plan a configuration, or some values of one."""
        self._wishes.append(values)

    def keep_wishes(self, kept: SearchStudy, space: SearchSpace) -> None:
        """Add what was wished for to the study's queue, once the space is known.

        Raises:
            OptionError: if it does not fit into the space.
        """
        while self._wishes and space.parameters:
            kept.enqueued.add(space.check(self._wishes[0]))
            del self._wishes[0]

    def note(self, trial: Trial) -> None:
        """Hear of a trial, running or ended."""
        self._keys[trial.trial_id] = _key(trial.hyperparameters.values)
        if trial.status == TrialStatus.COMPLETED:
            self._succeeded = True

    def note_failure(self, trial: Trial) -> None:
        """Hear of a trial of this run that failed: whoever starts anew may have found the cause."""
        self._failures.append(trial.message)

    def propose(
        self,
        kept: SearchStudy,
        space: SearchSpace,
        near: int | None = None,
        restriction: Restriction | None = None,
    ) -> Proposal | None:
        """The next configuration: the defaults, then wishes, then the sampler's.

        It depends on the seed, on how many trials there were and on what is in the study, on
        nothing else, save the time that is left: a search that is resumed goes on with the very
        ones it would have had.

        Args:
            kept: The search's study.
            space: To draw from.
            near: Number of the trial that it should be a neighbour of, unless it is a wish.
            restriction: Which families it may be of; None: any.

        Returns:
            The configuration, or None if every one has been tried.

        Raises:
            OptionError: if what was wished for does not fit into the space.
            SearchError: if the first `HOPELESS` trials failed, all of them.
        """
        if len(self._failures) >= HOPELESS and not self._succeeded:
            raise SearchError(
                f"All {len(self._failures)} trials failed; the first one: {self._failures[0]}"
            )
        self.keep_wishes(kept, space)
        index = len(self._keys)
        strategy = self._strategy if near is None else neighbours(near)
        drawing = Drawing(kept, space, strategy, index, tried=self._was_tried)
        if self._defaults_first and index == 0:
            return drawing.untried(space.defaults())
        for values in kept.enqueued.waiting():
            family = values.get(FAMILY)
            if restriction and family is not None and family not in restriction.affordable:
                continue
            proposal = drawing.untried(values)
            if proposal is not None:
                return dataclasses.replace(proposal, enqueued=values)
            kept.enqueued.remove(values)
        if restriction is None:
            return drawing.untried({})
        return _within(drawing, kept, restriction.preferred)

    def _was_tried(self, values: Values) -> bool:
        return _key(values) in self._keys.values()


def _within(drawing: Drawing, kept: SearchStudy, families: Sequence[str]) -> Proposal | None:
    """A configuration of one of some families; if the sampler chooses another one, of the first."""
    if not families:
        return None
    proposal = drawing.untried({})
    if proposal is None or proposal.values[FAMILY] in families:
        return proposal
    kept.storage.discard()
    drawn = (drawing.untried({FAMILY: family}) for family in families)
    return next((proposal for proposal in drawn if proposal is not None), None)


def _key(values: Mapping[str, Any]) -> str:
    """Equal configurations, equal keys."""
    return json.dumps(dict(values), sort_keys=True)
