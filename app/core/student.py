"""Student's t distribution, for intervals and tests of few examples."""

import math
from typing import Final

_TINY: Final = 1e-300
_STEPS: Final = 500


def t_tails(t: float, df: float) -> float:
    """The probability that |T| is at least |t| for T with so many degrees of freedom.

    Args:
        t: any number; infinite gives 0.
        df: above 0.

    Returns:
        0 to 1, with a relative error below 1e-8.

    Reference:
        Abramowitz and Stegun 26.5.27, 26.5.8; the same as `2 * scipy.stats.t.sf(abs(t), df)`.

    Example:
        >>> round(t_tails(2.0, 10), 6)
        0.073388
    """
    if math.isinf(t):
        return 0.0
    return _beta(df / (df + t * t), df / 2, 0.5)


def t_quantile(level: float, df: float) -> float:
    """The t with |T| <= t at that probability, for two-sided intervals.

    Args:
        level: above 0 and below 1, such as 0.95.
        df: above 0.

    Example:
        >>> round(t_quantile(0.95, 10), 4)
        2.2281
    """
    low, high = 0.0, 1.0
    while t_tails(high, df) > 1 - level:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        if middle in {low, high}:
            break
        low, high = (middle, high) if t_tails(middle, df) > 1 - level else (low, middle)
    return high


def _beta(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta(1 - x, b, a)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    return front * _continued_fraction(x, a, b) / a


def _continued_fraction(x: float, a: float, b: float) -> float:
    """Of the incomplete beta function, by Lentz's method."""
    c, d = 1.0, 1 / _kept(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, _STEPS):
        for numerator in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / _kept(1 + numerator * d)
            c = _kept(1 + numerator / c)
            value *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return value


def _kept(value: float) -> float:
    """Away from zero."""
    return value if abs(value) > _TINY else _TINY
