"""What the tests of datasets and uploads share: files, forms, the worker's body, what is left behind."""

import re
from html import unescape
from typing import Any

from sqlalchemy import func, select

from app.db.session import Database
from app.db.tables import Dataset, DatasetRevision
from app.settings import Settings
from tests.conftest import Browser
from worker.tasks import Shop

PAIRS = b"sentence1,sentence2,score\n" + b"".join(b"first %d,second %d,%d\n" % (n, n, n % 6) for n in range(40))
MORE_PAIRS = PAIRS + b"a,b,1\n"
FIELDS = {"name": "Help desk pairs", "task_type": "STS", "languages": "eng-Latn, deu-Latn", "description": "Real ones."}


def validate(settings: Settings) -> int:
    """The light worker's body, in this process; returns how many jobs it took."""
    shop = Shop(settings, "test")
    try:
        return shop.work_light()
    finally:
        shop.database.dispose()


def send(browser: Browser, content: bytes = PAIRS, file_name: str = "pairs.csv", **fields: str) -> Any:
    """The answer to the upload form."""
    files = {"file": (file_name, content, "application/octet-stream")}
    return browser.post_form("/datasets/new", {**FIELDS, **fields}, files=files)


def sent(browser: Browser, *arguments: Any, **fields: str) -> str:
    """The address of the report of an accepted file."""
    answer = send(browser, *arguments, **fields)
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


def published(browser: Browser, settings: Settings, *arguments: Any, **fields: str) -> str:
    """The address of a dataset that was sent, checked and published."""
    report = sent(browser, *arguments, **fields)
    assert validate(settings) == 1
    return str(browser.post_form(f"{report}/publish").headers["location"])


def get(browser: Browser, url: str, status: int = 200, **options: Any) -> str:
    """The page in one line."""
    answer = browser.get(url, **options)
    assert answer.status_code == status, answer.text
    return squeezed(answer.text)


def squeezed(html: str) -> str:
    """Markup in one line: how templates break their lines does not matter."""
    return re.sub(r"\s+", " ", html)


def text_of(html: str) -> str:
    """What a reader sees, in one line; a slash without the room that markup makes around it."""
    words = squeezed(unescape(re.sub(r"<[^>]+>", " ", html))).strip()
    return re.sub(r" ?/ ?", "/", words)


def traces(database: Database, settings: Settings) -> tuple[int, int, int]:
    """How many datasets, revisions and files there are."""
    with database.reading() as session:
        rows = [session.scalar(select(func.count()).select_from(table)) or 0 for table in (Dataset, DatasetRevision)]
    return rows[0], rows[1], sum(path.is_file() for path in settings.blobs_dir.rglob("*"))
