"""Numbers for reading. Every page of a study rounds by the rule of `fixed`, the paper (reports/reading.typ) as well."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Context, Decimal

import numpy as np

MINUS = "\N{MINUS SIGN}"
ONE_SESSION = "one session"  # in the place of an interval: a single session says nothing of others
EXACT = 12  # digits; results of the same sum in another order differ by less, and are printed alike
_ROUND = Context(prec=400, rounding=ROUND_HALF_UP)  # a float has at most 309 digits in front of the point


def fixed(value: float, digits: int = 3) -> str:
    """Round the decimal number that a table's file holds, half away from zero, and print it.

    Args:
        value: finite; its shortest decimal form is meant, not the binary number closest to it.
        digits: behind the point, 0 to EXACT.

    Returns:
        Such as `0.063`, `−12.5`; zero has no sign.

    >>> fixed(0.0625), fixed(0.1235), fixed(-0.0625, digits=1), fixed(-0.0004)
    ('0.063', '0.124', '−0.1', '0.000')
    """
    number = Decimal(repr(float(value)))
    for places in (EXACT, digits):
        number = number.quantize(Decimal(1).scaleb(-places), context=_ROUND)
    return (MINUS if number < 0 else "") + f"{abs(number):f}"


def signed(value: float, digits: int = 3) -> str:
    """As `fixed`, a plus in front of what is above zero.

    Args:
        value: as for `fixed`.
        digits: as for `fixed`.
    """
    return ("+" if value > 0 else "") + fixed(value, digits)


def between(low: float, high: float) -> str:
    """Print an interval: `0.336 to 0.370`, or `one session` where none can be given.

    Args:
        low: its lower end; NaN where there is none.
        high: its upper end, as `low`.
    """
    return ONE_SESSION if np.isnan(low) else f"{fixed(low)} to {fixed(high)}"


def with_interval(value: float, low: float, high: float) -> str:
    """Print a score with its interval: `0.353 (0.336 to 0.370)`.

    Args:
        value: as for `fixed`.
        low: as for `between`.
        high: as for `between`.
    """
    return f"{fixed(value)} ({between(low, high)})"
