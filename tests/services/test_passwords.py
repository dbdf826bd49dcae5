"""How passwords are hashed and compared."""

import pytest

from app.errors import Invalid
from app.services.passwords import Passwords, check_strength


def test_a_strong_enough_password_passes() -> None:
    check_strength("x" * 12, "x" * 12)
    check_strength("пароль из слов", "пароль из слов")
    with pytest.raises(Invalid):
        check_strength("x" * 11, "x" * 11)


def test_the_real_costs_are_64_mib_and_three_passes() -> None:
    assert Passwords().hash("correct horse battery").startswith("$argon2id$v=19$m=65536,t=3,p=4$")


def test_composed_and_decomposed_letters_are_the_same_password() -> None:
    passwords = Passwords(time_cost=1, memory_kib=32)
    assert passwords.matches("cafe\u0301 and more", passwords.hash("caf\u00e9 and more"))
    assert not passwords.matches("x", None)
    assert not passwords.matches("x", "not a hash")
