"""The base of the kinds of fuzzed input."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st


class Kind:
    """Base of the kinds of input.

    `feed` returns for a value that passes its checks and raises KtTuningError for a refusal;
    anything else that it raises is a fault.

    Attributes:
        cases: Strategy for the inputs.
        share: Of all inputs of a long run, in relation to those of the other kinds.
        heavy: Inputs that a long run feeds first.
        per_process: Inputs after which a long run starts another process; None for never.

    Args:
        folder: What all inputs need is made there, once.
    """

    cases: st.SearchStrategy[Any]
    share = 1
    heavy: tuple[Any, ...] = ()
    per_process: int | None = None

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def feed(self, case: Any, folder: Path) -> None:
        """Feed an input.

        Args:
            case: The input.
            folder: Empty.
        """
        raise NotImplementedError

    @contextlib.contextmanager
    def prepared(self) -> Iterator[None]:
        """Replace what takes long while inputs are fed."""
        yield

    def feed_many(
        self,
        count: int,
        folder: Path,
        note: Callable[[Any, Exception | None], None],
        *,
        before: Callable[[Any], None] = lambda case: None,
        start: int = 0,
        heavy: bool = False,
    ) -> None:
        """Feed inputs.

        Args:
            count: How many.
            folder: Made anew for each.
            note: Called with each input and the error that feeding it raised.
            before: Called with each input before it is fed.
            start: Seed of the inputs.
            heavy: Whether to feed the heavy ones first, too.
        """

        @seed(start)
        @settings(
            max_examples=count,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(self.cases)
        def each(case: Any) -> None:
            feed(case)

        def feed(case: Any) -> None:
            before(case)
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            caught = None
            try:
                self.feed(case, folder)
            except Exception as error:
                caught = error
            note(case, caught)

        with self.prepared():
            for case in self.heavy if heavy else ():
                feed(case)
            each()
