"""The numbers of labels: MTEB's classifiers, and what runs keep of them, know labels by their place."""

import re
from collections.abc import Collection

_WHOLE_NUMBER = re.compile(r"0|-?[1-9]\d{0,17}", re.ASCII)


def numbered(labels: Collection[str]) -> dict[str, int]:
    """Distinct labels with their numbers from 0, in their order: whole numbers by value, anything else alphabetically.

    Example:
        >>> numbered(["10", "9"]), numbered(["b", "10", "9"])
        ({'9': 0, '10': 1}, {'10': 0, '9': 1, 'b': 2})
    """
    return {label: code for code, label in enumerate(sorted(labels, key=int if whole_numbers(labels) else None))}


def whole_numbers(labels: Collection[str]) -> bool:
    """Whether every label is a whole number, written as usual; MTEB has such labels as numbers."""
    return all(_WHOLE_NUMBER.fullmatch(label) for label in labels)
