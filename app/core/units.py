"""Numbers as people read them, and the room that a vector takes."""

PRECISION_BITS = {"float32": 32, "int8": 8, "uint8": 8, "binary": 1}
"""What vectors can be compared as, and the bits of one dimension."""

_MAGNITUDES = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))


def short_count(value: float) -> str:
    """22700000 -> "22.7M", with three digits; whole numbers below 1000 as they are."""
    for size, unit in _MAGNITUDES:
        if value >= size * 0.9995:
            return f"{float(f'{value / size:.3g}'):g}{unit}"
    return f"{value:g}"


def vector_bytes(dimensions: int, precision: str) -> int:
    """Bytes of one vector in an index; a binary one is filled up to whole bytes.

    Example:
        >>> vector_bytes(384, "float32"), vector_bytes(384, "int8"), vector_bytes(100, "binary")
        (1536, 384, 13)
    """
    return (dimensions * PRECISION_BITS[precision] + 7) // 8
