"""Codes of the second factor: how they are made, recognised and compared; nothing here waits or remembers."""

import hashlib
import hmac
import secrets
from collections.abc import Sequence

import pyotp
from pyotp.exceptions import OTPVerificationError

STEP_S = 30
DRIFT_STEPS = 1
"""How many steps the clock of an authenticator app may be off."""
DIGITS = 6
RECOVERY_CODES = 10
RECOVERY_CHARS = 16
ISSUER = "Greenroom"

_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
_GROUP_CHARS = 4


def normal(code: str) -> str:
    """The code without what people put between its characters."""
    return "".join(code.split()).replace("-", "").lower()


def is_short(code: str) -> bool:
    """Whether it could be of an app or of a mail."""
    return len(code) == DIGITS and code.isascii() and code.isdigit()


def is_recovery(code: str) -> bool:
    """Whether it could be a recovery code, which nobody guesses."""
    return len(code) == RECOVERY_CHARS and set(code) <= set(_ALPHABET)


def fresh_short() -> str:
    """Six digits for a mail."""
    return f"{secrets.randbelow(10**DIGITS):0{DIGITS}}"


def fresh_recovery() -> list[str]:
    """Ten codes as they are shown, `abcd-efgh-jkmn-pqrs`, of 79 random bits each."""
    return [_grouped("".join(secrets.choice(_ALPHABET) for _ in range(RECOVERY_CHARS))) for _ in range(RECOVERY_CODES)]


def fresh_secret() -> str:
    """160 random bits in base32, for an authenticator app."""
    return pyotp.random_base32()


def uri(secret: str, name: str) -> str:
    """What the app reads as a QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name=ISSUER)


def step_of(secret: str, code: str, now_s: int) -> int | None:
    """The time step whose code this is; None when it is none of about now."""
    try:
        return pyotp.TOTP(secret, interval=STEP_S).verify_and_get_timecode(
            code, for_time=now_s, valid_window=DRIFT_STEPS
        )
    except OTPVerificationError:
        return None


class Hashes:
    """What is stored of a code: its hash under the installation's key, bound to what it is for."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def of(self, purpose: bytes, code: str) -> bytes:
        return hmac.digest(self._key, b"%d:%b:%b" % (len(purpose), purpose, code.encode()), hashlib.sha256)

    def matches(self, stored: bytes | None, purpose: bytes, code: str) -> bool:
        """Whether the code is the one that was stored for this purpose."""
        return hmac.compare_digest(stored or b"", self.of(purpose, code))

    def of_recovery(self, user_id: str, shown: Sequence[str]) -> list[bytes]:
        return [self.of(user_id.encode(), normal(code)) for code in shown]


def _grouped(code: str) -> str:
    return "-".join(code[at : at + _GROUP_CHARS] for at in range(0, len(code), _GROUP_CHARS))
