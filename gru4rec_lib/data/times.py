"""Times of events: unix seconds or ISO dates as text, in files as in DataFrames, and datetimes in DataFrames.

A date without a zone is UTC. No time is later than the year 9999: such numbers are milliseconds.
"""

from __future__ import annotations

import re
import warnings
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from numbers import Real
from reprlib import repr as short

import numpy as np
import pandas as pd

REMEDY = "write unix seconds or an ISO date and time"
END = 253402300800  # the year 10000
# For Python and SQL. A year has four digits; a zone is `Z`, `UTC`, `GMT` or an offset.
ISO = (
    r"([1-9][0-9]{3})(?:-([0-9]{1,2})-([0-9]{1,2})|/([0-9]{1,2})/([0-9]{1,2}))"
    r"(?:(?:T| +)(24:00(?::00)?|(?:[01]?[0-9]|2[0-3]):[0-5]?[0-9](?::[0-5]?[0-9](?:\.[0-9]+)?)?)"
    r"(Z| UTC| GMT|[+-](?:0[0-9]|1[0-5])(?::?[0-5][0-9])?)?)?"
)
_NUMBER = r"[ \t-\r]*[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[ \t-\r]*"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_YEAR = 365 * 86400
# Dates written as digits: by how many there are, the form and its resolution.
_FORMS = {
    6: (("%Y%m", "M"), ("%y%m%d", "D")),
    8: (("%Y%m%d", "D"),),
    10: (("%Y%m%d%H", "h"),),
    12: (("%Y%m%d%H%M", "m"),),
}
# 1970-01-01 in other counts of days. From 1990 to 2059 their numbers do not overlap.
_DAYS = {"days since 1970": 0, "days of a spreadsheet": 25569, "Python's ordinals": 719163, "Julian days": 2440587.5}
_FIRST_DAY, _LAST_DAY = 7305, 32872
_COUNTER = 100  # more whole numbers than these, none of them twice, count rows


