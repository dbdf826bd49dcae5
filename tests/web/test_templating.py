"""What templates are given: numbers and times in words, pages of lists, forms, messages."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from jinja2 import UndefinedError
from starlette.requests import Request

from app.errors import Conflict, Invalid
from app.http.pagination import Listing, PageRequest
from app.web import flash
from app.web.forms import Form, rejected
from app.web.templating import ago, byte_size, duration, environment, number, percent, score, static_url

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("write", "value", "words"),
    [
        (number, 12400, "12,400"),
        (number, 0, "0"),
        (number, None, "—"),
        (percent, 0.864, "86%"),
        (percent, None, "—"),
        (score, 0.7142, "71.42"),
        (score, -0.05, "-5.00"),
        (score, None, "—"),
        (lambda value: score(value, "mse"), 1.5, "1.5000"),
        (lambda value: score(value, "mae"), 1234.5, "1,234.50"),
        (lambda value: score(value, "r2"), -0.25, "-0.2500"),
        (lambda value: score(value, "kendalltau"), -0.25, "-25.00"),
        (byte_size, 0, "0 B"),
        (byte_size, 999, "999 B"),
        (byte_size, 1000, "1.0 kB"),
        (byte_size, 1_240_000, "1.2 MB"),
        (byte_size, 2.5e15, "2500.0 TB"),
        (byte_size, None, "—"),
        (duration, 0.42, "0.4 s"),
        (duration, 9.96, "10 s"),
        (duration, 63, "1 min 3 s"),
        (duration, 59.7, "1 min"),
        (duration, 7320, "2 h 2 min"),
        (duration, timedelta(days=1, minutes=5), "1 d"),
        (duration, None, "—"),
    ],
)
def test_numbers_in_words(write: Callable[[Any], str], value: object, words: str) -> None:
    assert write(value) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (3, "just now"),
        (-3, "just now"),
        (45, "45 s ago"),
        (200, "3 min ago"),
        (5 * 3600, "5 h ago"),
        (86400, "1 day ago"),
        (-90 * 86400 + 20, "in 90 days"),
        (-3600, "in 1 h"),
    ],
)
def test_moments_in_words_with_the_exact_one_beside(seconds: int, words: str) -> None:
    html = ago(NOW - timedelta(seconds=seconds), now=NOW)
    assert html.endswith(f">{words}</time>")
    assert html.startswith('<time datetime="202')
    assert 'UTC"' in html
    assert ago(None) == "—"


def test_templates_escape_and_know_no_unknown_names() -> None:
    assert environment().from_string("{{ x }}").render(x="<b>") == "&lt;b&gt;"
    with pytest.raises(UndefinedError):
        environment().from_string("{{ page.nothing }}").render(page=object())


def test_a_static_file_that_is_missing_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        static_url("none.css")


class TestListing:
    def listing(self, page: int, total: int) -> Listing[int]:
        request = PageRequest(page, "/list", (("q", "a b"), ("page", str(page))))
        rows = range(request.offset, max(request.offset, min(request.offset + request.size, total)))
        return Listing(rows, total, request)

    def test_the_first_the_middle_and_the_last(self) -> None:
        first, middle, last = (self.listing(page, 1234) for page in (1, 2, 25))
        assert (first.text, first.previous, first.next) == ("1–50 of 1,234", None, "/list?q=a+b&page=2")
        assert (middle.text, middle.previous) == ("51–100 of 1,234", "/list?q=a+b&page=1")
        assert (last.text, last.next) == ("1,201–1,234 of 1,234", None)

    def test_an_empty_one_and_one_beyond_the_end(self) -> None:
        assert (self.listing(1, 0).text, self.listing(1, 0).next) == ("0 of 0", None)
        assert (self.listing(9, 60).text, self.listing(9, 60).next) == ("0 of 60", None)


class TestForms:
    def test_values_and_messages_stand_beside_their_fields(self) -> None:
        error = Invalid("No.", details={"fields": {"name": "Too long."}})
        form = rejected(error, name="x", days=7)
        assert (form.value("name"), form.value("days"), form.value("other", "-")) == ("x", 7, "-")
        assert (form.error("name"), form.error("days")) == ("Too long.", "")

    def test_an_error_without_fields_stands_above_the_form(self) -> None:
        assert rejected(Conflict("It exists.")).errors == {"": "It exists."}
        assert Form().errors == {}


class TestFlash:
    def read(self, cookie: str) -> list[tuple[str, str]]:
        headers = [(b"cookie", f"{flash.COOKIE}={cookie}".encode())]
        return flash.read(Request({"type": "http", "headers": headers}))

    def test_it_arrives(self) -> None:
        header = flash.redirect("/runs", "Queued 12 runs — <b>.", "warn").headers["set-cookie"]
        assert self.read(header.partition("=")[2].partition(";")[0]) == [("warn", "Queued 12 runs — <b>.")]
        assert "set-cookie" not in flash.redirect("/runs").headers

    @pytest.mark.parametrize("content", [["evil", "x"], ["ok", 7], ["ok"], "ok", 7, None])
    def test_a_planted_one_says_nothing(self, content: object) -> None:
        assert self.read(base64.urlsafe_b64encode(json.dumps(content).encode()).decode()) == []

    @pytest.mark.parametrize("cookie", ["", "!", "abc", "Zm9v", "é"])
    def test_a_broken_one_says_nothing(self, cookie: str) -> None:
        assert self.read(cookie) == []
