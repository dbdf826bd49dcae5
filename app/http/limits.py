"""How often sign-in may be tried: by account, by address and in all."""

import math
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import structlog
from limits import RateLimitItem, RateLimitItemPerMinute
from limits.errors import StorageError
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import MovingWindowRateLimiter

from app.errors import TooManyRequests
from app.settings import Settings

Answer = TypeVar("Answer")
log = structlog.get_logger(__name__)

PER_ACCOUNT = RateLimitItemPerMinute(10, 15, namespace="touchstone-account")
PER_ADDRESS = RateLimitItemPerMinute(50, 15, namespace="touchstone-address")
IN_ALL = RateLimitItemPerMinute(500, 15, namespace="touchstone-all")


class SignInLimits:
    """Counts attempts, in Redis where several web processes share one, else in this process.

    When Redis does not answer, this process counts for itself until it does: sign-in stays both
    possible and limited.
    """

    def __init__(self, settings: Settings) -> None:
        self._own = MovingWindowRateLimiter(MemoryStorage())
        self._shared: MovingWindowRateLimiter | None = None
        if settings.broker_url.startswith(("redis://", "rediss://")):
            storage = RedisStorage(
                settings.broker_url, wrap_exceptions=True, socket_timeout=2, socket_connect_timeout=2
            )
            self._shared = MovingWindowRateLimiter(storage)

    def attempt(self, account: str, address: str) -> None:
        """Count one attempt to get into `account` from `address`, before it is looked at.

        Raises:
            TooManyRequests: One of the limits is reached; it says when to come back.
        """
        # The address first: what it is refused counts against nobody else.
        for item, key in ((PER_ADDRESS, address), (PER_ACCOUNT, _account_key(account)), (IN_ALL, "all")):
            wait = self._ask(partial(_hit, item=item, key=key))
            if wait is not None:
                minutes = math.ceil(wait / 60)
                raise TooManyRequests(
                    f"Too many attempts to sign in. Try again in {minutes} minute{'' if minutes == 1 else 's'}.",
                    retry_after=wait,
                )

    def forgive(self, account: str) -> None:
        """Forget an account's failed attempts once somebody got in; those of the address stay counted."""
        self._ask(lambda limiter: limiter.clear(PER_ACCOUNT, _account_key(account)))

    def _ask(self, question: Callable[[MovingWindowRateLimiter], Answer]) -> Answer:
        if self._shared is not None:
            try:
                return question(self._shared)
            except StorageError as error:
                log.warning("sign-in limits count in this process only: redis does not answer", error=str(error))
        return question(self._own)


def _account_key(account: str) -> str:
    return account.strip().lower()[:64]


def _hit(limiter: MovingWindowRateLimiter, item: RateLimitItem, key: str) -> int | None:
    """Seconds to wait when the limit is reached, None when the attempt is within it."""
    if limiter.hit(item, key):
        return None
    return max(1, math.ceil(limiter.get_window_stats(item, key).reset_time - time.time()))
