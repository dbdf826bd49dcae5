"""The sign-in limits in memory, in Redis, and when Redis is gone."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from app.errors import TooManyRequests
from app.http.limits import IN_ALL, PER_ACCOUNT, PER_ADDRESS, SignInLimits
from app.settings import Settings


def settings(tmp_path: Path, broker_url: str = "") -> Settings:
    return Settings(data_dir=tmp_path, broker_url=broker_url)


def attempts_until_closed(limits: SignInLimits, account: str) -> int:
    for number in range(PER_ACCOUNT.amount + 1):
        try:
            limits.attempt(account, "192.0.2.1")
        except TooManyRequests:
            return number
    raise AssertionError("never closed")


def test_in_memory(tmp_path: Path) -> None:
    limits = SignInLimits(settings(tmp_path))
    assert attempts_until_closed(limits, "anna") == PER_ACCOUNT.amount
    limits.forgive("ANNA")
    limits.attempt("anna", "192.0.2.1")


def test_in_all(tmp_path: Path) -> None:
    limits = SignInLimits(settings(tmp_path))
    for number in range(IN_ALL.amount):
        limits.attempt(f"user{number}", f"address{number}")
    with pytest.raises(TooManyRequests, match="Try again in 15 minutes"):
        limits.attempt("one", "more")


def test_what_one_address_is_refused_closes_the_door_for_nobody_else(tmp_path: Path) -> None:
    limits = SignInLimits(settings(tmp_path))
    refused = 0
    for number in range(IN_ALL.amount + 1):
        try:
            limits.attempt(f"user{number}", "192.0.2.1")
        except TooManyRequests:
            refused += 1
    assert refused == IN_ALL.amount + 1 - PER_ADDRESS.amount
    limits.attempt("anna", "192.0.2.2")


@pytest.mark.redis
def test_in_redis_processes_count_together(tmp_path: Path, redis_url: str) -> None:
    one, other = (SignInLimits(settings(tmp_path, redis_url)) for _ in range(2))
    for _ in range(4):
        one.attempt("shared", "192.0.2.1")
    assert attempts_until_closed(other, "shared") == PER_ACCOUNT.amount - 4
    one.forgive("shared")
    other.attempt("shared", "192.0.2.1")


def test_without_an_answer_from_redis_this_process_counts(tmp_path: Path) -> None:
    limits = SignInLimits(settings(tmp_path, "redis://127.0.0.1:1/0"))
    with capture_logs() as logs:
        assert attempts_until_closed(limits, "anna") == PER_ACCOUNT.amount
        limits.forgive("anna")
        limits.attempt("anna", "192.0.2.1")
    assert all("redis does not answer" in line["event"] for line in logs)
    assert logs
