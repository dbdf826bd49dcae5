"""Password hashing: Argon2id, the same time for a known and an unknown name."""

import threading
import unicodedata
from functools import cached_property

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from app.errors import Invalid

MIN_LENGTH = 12
MAX_LENGTH = 1000
_AT_ONCE = threading.BoundedSemaphore(4)  # 4 x 64 MiB at most, however many people sign in


class Passwords:
    """Hashes and compares passwords.

    Args:
        time_cost: Argon2 passes.
        memory_kib: Argon2 memory in KiB. Tests pass less; there is no setting for it.
    """

    def __init__(self, *, time_cost: int = 3, memory_kib: int = 64 * 1024) -> None:
        self._hasher = PasswordHasher(time_cost=time_cost, memory_cost=memory_kib)

    def hash(self, password: str) -> str:
        """The encoded hash to store."""
        with _AT_ONCE:
            return self._hasher.hash(_normal(password))

    def matches(self, password: str, stored: str | None) -> bool:
        """Whether `password` belongs to `stored`; takes as long when there is nothing stored."""
        decoy = self._decoy
        with _AT_ONCE:
            try:
                self._hasher.verify(stored or decoy, _normal(password))
            except (VerificationError, InvalidHashError):
                return False
        return stored is not None

    def outdated(self, stored: str) -> bool:
        """Whether `stored` was made with other costs than today's."""
        return self._hasher.check_needs_rehash(stored)

    @cached_property
    def _decoy(self) -> str:
        return self.hash("what an unknown name is compared with")


def check_strength(password: str, repeated: str) -> None:
    """Refuse a new password that is too short, absurdly long, or mistyped.

    Raises:
        Invalid: With a message beside `password` or `repeated`.
    """
    if len(password) < MIN_LENGTH:
        raise _weak("password", f"Use at least {MIN_LENGTH} characters; a few unrelated words do well.")
    if len(password) > MAX_LENGTH:
        raise _weak("password", f"Use at most {MAX_LENGTH} characters.")
    if password != repeated:
        raise _weak("repeated", "The two passwords differ. Type the same one twice.")


def _weak(field: str, message: str) -> Invalid:
    return Invalid("The password was not changed.", details={"fields": {field: message}})


def _normal(password: str) -> str:
    # The same letters can arrive composed or decomposed, depending on the keyboard.
    return unicodedata.normalize("NFC", password[:MAX_LENGTH])
