"""Which format a file is in: its first bytes decide, then its name."""

import re
from pathlib import Path
from typing import Literal, NoReturn

from app.core.formats.problems import InvalidFile, Problem

Format = Literal["csv", "tsv", "jsonl", "parquet", "zip"]

ACCEPTED = "CSV (.csv), TSV (.tsv), JSON Lines (.jsonl), Parquet (.parquet) or a zip of these text formats (.zip)"

HEAD_BYTES = 512
_BY_EXTENSION: dict[str, Format] = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_ZIP_MARKS = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_FOREIGN = {
    "a gzip archive": rb"\x1f\x8b",
    "a bzip2 archive": rb"BZh[1-9]1AY&SY",
    "an xz archive": rb"\xfd7zXZ\x00",
    "a Zstandard archive": rb"\x28\xb5\x2f\xfd",
    "a 7z archive": rb"7z\xbc\xaf\x27\x1c",
    "a RAR archive": rb"Rar!\x1a\x07",
    "a tar archive": rb".{257}ustar",
    "a Python pickle": rb"\x80[\x02-\x05]",
    "a NumPy array": rb"\x93NUMPY",
    "an Arrow file": rb"ARROW1|\xff\xff\xff\xff",
    "an encrypted Parquet file": rb"PARE",
    "an Avro file": rb"Obj\x01",
    "an HDF5 file": rb"\x89HDF\r\n",
    "an SQLite database": rb"SQLite format 3\x00",
    "an old Office document": rb"\xd0\xcf\x11\xe0",
    "a PDF": rb"%PDF-",
    "a PNG image": rb"\x89PNG\r\n",
    "a JPEG image": rb"\xff\xd8\xff",
    "a GIF image": rb"GIF8[79]a",
    "a program": rb"\x7fELF",
}
_FOREIGN_PATTERNS = {name: re.compile(pattern, re.DOTALL) for name, pattern in _FOREIGN.items()}


def foreign_kind(head: bytes) -> str | None:
    """What a file with these first bytes is, if it is something that we never read, such as "a PDF"."""
    return next((name for name, pattern in _FOREIGN_PATTERNS.items() if pattern.match(head)), None)


def is_zip(head: bytes) -> bool:
    """Whether these are a zip's first bytes."""
    return head.startswith(_ZIP_MARKS)


def text_format(filename: str) -> Format | None:
    """The text format that a name stands for."""
    return _BY_EXTENSION.get(Path(filename).suffix.lower())


def detect(path: Path, filename: str) -> Format:
    """The format of an upload.

    Raises:
        InvalidFile: `empty_file`; `unsupported_file` (415), naming the accepted formats.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head:
        raise InvalidFile([Problem("empty_file", "The file is empty.", filename)])
    if is_zip(head):
        return "zip"
    if head.startswith(b"PAR1"):
        return "parquet"
    kind = foreign_kind(head)
    if kind is not None:
        unsupported(f"This is {kind}.", filename)
    form = text_format(filename)
    if form is None:
        suffix = Path(filename).suffix.lower()
        if suffix in (".zip", ".parquet"):
            unsupported(f"The name ends in {suffix}, but the content is something else.", filename)
        unsupported("The name tells no format that we read.", filename)
    return form


def unsupported(what: str, filename: str) -> NoReturn:
    """Refuse a format.

    Raises:
        InvalidFile: `unsupported_file` (415).
    """
    message = f"{what} Accepted are {ACCEPTED}."
    raise InvalidFile([Problem("unsupported_file", message, filename)], status=415)
