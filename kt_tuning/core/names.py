"""Names as users spell them: "ConvNet", "saved-model" and "TFLite" find their rows."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping
from typing import Any

from kt_tuning.core.errors import OptionError


def find_name(
    name: Any,
    known: Collection[str],
    what: str,
    *,
    aliases: Mapping[str, str] | None = None,
    hint: str = "",
) -> str:
    """Return the known name that a spelling stands for.

    Upper and lower case, spaces, hyphens, underscores and other punctuation make no difference.

    Args:
        name: As the user wrote it.
        known: The names that there are.
        what: What is named, in the singular, for the message: "strategy".
        aliases: Other names, such as those of other libraries, by which known ones are found.
        hint: What else is accepted, appended to the message: "or a sampler of Optuna".

    Raises:
        OptionError: if no known name is spelled so; the message names close ones, and all.
    """
    if isinstance(name, str):
        if name in known:
            return name
        spellings = {_plain(alias): target for alias, target in (aliases or {}).items()}
        spellings |= {_plain(one): one for one in known}
        found = spellings.get(_plain(name))
        if found is not None:
            return found
        close = difflib.get_close_matches(_plain(name), spellings, n=1)
        guess = f" Did you mean {spellings[close[0]]!r}?" if close else ""
    else:
        guess = ""
    also = f"; {hint}" if hint else ""
    raise OptionError(f"Unknown {what} {name!r}.{guess} Known: {', '.join(known)}{also}.")


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.casefold())
