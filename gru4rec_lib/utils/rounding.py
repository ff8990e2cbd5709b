"""Format numbers. All tables and pages of a study are rounded by `fixed`; reports/reading.typ rounds the same way."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Context, Decimal

import numpy as np

MINUS = "\N{MINUS SIGN}"
ONE_SESSION = "one session"  # instead of an interval, which needs several sessions
EXACT = 12  # digits; a sum in another order differs by less, and so is printed the same
_ROUND = Context(prec=400, rounding=ROUND_HALF_UP)  # a float has at most 309 digits before the point


def fixed(value: float, digits: int = 3) -> str:
    """Round a number half away from zero, and format it.

    Args:
        value: finite; its shortest decimal form, as in a CSV file, is rounded, not its binary value.
        digits: number of digits after the point, 0 to EXACT.

    Returns:
        A text such as `0.063` or `−12.5`; zero has no sign.

    >>> fixed(0.0625), fixed(0.1235), fixed(-0.0625, digits=1), fixed(-0.0004)
    ('0.063', '0.124', '−0.1', '0.000')
    """
    number = Decimal(repr(float(value)))
    for places in (EXACT, digits):
        number = number.quantize(Decimal(1).scaleb(-places), context=_ROUND)
    return (MINUS if number < 0 else "") + f"{abs(number):f}"


def signed(value: float, digits: int = 3) -> str:
    """As `fixed`, with a plus sign before positive numbers."""
    return ("+" if value > 0 else "") + fixed(value, digits)


def between(low: float, high: float) -> str:
    """Format an interval, such as `0.336 to 0.370`, or return `one session` if there is none.

    Args:
        low: lower end; NaN if there is no interval.
        high: upper end; NaN if there is no interval.
    """
    return ONE_SESSION if np.isnan(low) else f"{fixed(low)} to {fixed(high)}"


def with_interval(value: float, low: float, high: float) -> str:
    """Format a score with its interval, such as `0.353 (0.336 to 0.370)`.

    Args:
        value: as for `fixed`.
        low: as for `between`.
        high: as for `between`.
    """
    return f"{fixed(value)} ({between(low, high)})"
