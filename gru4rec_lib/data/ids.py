"""Ids and categories as texts: `12` and `12.0` are one id that a float column has split."""

from __future__ import annotations

import numpy as np
import pandas as pd

# Whole numbers of a float column as pandas writes them; a missing cell makes an integer column a float one. `007` and
# `1e5` are ids, written so on purpose.
FLOAT = r"(?:-?[0-9]+\.0+|-?[0-9](?:\.[0-9]+)?e\+[0-9]+)"
_WHOLE = r"(?:-?(?:0|[1-9][0-9]*))"
REMEDY = "write it in one way, whole numbers such as by .astype('Int64') in pandas"


def among(ids: pd.Series | pd.Index, others: pd.Series | pd.Index) -> np.ndarray:
    """Find the ids that occur among others; pandas' `isin` compares texts one by one in Python.

    Args:
        ids: texts or whole numbers.
        others: of the same kind.

    Returns:
        bool [ids].
    """
    return pd.Series(ids, dtype=object).isin(pd.Series(others, dtype=object)).to_numpy()


def written_twice(*columns: pd.Series | pd.Index | list[str]) -> list[tuple[str, str]]:
    """Find the ids that are written both as floating and as whole numbers.

    Args:
        columns: texts whose values are compared with each other; missing ones are left out.

    Returns:
        Pairs such as (`12.0`, `12`), in the order of the first.
    """
    texts = pd.concat([pd.Series(column, dtype="str").drop_duplicates() for column in columns])
    texts = texts.dropna().drop_duplicates()
    floats = texts[texts.str.fullmatch(FLOAT)]
    if floats.empty:
        return []
    wholes = texts[texts.str.fullmatch(_WHOLE)]
    whole = dict(zip(map(float, wholes), wholes, strict=True))
    return [(text, whole[float(text)]) for text in floats if float(text) in whole]
