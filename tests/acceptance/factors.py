"""An authenticator app, and a reader of the mail that a server without SMTP writes into its log."""

import asyncio
import json
import re
import time
from dataclasses import dataclass, field
from typing import Any

import pyotp

from tests.acceptance.clients import API, Answer, Door, User
from tests.acceptance.server import Server


@dataclass
class App:
    """What is on a player's phone: the app, and the recovery codes on paper."""

    secret: str
    recovery: list[str] = field(default_factory=list)

    def code(self, steps: int = 0) -> str:
        """The code some steps of 30 seconds from now."""
        return pyotp.TOTP(self.secret).at(time.time(), counter_offset=steps)

    def wrong(self) -> str:
        """A code that is not the app's around now."""
        right = {self.code(steps) for steps in range(-3, 4)}
        return next(code for code in (f"{number:06}" for number in range(10)) if code not in right)


async def enrolled(door: Door, user: User, base: str = f"{API}/auth") -> App:
    """The user's app, confirmed by the code before the present one, so that the present one is still unused."""
    begun = await door.post(f"{base}/mfa/totp/enrol", as_=user)
    assert begun.status == 200, begun
    app = App(begun.body["secret"])
    confirmed = await door.post(f"{base}/mfa/totp/confirm", {"code": app.code(-1)}, as_=user)
    assert confirmed.status == 200, confirmed
    app.recovery = confirmed.body["recoveryCodes"]
    door.server.secrets |= {app.secret, *app.recovery}
    return app


async def challenged(door: Door, user: User, base: str = f"{API}/auth") -> Any:
    """The body of a login that waits for a code."""
    answer = await door.post(f"{base}/login", {"username": user.name, "password": user.password})
    assert (answer.status, answer.body.get("mfaRequired")) == (200, True), answer
    door.server.secrets.add(answer.body["mfaToken"])
    return answer.body


async def verified(door: Door, challenge: Any, code: str, base: str = f"{API}/auth") -> Answer:
    answer = await door.post(f"{base}/mfa/verify", {"mfaToken": challenge["mfaToken"], "code": code})
    if answer.status == 200:
        door.server.secrets |= {answer.body["accessToken"], answer.body["refreshToken"]}
    return answer


async def mailed_code(server: Server, to: str, number: int = 1) -> str:
    """The code in one of the mails to this address, the first one being number 1."""
    end = time.monotonic() + 10
    while True:
        lines = [line for text in server.logs().values() for line in text.splitlines() if f'"to": "{to}"' in line]
        if len(lines) >= number:
            mails = sorted((json.loads(line) for line in lines), key=lambda mail: str(mail["timestamp"]))
            [code] = re.findall(r"\b\d{6}\b", mails[number - 1]["text"])
            return str(code)
        assert time.monotonic() < end, f"mail {number} to {to} is not in the log"
        await asyncio.sleep(0.05)
