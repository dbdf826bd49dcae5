"""Numbers as people read them, and the room that a vector takes."""

import math

PRECISION_BITS = {"float32": 32, "int8": 8, "uint8": 8, "binary": 1}
"""What vectors can be compared as, and the bits of one dimension."""

_MAGNITUDES = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))


def short_count(value: float) -> str:
    """22700000 -> "22.7M", with three digits; whole numbers below 1000 as they are."""
    for size, unit in _MAGNITUDES:
        if value >= size * 0.9995:
            return f"{float(f'{value / size:.3g}'):g}{unit}"
    return f"{value:g}"


def parse_count(text: str) -> int:
    """What `short_count` writes, and plain numbers: "1.5B" -> 1500000000, "512" -> 512.

    Raises:
        ValueError: it is no such number.

    Example:
        >>> parse_count("22.7M"), parse_count("8,192"), parse_count("600 m")
        (22700000, 8192, 600000000)
    """
    plain = text.replace(",", "").replace(" ", "").upper()
    for size, unit in _MAGNITUDES:
        if plain.endswith(unit.upper()):
            return round(_finite(plain.removesuffix(unit.upper()), text) * size)
    return round(_finite(plain, text))


def _finite(digits: str, text: str) -> float:
    try:
        value = float(digits)
    except ValueError:
        value = math.nan
    if not abs(value) < 1e18:
        raise ValueError(f"{text!r} is no number such as 512, 100M or 1.5B")
    return value


def vector_bytes(dimensions: int, precision: str) -> int:
    """Bytes of one vector in an index; a binary one is filled up to whole bytes.

    Example:
        >>> vector_bytes(384, "float32"), vector_bytes(384, "int8"), vector_bytes(100, "binary")
        (1536, 384, 13)
    """
    return (dimensions * PRECISION_BITS[precision] + 7) // 8
