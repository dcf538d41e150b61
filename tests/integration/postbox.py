"""A mail server on loopback, and what it was given."""

import asyncio
import re
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

CODE = re.compile(r"\b\d{6}\b")
USER, PASSWORD = "greenroom", "p@ss/word"


@dataclass
class Postbox:
    """Takes mail for everybody but those whose address begins with `nobody`."""

    port: int = 0
    mails: list[tuple[str, EmailMessage]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    def code(self, to: str, at: int = -1) -> str:
        """The code in the last mail to this address."""
        text = [mail.get_content() for receiver, mail in self.mails if receiver == to][at]
        [code] = CODE.findall(text)
        return str(code)

    def count(self, to: str) -> int:
        return sum(receiver == to for receiver, _ in self.mails)

    async def handle_RCPT(  # noqa: N802 - the library's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address.startswith("nobody"):
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.content, bytes)
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails += [(receiver, mail) for receiver in envelope.rcpt_tos]
        return "250 taken"


@asynccontextmanager
async def postbox(*, closed: bool = False) -> AsyncIterator[Postbox]:
    """A running one; a closed one takes mail only from who logs in."""
    box = Postbox()

    def authenticated(_server: SMTP, _session: Session, _envelope: Envelope, _how: str, given: Any) -> AuthResult:
        right = isinstance(given, LoginPassword) and (given.login, given.password) == (
            USER.encode(),
            PASSWORD.encode(),
        )
        return AuthResult(success=right)

    def connection() -> SMTP:
        with warnings.catch_warnings():
            # A password without TLS, which on loopback nobody hears.
            warnings.simplefilter("ignore", UserWarning)
            return SMTP(box, authenticator=authenticated, auth_required=closed, auth_require_tls=False, hostname="here")

    server = await asyncio.get_running_loop().create_server(connection, "127.0.0.1", 0)
    box.port = server.sockets[0].getsockname()[1]
    try:
        yield box
    finally:
        server.close()
        await server.wait_closed()
