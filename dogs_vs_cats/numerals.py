"""Numbers as people read them: percentages, percentage points and p values."""

_MOST_DIGITS = 4
_HUNDRED = 100


def percent(share: float, digits: int | None = 1) -> str:
    """Write a share in percent; nearly all is never rounded to all, nor hardly any to none.

    Args:
        share: 0 to 1.
        digits: after the point; a share that they would round to all or none gets up to 4. None: as many as it has,
            for one that was set, not measured.
    """
    value = share * _HUNDRED
    if digits is None:
        return f"{value:.6g} %"
    while round(value, digits) in {0, _HUNDRED} and value not in {0, _HUNDRED}:
        if digits == _MOST_DIGITS:
            return "over 99.9999 %" if value > 1 else "under 0.0001 %"
        digits += 1
    return f"{value:.{digits}f} %"


def points(share: float, digits: int = 1) -> str:
    """Write a difference of two shares in percentage points, without its unit, with a true minus sign."""
    # Adding zero turns a rounded -0.0 into 0.0.
    return f"{round(share * _HUNDRED, digits) + 0.0:.{digits}f}".replace("-", "\N{MINUS SIGN}")


def p_value(value: float) -> str:
    """Write a p value with its relation: ``= 0.034``, ``< 0.001``."""
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"  # noqa: PLR2004
