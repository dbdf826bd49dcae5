"""The multipart body of an upload: its size, its end, its place on disk."""

from html import unescape
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from app.settings import Settings
from tests.conftest import Browser
from tests.upload_flow import FIELDS, PAIRS, send, sent

FORM = "multipart/form-data; boundary=x"


def part(name: str, value: bytes, more: str = "") -> bytes:
    """A part of a form whose boundary is x."""
    return f'--x\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + value + b"\r\n"


@pytest.fixture
def small(settings: Settings, app: FastAPI) -> Settings:
    """At most 10,000 bytes a file."""
    limited = settings.model_copy(update={"upload_max_bytes": 10_000})
    app.state.settings = limited
    return limited


@pytest.mark.parametrize(("size", "status"), [(10_000, 303), (10_001, 413)])
def test_the_limit_is_the_file_s(as_member: Browser, small: Settings, size: int, status: int) -> None:
    answer = send(as_member, b"x" * size)
    assert answer.status_code == status
    assert not list(small.blobs_dir.rglob("incoming/*"))


def test_a_length_beyond_the_limit_is_refused_unread(as_member: Browser, small: Settings) -> None:
    def body() -> Any:
        raise AssertionError("the body was read")
        yield b""

    headers = {"Content-Length": "99000000", "Content-Type": FORM}
    url = f"/datasets/new?csrf={as_member.csrf_token}"
    answer = as_member.post(url, content=body(), headers=headers)
    assert answer.status_code == 413
    assert "99,000,000 bytes; this server accepts files of at most 10,000" in unescape(answer.text)
    assert not small.blobs_dir.exists()


def test_a_body_without_a_length_is_counted(as_member: Browser, small: Settings) -> None:
    def body() -> Any:
        yield part("file", b"", '; filename="a.csv"').removesuffix(b"\r\n")
        for _ in range(30):
            yield b"x" * 1_000_000
        yield b"\r\n--x--\r\n"

    headers = {"Content-Type": FORM}
    answer = as_member.post(f"/datasets/new?csrf={as_member.csrf_token}", content=body(), headers=headers)
    assert answer.status_code == 413
    assert not list(small.blobs_dir.rglob("incoming/*"))


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"--x--"),
        ("application/json", b"{}"),
        (FORM, b""),
        (FORM, b"no boundary at all"),
        (FORM, part("file", b"half", '; filename="a"').removesuffix(b"\r\n")),
        (FORM, part("name", b"\xff") + b"--x--\r\n"),
        (FORM, part("name", b"n" * 70_000) + b"--x--\r\n"),
        (FORM, part("name", b"n") * 40 + b"--x--\r\n"),
    ],
    ids=["no boundary", "json", "empty", "nonsense", "cut off", "no UTF-8", "a long field", "many fields"],
)
def test_a_body_that_is_no_form(as_member: Browser, settings: Settings, content_type: str, body: bytes) -> None:
    headers = {"Content-Type": content_type, "X-CSRF-Token": as_member.csrf_token}
    answer = as_member.post("/datasets/new", content=body, headers=headers)
    assert answer.status_code == 422, answer.text
    assert not list(settings.blobs_dir.rglob("incoming/*"))


def test_the_file_passes_by_the_system_s_temporary_folder(
    as_member: Browser, settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    content = b"x" * 3_000_000
    sent(as_member, content)
    (stored,) = (path for path in settings.blobs_dir.rglob("*") if path.is_file())
    assert stored.read_bytes() == content


def test_without_its_token_nothing_is_taken(as_member: Browser, settings: Settings) -> None:
    answer = as_member.post("/datasets/new", data=FIELDS, files={"file": ("a.csv", PAIRS)})
    assert answer.status_code == 403
    assert not settings.blobs_dir.exists()
