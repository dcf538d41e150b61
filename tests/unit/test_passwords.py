"""Password hashes: nothing truncated, nothing told by time, never too many at once."""

import asyncio
import time
from collections.abc import Iterator

import pytest
from pydantic import SecretStr, TypeAdapter, ValidationError

from gateway.accounts.passwords import COST, NewPassword, Passwords
from gateway.accounts.routes import Credentials
from schemas.problems import Refusal

new_password: TypeAdapter[SecretStr] = TypeAdapter(NewPassword)


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    made = Passwords(cost=4)
    yield made
    made.close()


async def test_a_password_matches_its_own_hash_only(passwords: Passwords) -> None:
    stored = await passwords.hash(SecretStr("correct horse"))
    assert stored.startswith("v1$$2b$04$")
    assert await passwords.verify(SecretStr("correct horse"), stored)
    assert not await passwords.verify(SecretStr("correct house"), stored)


async def test_passwords_that_differ_after_72_bytes_differ(passwords: Passwords) -> None:
    stored = await passwords.hash(SecretStr("x" * 72 + "a"))
    assert not await passwords.verify(SecretStr("x" * 72 + "b"), stored)


async def test_passwords_that_differ_after_a_nul_differ(passwords: Passwords) -> None:
    stored = await passwords.hash(SecretStr("same\x00one"))
    assert not await passwords.verify(SecretStr("same\x00two"), stored)


async def test_a_password_typed_decomposed_is_the_same(passwords: Passwords) -> None:
    stored = await passwords.hash(SecretStr("pässwörd"))
    assert await passwords.verify(SecretStr("pa\u0308sswo\u0308rd"), stored)


@pytest.mark.parametrize("password", ["12345678", "🐎" * 64, "x" * 64, "पासवर्ड१२"])
def test_eight_to_sixty_four_characters_of_any_script_are_accepted(password: str) -> None:
    assert new_password.validate_python(password).get_secret_value() == password


@pytest.mark.parametrize("password", ["1234567", "x" * 65, "\ud800" * 8, "x" * 1_000_000])
def test_other_passwords_are_refused_without_being_repeated(password: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Credentials(username="alice", password=SecretStr(password))
    assert password not in str(refused.value)
    assert password not in repr(refused.value)


async def test_nobody_has_no_password(passwords: Passwords) -> None:
    assert not await passwords.verify(SecretStr("anything"), None)


async def test_an_unknown_user_takes_as_long_as_a_wrong_password() -> None:
    passwords = Passwords(cost=8)
    stored = await passwords.hash(SecretStr("correct horse"))
    took: dict[str | None, list[float]] = {stored: [], None: []}
    for _ in range(15):
        for hashed, times in took.items():
            began = time.perf_counter()
            await passwords.verify(SecretStr("wrong"), hashed)
            times.append(time.perf_counter() - began)
    fastest_known, fastest_unknown = (min(times) for times in took.values())
    assert fastest_unknown == pytest.approx(fastest_known, rel=0.25)
    passwords.close()


async def test_more_than_the_queue_holds_is_refused_at_once() -> None:
    passwords = Passwords(cost=4, workers=1, queue_max=2)
    answers = await asyncio.gather(
        *(passwords.hash(SecretStr("correct horse")) for _ in range(10)), return_exceptions=True
    )
    refused = [answer for answer in answers if isinstance(answer, Refusal)]
    assert len(refused) == 7
    assert {(refusal.code, refusal.status, refusal.retry_after_s) for refusal in refused} == {("OVERLOADED", 503, 3)}
    assert await passwords.hash(SecretStr("correct horse"))
    passwords.close()


async def test_what_is_checked_before_can_refuse_when_the_turn_comes(passwords: Passwords) -> None:
    async def refuse() -> None:
        raise Refusal("RATE_LIMITED")

    with pytest.raises(Refusal, match="RATE_LIMITED"):
        await passwords.verify(SecretStr("correct horse"), None, refuse)


async def test_a_hash_of_a_lower_cost_is_outdated(passwords: Passwords) -> None:
    stored = await passwords.hash(SecretStr("correct horse"))
    assert not passwords.is_outdated(stored)
    assert Passwords(cost=5).is_outdated(stored)
    assert passwords.is_outdated(stored.removeprefix("v1$"))
    assert COST == 12