def seconds(text: str) -> float:
    """Return the unix seconds of a time in a file, NaN where the text is no time.

    Args:
        text: a number, or an ISO date with or without a time.

    Returns:
        Unix seconds.
    """
    if re.fullmatch(_NUMBER, text):
        return float(text)
    found = re.fullmatch(ISO, text.strip(" "))
    if not found:
        return np.nan
    year, month, day, other_month, other_day, time, zone = found.groups()
    hour, minute, second, fraction = [*re.split("[:.]", time or "0"), "0", "0", "0"][:4]
    offset = re.sub("[^0-9]", "", zone or "").ljust(4, "0")
    offset = timedelta(hours=int(offset[:2]), minutes=int(offset[2:]))
    try:
        moment = datetime(int(year), int(month or other_month), int(day or other_day), tzinfo=UTC)
        moment += timedelta(hours=int(hour), minutes=int(minute), seconds=int(second))
        moment += offset if zone and zone[0] == "-" else -offset
    except (ValueError, OverflowError):  # such as the 30th of February
        return np.nan
    return ((moment - _EPOCH) // timedelta(microseconds=1) + int(f"{fraction:0<6.6}")) / 1e6


def of_column(events: pd.DataFrame, column: str, stacklevel: int = 4) -> np.ndarray:
    """Read the times of a DataFrame; warn where they are probably no unix seconds.

    Args:
        events: one row an event.
        column: of one kind, without gaps: datetimes or dates, finite numbers of unix seconds, or texts as in a file.
        stacklevel: of the warning; the default is the caller of the function whose callee calls this one.

    Returns:
        [events], to sort by: datetime64 in UTC where the column has dates, else float64 unix seconds.

    Raises:
        ValueError: a value is no time or of another kind than the first, or all are dates written as digits.
    """
    values = events[column]
    kind = "a date" if values.dtype.kind == "M" else "a number"
    if values.dtype.kind not in "iufM" and len(values):  # truth values, texts, categories, objects
        values = values.astype(object)
        kinds = values.map(type)
        kinds = kinds.map({one: _kind(one) for one in kinds.unique()})
        kind = kinds.iloc[0]
        _refuse(values, kinds.eq("no time"), column)
        _refuse(
            values, kinds.ne(kind), column, f"is of another kind than the first row's, {kind}; give all of one kind"
        )
    if kind == "a date":
        found = pd.to_datetime(values, utc=True).dt.tz_localize(None).to_numpy()
        _refuse(values, ~(np.abs(found.astype("datetime64[s]").astype(np.int64)) < END), column)
        return found
    if kind == "a text":
        code, texts = pd.factorize(values)
        found = np.array([seconds(text) for text in texts])[code]
    else:
        found = np.array([_float(one) for one in values]) if values.dtype == object else values.to_numpy(np.float64)
    _refuse(values, ~(np.abs(found) < END), column)
    doubt, is_sure = doubtful(found)
    if is_sure:
        raise ValueError(f"events: column {column!r}: {doubt}")
    if doubt:
        warnings.warn(f"events: column {column!r}: {doubt}", stacklevel=stacklevel)
    return found


def as_seconds(found: np.ndarray) -> np.ndarray:
    """Convert the times of `of_column` to float64 unix seconds.

    Args:
        found: datetime64 or float64.
    """
    return (found - np.datetime64(0, "s")) / np.timedelta64(1, "s") if found.dtype.kind == "M" else found


def doubtful(times: np.ndarray) -> tuple[str, bool]:
    """Find times that are probably no unix seconds.

    Certain are dates written as digits: whole numbers such as 20140711, of eight digits or more, all of them in the
    calendar. Possible are months, years and counts of days, where all times are in the range of one of them; and times
    of 1969 and 1970, where none is in the first half hour of 1970. A counter of rows is none of these: whole numbers
    without a repeat; where they could be years or days, more than 100.

    Args:
        times: float64 [n], unix seconds of one file or DataFrame.

    Returns:
        (a sentence, empty where nothing is doubtful; whether it is certain).
    """
    if not len(times) or 0 <= (low := times.min()) < 1900:
        return "", False
    high, is_whole = times.max(), not (times % 1).any()

    def looks_like(meant):
        read = date_time(times[0])
        return f"`{times[0]:.15g}` looks like {meant}, but is read as unix seconds, {read}; write ISO dates"

    if is_whole and (meant := _from_digits(times, low, high)):
        return looks_like(f"{meant} written as digits"), low >= 1e7
    if not -_YEAR <= low <= high < max(_YEAR, _DAYS["Julian days"] + _LAST_DAY):
        return "", False
    is_counter = is_whole and len(np.unique(times)) == len(times)
    if not (is_counter and len(times) > _COUNTER):
        if low >= 1900 and high < 2101:
            return looks_like(f"the year {times[0]:.0f}"), False
        for name, start in _DAYS.items():
            if start + _FIRST_DAY <= low and high < start + _LAST_DAY:
                return looks_like(f"{date_time((times[0] - start) * 86400)} in {name}"), False
    if is_counter or high >= _YEAR:
        return "", False
    both = f"from {date_time(low)} to {date_time(high)}"
    return f"all times are of 1969 and 1970, {both}; where they count no seconds, write ISO dates", False


def _from_digits(times: np.ndarray, low: float, high: float) -> str:
    """Return the first time as a date where all times are dates written as digits, else an empty text."""
    digits = len(f"{low:.0f}")
    scale = 10.0 ** (digits - 4)
    for form, unit in _FORMS.get(digits, ()) if high < scale * 1e4 else ():
        if form[:2] == "%y" or (1900 * scale <= low and high < 2101 * scale):
            whole, place = np.unique(times.astype(np.int64), return_index=True)
            dates = pd.to_datetime(whole.astype(str), format=form, errors="coerce")
            if not dates.isna().any():
                return str(np.datetime_as_string(dates.to_numpy()[place.argmin()], unit))
    return ""


def date_time(time: float) -> str:
    """Return unix seconds as a date and time in UTC, to the second.

    Args:
        time: unix seconds.
    """
    return str(np.datetime64(int(np.floor(time)), "s"))


def _kind(one: type) -> str:
    """Return what values of a type are: the first class that it is one of."""
    classes = {(bool, np.bool_, np.timedelta64): "no time", (str,): "a text", (date, np.datetime64): "a date"}
    classes[Real, Decimal] = "a number"
    return next((kind for known, kind in classes.items() if issubclass(one, known)), "no time")


def _float(number: Real | Decimal) -> float:
    try:
        return float(number)
    except (OverflowError, ValueError):  # 10**400, or a NaN that signals
        return np.nan


def _refuse(values: pd.Series, wrong, column: str, problem: str = "") -> None:
    """Raise an error that names the first wrong value and its row."""
    wrong = np.asarray(wrong, bool)
    if wrong.any():
        first = values[wrong].head(1)
        (row,), (value,) = first.index.tolist(), first.tolist()
        place = f"events: row {row!r}, column {column!r}: "
        raise ValueError(place + (f"{short(value)} {problem}" if problem else f"cannot read {short(value)}; {REMEDY}"))
