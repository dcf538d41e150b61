"""Mail to players: through the SMTP server of the settings, or into the log where there is none."""

import asyncio
from email.message import EmailMessage
from ipaddress import ip_address
from urllib.parse import parse_qs, unquote, urlsplit

import aiosmtplib
import structlog

from schemas.problems import Refusal
from schemas.settings import Settings

SEND_WITHIN_S = 10.0
SENDING_MAX = 8
WAITING_MAX = 64
"""Mails that may wait for their turn; the next is refused as overloaded."""

log = structlog.get_logger("mail")


class Mail:
    """Sends one mail after the other, a few at once; each has left when `send` returns."""

    def __init__(self, settings: Settings) -> None:
        self._sender = settings.mail_from
        self._server = Smtp(settings.smtp_url.get_secret_value()) if settings.smtp_url is not None else None
        self._slots = asyncio.Semaphore(SENDING_MAX)
        self._present = 0

    async def send(self, to: str, subject: str, text: str, *, id_: str = "") -> None:
        """Hand it to the mail server; `id_` makes its message id.

        Refused as `address_refused`, UNAVAILABLE or OVERLOADED when that fails."""
        if self._server is None:
            log.warning("mail_not_sent", reason="GREENROOM_SMTP_URL is not set", to=to, subject=subject, text=text)
            return
        if self._present >= SENDING_MAX + WAITING_MAX:
            raise Refusal("OVERLOADED", "Too many mails at once; try again in a moment.", retry_after_s=3)
        self._present += 1
        try:
            async with asyncio.timeout(SEND_WITHIN_S), self._slots:
                await self._server.send(self._sender, to, subject, text, id_)
        except (aiosmtplib.SMTPRecipientsRefused, ValueError) as refused:
            log.warning("mail_refused", reason=type(refused).__name__)
            raise Refusal("address_refused", "The mail server does not take mail for this address.") from None
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as trouble:
            log.error("mail_not_sent", reason=f"{type(trouble).__name__}: {trouble}"[:200])
            raise Refusal("UNAVAILABLE", "The mail could not be sent; try again.", retry_after_s=5) from None
        finally:
            self._present -= 1


class Smtp:
    """A mail server, as its URL describes it."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._implicit = parts.scheme == "smtps"
        self._port = parts.port or (465 if self._implicit else 587)
        self._user = unquote(parts.username) if parts.username else None
        self._password = unquote(parts.password) if parts.password else None
        bare = parse_qs(parts.query).get("tls") == ["never"] or _is_loopback(self._host)
        # Codes and passwords do not travel in the clear, unless the operator says that the way is safe.
        self._upgrade = None if self._implicit else not bare

    async def send(self, sender: str, to: str, subject: str, text: str, id_: str = "") -> None:
        """Raises aiosmtplib's errors, OSError, or ValueError for what is no address."""
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = sender, to, subject
        if id_:
            message["Message-ID"] = f"<{id_}@{sender.rpartition('@')[2].rstrip('>')}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(text)
        await aiosmtplib.send(
            message,
            recipients=[to],
            hostname=self._host,
            port=self._port,
            username=self._user,
            password=self._password,
            use_tls=self._implicit,
            start_tls=self._upgrade,
            timeout=SEND_WITHIN_S,
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
