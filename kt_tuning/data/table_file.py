"""Reading of tables: text files of any usual separator and encoding, and Parquet."""

from __future__ import annotations

import codecs
import io
import logging
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from kt_tuning.core.errors import StorageError, require_extra

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (".csv", ".tsv", ".parquet")
"""Endings of files that are tables."""
MISSING = ("", "NA", "N/A", "#N/A", "<NA>", "NaN", "nan", "null", "NULL")
"""Cells of a text file that are empty. "None" is a class."""
SEPARATORS = (",", "\t", ";", "|")
"""Separators of cells in text files, the likeliest first."""


def read_table_file(path: Path) -> pd.DataFrame:
    """Read a `.csv`, `.tsv` or `.parquet` file; all cells of a text file are text.

    Raises:
        StorageError: if it cannot be read.
    """
    import pandas as pd

    try:
        if path.suffix.lower() == ".parquet":
            require_extra(str(path), "parquet", "pyarrow")
            return pd.read_parquet(path)
        # Excel's own first line, which says what the others show.
        text = re.sub(r"\Asep=.\s*\n", "", _text(path))
        first = next((line for line in text.splitlines() if line.strip()), "")
        outside = re.sub('"[^"]*"', "", first)
        with warnings.catch_warnings():
            # Of rows longer than the first line, pandas would leave out cells.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            # As text: file names such as 007 and labels such as 1 stay as they are written.
            return pd.read_csv(
                io.StringIO(text),
                sep=max(SEPARATORS, key=outside.count),
                dtype=str,
                index_col=False,
                keep_default_na=False,
                na_values=MISSING,
            )
    except FileNotFoundError:
        raise StorageError(f"No such file: {path}") from None
    except (OSError, ValueError, pd.errors.ParserWarning) as error:
        longer = isinstance(error, pd.errors.ParserWarning)
        reason = "rows have more cells than its first line" if longer else str(error).strip()
        raise StorageError(f"Cannot read the table {path}: {reason}") from error


def _text(path: Path) -> str:
    """Return the text of a file in UTF-8, in UTF-16 with its mark, or else in Windows-1252.

    Raises:
        ValueError: if it is no text.
    """
    content = path.read_bytes()
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16")
    if b"\0" in content:
        raise ValueError("it is not a text file")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        try:
            text = content.decode("cp1252")
        except UnicodeDecodeError:
            raise ValueError(f"{error}. Save it as UTF-8") from error
    odd = next((word for word in re.split(r'[\s,;|"]+', text) if not word.isascii()), "")
    logging.getLogger("kt_tuning").warning(
        "%s is not in UTF-8. It is read as Windows-1252, which makes words such as %r. Save it as "
        "UTF-8 if that is wrong.",
        *(path, odd),
    )
    return text
