"""Numbers as people read them."""

_MAGNITUDES = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))


def short_count(value: float) -> str:
    """22700000 -> "22.7M", with three digits; whole numbers below 1000 as they are."""
    for size, unit in _MAGNITUDES:
        if value >= size * 0.9995:
            return f"{float(f'{value / size:.3g}'):g}{unit}"
    return f"{value:g}"
