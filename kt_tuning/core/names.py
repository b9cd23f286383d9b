"""Names: lookup regardless of case and punctuation, one form of accents, printable text."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Collection, Mapping
from typing import Any

from kt_tuning.core.errors import OptionError

_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def find_name(
    name: Any,
    known: Collection[str],
    what: str,
    *,
    aliases: Mapping[str, str] | None = None,
    hint: str = "",
) -> str:
    """Return the known name that a user's spelling matches.

    Case, spaces, hyphens, underscores and other punctuation are ignored.

    Args:
        name: The user's spelling.
        known: The valid names.
        what: The kind of thing, in the singular, for the message: "strategy".
        aliases: Alternative names, such as those of other libraries, and the known names they mean.
        hint: Other accepted values, appended to the message: "or a sampler of Optuna".

    Raises:
        OptionError: if no name matches; the message suggests a similar one and lists all.
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


def composed(name: str) -> str:
    """Return a name with accents as parts of letters (NFC); macOS writes them on their own."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def printable(value: object) -> str:
    r"""Return `value` as text that any terminal, file and XML document may hold.

    Control characters but tabs and line ends, surrogates (of file names that are not Unicode) and
    non-characters become \x1b, for example: a terminal would obey escape sequences.
    """
    return _UNPRINTABLE.sub(lambda found: ascii(found[0])[1:-1], str(value))


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.casefold())


def is_one_line(name: str) -> bool:
    """Return whether a name is Unicode on one line, without control characters, and not empty."""
    try:
        name.encode()
    except UnicodeEncodeError:  # of a folder whose name is not in UTF-8
        return False
    return name.splitlines() == [name] and name == printable(name)
