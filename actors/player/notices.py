"""How a player is told: in its language, without what it switched off, and by mail or push too if it chose so."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from actors.core import Command, Effects, Event, Query, Record, Rejected, Turn
from actors.player.state import Message, NoticeSettings, Player
from actors.times import DAY_MS
from schemas import limits
from schemas.shape import Key

LIVES_DAYS = 30
"""Where the content does not say how long a notification lives."""
RENEWED_QUIETLY_MS = 5_000
"""A message that takes the place of one which is not older than this is not pushed: whoever looks, finds it."""

_USUAL = NoticeSettings()

Details = dict[str, str | int | bool]
Language = Annotated[str, Field(max_length=35, pattern=r"^([A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*)?$")]


def notice_settings(player: Player) -> NoticeSettings:
    """How the player wants to be told."""
    return player.notices or _USUAL


def hears(player: Player, sender: str | None) -> bool:
    """Whether the player wants to know of what this other one does. Who is not heard is not told so."""
    return sender is None or not (sender in player.blocked or sender in player.muted)


def _unread_about(player: Player, turn: Turn, template: str, about: str) -> Message | None:
    same = (message for message in player.inbox if message.about == about and message.template == template)
    return next((message for message in same if not message.read and message.expires_at > turn.at), None)


def notice(
    player: Player,
    turn: Turn,
    template: str,
    data: Details,
    *,
    sender: str | None = None,
    about: str = "",
    lives_days: int | None = None,
    latest: bool = False,
) -> Effects:
    """A message into the inbox, unless the player does not want it, or one about the same lies there unread; the reply
    names it, or None. With `latest` it takes the place of the unread one."""
    found = turn.content.notifications.templates.get(template)
    chosen = notice_settings(player)
    if not hears(player, sender) or (found is not None and found.kind in chosen.off):
        return {"id": None}
    unread = _unread_about(player, turn, template, about) if about else None
    if unread is not None and not latest:
        # Who asks, takes it back and asks again would fill the inbox with it, and push out what others say.
        return {"id": None}
    message_id = turn.new_id() if unread is None else unread.id
    lives_days = lives_days or (found.lives_days if found is not None else LIVES_DAYS)
    expires_at = turn.at + lives_days * DAY_MS
    quiet = unread is not None and turn.at <= unread.at + RENEWED_QUIETLY_MS
    yield Notified(
        id=message_id, template=template, data=data, at=turn.at, expires_at=expires_at, about=about, quiet=quiet
    )
    if unread is None and found is not None and found.away and (chosen.mail or chosen.push):
        title, body = turn.content.notifications.rendered(template, chosen.language, data)
        row = {"user_id": player.id, "title": title, "body": body, "at": turn.at}
        for way, wanted in (("mail", chosen.mail), ("push", chosen.push)):
            if wanted:
                yield Record("notice", {**row, "id": f"{message_id}.{way}", "way": way})
    return {"id": message_id}


class Notified(Event[Player]):
    """A message came, or takes the place of an unread one with its id. In a full inbox the oldest one gives way, read
    ones first."""

    id: str
    template: str
    data: dict[str, str | int | bool]
    at: int
    expires_at: int
    about: str = ""
    quiet: bool = False

    def apply(self, player: Player) -> None:
        player.inbox = [m for m in player.inbox if m.expires_at > self.at and m.id != self.id]
        if len(player.inbox) >= limits.INBOX_MAX:
            player.inbox.remove(next((message for message in player.inbox if message.read), player.inbox[0]))
        player.inbox.append(
            Message(
                id=self.id,
                template=self.template,
                data=self.data,
                at=self.at,
                expires_at=self.expires_at,
                about=self.about,
            )
        )

    def push(self) -> Mapping[str, Any]:
        if self.quiet:
            return {}
        return {"notifications": [{"id": self.id, "template": self.template, "data": self.data}]}


class SetNotices(Command[Player]):
    """Say how one wants to be told; what is left out stays as it is."""

    public = True

    language: Language | None = None
    off: Annotated[list[Key], Field(max_length=limits.NOTICE_KINDS_MAX)] | None = None
    """Kinds of notifications that are not wanted."""
    mail: bool | None = None
    push: bool | None = None

    def decide(self, player: Player, turn: Turn) -> Effects:
        now = notice_settings(player)
        kinds = turn.content.notifications.kinds
        for name in self.off or ():
            if name not in kinds:
                raise Rejected("notice_kind_unknown", f"There is no kind of notification {name!r}.")
            if not kinds[name].optional:
                raise Rejected("notice_kind_fixed", f"{name} cannot be switched off.")
        chosen = NoticesSet(
            language=now.language if self.language is None else self.language,
            off=list(now.off) if self.off is None else sorted(set(self.off)),
            mail=now.mail if self.mail is None else self.mail,
            push_wanted=now.push if self.push is None else self.push,
        )
        if chosen.settings() != now:
            yield chosen
        return chosen.shown()


class NoticesSet(Event[Player]):
    """The player wants to be told so."""

    language: str
    off: list[str]
    mail: bool
    push_wanted: bool

    def settings(self) -> NoticeSettings:
        return NoticeSettings(self.language, list(self.off), self.mail, self.push_wanted)

    def shown(self) -> dict[str, Any]:
        return {"language": self.language, "off": list(self.off), "mail": self.mail, "push": self.push_wanted}

    def apply(self, player: Player) -> None:
        player.notices = self.settings()

    def push(self) -> Mapping[str, Any]:
        return {"notices": self.shown()}


class Notices(Query[Player]):
    """How the player wants to be told, and what it can choose from."""

    public = True

    def answer(self, player: Player, turn: Turn) -> dict[str, Any]:
        chosen = notice_settings(player)
        kinds = turn.content.notifications.kinds.items()
        shown = [{"kind": name, "title": kind.title, "optional": kind.optional} for name, kind in kinds]
        now = NoticesSet(language=chosen.language, off=list(chosen.off), mail=chosen.mail, push_wanted=chosen.push)
        return {**now.shown(), "kinds": shown}
