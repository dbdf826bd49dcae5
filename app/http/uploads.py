"""An upload's multipart body, streamed into quarantine: never whole in memory, nothing outside the data folder."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends
from fastapi.concurrency import contextmanager_in_threadpool
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request

from app.errors import Invalid, TooLarge
from app.http.dependencies import MULTIPART_OVERHEAD, accept_upload, settings_of
from app.services.choices import USUAL
from app.services.datasets import UploadForm, parse_languages
from app.storage.blobs import BlobStore, Incoming

FILE_FIELD = "file"
MAX_PARTS = 32
MAX_FIELD_BYTES = 64 * 1024
_WRITE_BYTES = 1024**2


@dataclass(slots=True)
class Submission:
    """What a form sent: its text fields, and its file in quarantine, None when none was chosen."""

    fields: dict[str, str] = field(default_factory=dict)
    file: Incoming | None = None
    file_name: str = ""

    def text(self, name: str) -> str:
        """A field's text, "" when it was not sent."""
        return self.fields.get(name, "")

    @property
    def form(self) -> UploadForm:
        """What the fields say about the file."""
        return UploadForm(
            name=self.text("name"),
            task_type=self.text("task_type"),
            languages=parse_languages(self.text("languages")),
            description=self.text("description"),
            dataset_slug=self.text("dataset") or None,
            choices={name: self.fields[name] for name in USUAL if name in self.fields},
        )


async def receive_upload(request: Request) -> AsyncIterator[Submission]:
    """Read a `multipart/form-data` body to its end; the file is gone again unless it is kept.

    Declare it after the decision who may upload, and no other body beside it.

    Raises:
        TooLarge: the file, announced or read, is beyond the limit.
        Invalid: `bad_multipart`: the body is none, is cut off, or holds more than one file.
        StorageFull: the disk has no room.
    """
    accept_upload(request)
    max_bytes = settings_of(request).upload_max_bytes
    _refuse_announced(request, max_bytes)
    blobs = BlobStore(settings_of(request).blobs_dir)
    async with contextmanager_in_threadpool(blobs.incoming(max_bytes=max_bytes)) as incoming:
        yield await _Reader(_boundary(request), incoming).read(request)


Received = Annotated[Submission, Depends(receive_upload, scope="function")]


class _Reader:
    """Turns the parser's callbacks into a `Submission`; the file's bytes leave memory after each piece."""

    def __init__(self, boundary: bytes, incoming: Incoming) -> None:
        self._submission = Submission()
        self._incoming = incoming
        self._parts = 0
        self._ended = False
        self._header_name = bytearray()
        self._header_value = bytearray()
        self._disposition = b""
        self._field = ""
        self._value = bytearray()
        self._in_file = self._file_seen = False
        self._pending = bytearray()
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._on_part_begin,
                "on_header_field": self._on_header_field,
                "on_header_value": self._on_header_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers_finished,
                "on_part_data": self._on_part_data,
                "on_part_end": self._on_part_end,
                "on_end": self._on_end,
            },
        )

    async def read(self, request: Request) -> Submission:
        """Parse the whole body."""
        try:
            async for chunk in request.stream():
                self._parser.write(chunk)
                if len(self._pending) >= _WRITE_BYTES:
                    await self._flush()
        except FormParserError as error:
            raise _bad(f"The form cannot be read: {error}.") from error
        except ClientDisconnect as error:
            raise _bad("The connection was closed before the whole file had come.") from error
        await self._flush()
        if not self._ended:
            raise _bad("The form is cut off. Send it again.")
        return self._submission

    async def _flush(self) -> None:
        if self._pending:
            piece, self._pending = bytes(self._pending), bytearray()
            await run_in_threadpool(self._incoming.write, piece)

    def _on_part_begin(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise _bad(f"The form has more than {MAX_PARTS} fields.")
        self._disposition = b""
        self._value = bytearray()

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _on_header_end(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            self._disposition = bytes(self._header_value)
        self._header_name, self._header_value = bytearray(), bytearray()

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._field = _text(options.get(b"name", b""))
        self._in_file = b"filename" in options
        if self._in_file:
            if self._field != FILE_FIELD or self._file_seen:
                raise _bad(f"Send one file, in the field {FILE_FIELD!r}.")
            self._file_seen = True
            self._submission.file_name = _text(options[b"filename"])
            # A browser sends an empty name when no file was chosen.
            self._submission.file = self._incoming if self._submission.file_name else None

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._in_file:
            self._pending += data[start:end]
            return
        self._value += data[start:end]
        if len(self._value) > MAX_FIELD_BYTES:
            raise _bad(f"The field {self._field!r} is longer than {MAX_FIELD_BYTES:,} bytes.")

    def _on_part_end(self) -> None:
        if not self._in_file:
            self._submission.fields[self._field] = _text(self._value)

    def _on_end(self) -> None:
        self._ended = True


def _refuse_announced(request: Request, max_bytes: int) -> None:
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > max_bytes + MULTIPART_OVERHEAD:
        raise TooLarge(
            f"The upload has {int(announced):,} bytes; this server accepts files of at most {max_bytes:,}. "
            "Split the file, or ask an admin to raise TOUCHSTONE_UPLOAD_MAX_BYTES."
        )


def _boundary(request: Request) -> bytes:
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise _bad("Send the file as multipart/form-data.")
    return options[b"boundary"]


def _text(value: bytes | bytearray) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise _bad("The form is not UTF-8.") from error


def _bad(message: str) -> Invalid:
    return Invalid(message, code="bad_multipart")
