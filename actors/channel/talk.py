"""Talking: messages are said, edited and unsaid; too much of it is refused, and bad words are put out of sight."""

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from actors.channel.members import MemberJoined, introduction, name_in
from actors.channel.state import Channel, Message, Place, Voice, oldest_shown
from actors.content.chat import Chat, Pace, folded, says_nothing
from actors.core import ANYONE, Command, Consult, Effects, Event, Rejected, Remind, Tell, Turn
from actors.player.inbox import Notify
from actors.player.notices import Details
from actors.times import DAY_MS, HOUR_MS, SECOND_MS, rfc3339, whole_seconds
from schemas import limits
from schemas.address import player
from schemas.shape import Amount, Key, Text

EXCERPT_CHARS = 100
"""How much of a message a notice shows."""
QUIET_MS = HOUR_MS
"""Whoever said nothing for so long is not remembered as a voice."""


class Send(Command[Channel]):
    """Say something. The first message to somebody opens the direct channel of the two."""

    public = True
    callers = frozenset({ANYONE})
    creates = True

    text: Text
    mentions: Annotated[list[Key], Field(max_length=limits.MENTIONS_MAX)] = []
    """User ids of members that are told of it."""

    def consults(self, channel: Channel, turn: Turn) -> Consult | None:
        place = Place.of(turn)
        if not place.other or place.other in channel.members:
            return None
        return introduction(place.other, then=introduction(turn.caller.user))

    def decide(self, channel: Channel, turn: Turn) -> Effects:
        place = Place.of(turn)
        opening = list(_opening(channel, place, turn))
        user = turn.caller.user
        if user not in channel.members and not opening:
            raise Rejected("not_a_member", "Join the channel first.")
        name = opening[-1].name if opening else channel.members[user].name
        chat = turn.content.chat
        _not_silenced(channel, user, turn)
        _not_empty(self.text)
        mentions = self._mentioned(channel, user, chat)
        digest = hashlib.blake2b(folded(self.text).encode(), digest_size=8).hexdigest()
        repeats = _repeats(channel.voices.get(user), digest, chat.pace, turn.at)
        shutter = channel.shutters.get(place.other)
        said = Said(
            number=turn.version + 1,
            by=user,
            name=name,
            text=chat.words.masked(self.text),
            mentions=mentions,
            at=turn.at,
            digest=digest,
            repeats=repeats,
            unheard=shutter is not None and shutter.closed,
        )
        yield said
        yield from opening
        if not channel.messages:
            yield Remind("forget", turn.at + chat.retention_days * DAY_MS, ForgetOld())
        if not said.unheard:
            yield from _told(channel, place, said, turn)
        return {"message": said.number, "text": said.text, "at": rfc3339(turn.at)}

    def _mentioned(self, channel: Channel, user: str, chat: Chat) -> list[str]:
        wanted = dict.fromkeys(self.mentions)
        if len(wanted) > chat.pace.mentions:
            raise Rejected("mentions_too_many", f"A message mentions at most {chat.pace.mentions}.")
        return [who for who in wanted if who in channel.members and who != user]


def _opening(channel: Channel, place: Place, turn: Turn) -> "list[MemberJoined]":
    """A direct channel's two, when this is its first message; the one who speaks last."""
    if not place.other or place.other in channel.members:
        return []
    names = {place.other: name_in(turn.earlier[0] if turn.earlier else None), turn.caller.user: name_in(turn.answer)}
    return [MemberJoined(user=user, name=name, at=turn.at) for user, name in names.items()]


def _not_empty(text: str) -> None:
    if says_nothing(text):
        raise Rejected("text_empty", "There is nothing to be seen in it.")


def _not_silenced(channel: Channel, user: str, turn: Turn) -> None:
    until = channel.silenced.get(user, 0)
    if until > turn.at:
        raise Rejected("silenced", f"A moderator has silenced you here until {rfc3339(until)}.", until=rfc3339(until))


def _repeats(voice: Voice | None, digest: str, pace: Pace, at: int) -> int:
    """How often in a row the same was said, with this time; refused when it is too often, or too much at all."""
    if voice is None:
        return 1
    window_ms = pace.within_s * SECOND_MS
    recent = [time for time in voice.times if time > at - window_ms]
    if len(recent) >= pace.messages:
        seconds = whole_seconds(recent[-pace.messages] + window_ms - at)
        raise Rejected("RATE_LIMITED", f"That is too much; go on in {seconds} s.", retry_after_s=seconds)
    if voice.text != digest or at >= voice.since + pace.same_text_within_s * SECOND_MS:
        return 1
    if voice.repeats >= pace.same_text:
        raise Rejected("text_repeated", "You have said that already.")
    return voice.repeats + 1


def _told(channel: Channel, place: Place, said: "Said", turn: Turn) -> Effects:
    """Who is meant is told: the other one of a direct channel, once until it reads, and whoever is mentioned."""
    data: Details = {
        "channel": turn.key,
        "from": said.by,
        "name": said.name,
        "text": said.text[:EXCERPT_CHARS],
    }
    if not place.other:
        for user in said.mentions:
            yield Tell(player(user), Notify(template="mention", data=data, sender=said.by))
        return None
    if place.other not in channel.alerted:
        yield Alerted(user=place.other, number=said.number)
        yield Tell(player(place.other), Notify(template="direct_message", data=data, sender=said.by, about=turn.key))
    return None


def _pushed(change: Mapping[str, Any], only_for: str) -> Mapping[str, Any]:
    return {**change, "onlyFor": only_for} if only_for else change


class Said(Event[Channel]):
    """Something was said. `digest` and `repeats` tell when the same is said too often."""

    number: int
    by: str
    name: str
    text: str
    mentions: list[str]
    at: int
    digest: str
    repeats: int
    unheard: bool = False

    def message(self) -> Message:
        """What clients see of it."""
        return Message(self.number, self.by, self.name, self.text, self.at, list(self.mentions), unheard=self.unheard)

    def apply(self, channel: Channel) -> None:
        channel.messages.append(self.message())
        _remember(channel, self)
        while len(channel.messages) > limits.MESSAGES_KEPT_MAX:
            _let_go(channel, channel.messages.pop(0))

    def push(self) -> Mapping[str, Any]:
        message = self.message()
        return _pushed({"said": message.shown()}, message.only_for)


def _remember(channel: Channel, said: Said) -> None:
    """Know how much its author says, and forget those who have been quiet for long."""
    voice = channel.voices.pop(said.by, None) or Voice()
    while channel.voices:
        quietest = next(iter(channel.voices))
        full = len(channel.voices) >= limits.CHANNEL_MEMBERS_MAX
        if not full and channel.voices[quietest].times[-1] > said.at - QUIET_MS:
            break
        del channel.voices[quietest]
    voice.times = [*voice.times[1 - limits.MESSAGES_IN_WINDOW_MAX :], said.at]
    if said.repeats == 1:
        voice.text, voice.since = said.digest, said.at
    voice.repeats = said.repeats
    channel.voices[said.by] = voice


def _let_go(channel: Channel, message: Message) -> None:
    """The message leaves the state. The journal has it as it was said: what became of it since is remembered, or else
    the history ends before it."""
    if message.deleted or message.edit:
        channel.amended[message.number] = 0 if message.deleted else message.edit
    bound_amended(channel)


def bound_amended(channel: Channel) -> None:
    """Remember no more than the bound of what became of old messages."""
    while len(channel.amended) > limits.MESSAGES_AMENDED_MAX:
        oldest = min(channel.amended)
        del channel.amended[oldest]
        channel.forgotten = max(channel.forgotten, oldest)


class Alerted(Event[Channel]):
    """One of two was told that there is something new, and is not told again before it has read it."""

    user: str
    number: int

    def apply(self, channel: Channel) -> None:
        channel.alerted[self.user] = self.number


def _own(channel: Channel, number: int, turn: Turn) -> Message:
    """The caller's own message, as long as it may be changed."""
    Place.of(turn)
    message = channel.find(number)
    if message is None or message.deleted or not message.visible_to(turn.caller.user):
        raise Rejected("message_unknown", "There is no such message that could be changed.")
    if message.by != turn.caller.user:
        raise Rejected("FORBIDDEN", "Only who said it can change it.")
    if turn.at > message.at + turn.content.chat.edit_within_s * SECOND_MS:
        raise Rejected("too_late", "It was said too long ago to change it.")
    return message


class Edit(Command[Channel]):
    """Say otherwise what one has said not long ago."""

    public = True
    callers = frozenset({ANYONE})
    creates = True

    message: Amount
    text: Text

    def decide(self, channel: Channel, turn: Turn) -> Effects:
        message = _own(channel, self.message, turn)
        _not_silenced(channel, turn.caller.user, turn)
        _not_empty(self.text)
        text = turn.content.chat.words.masked(self.text)
        if text != message.text:
            edit = turn.version + 1
            yield Edited(number=self.message, edit=edit, text=text, at=turn.at, only_for=message.only_for)
        return {"message": self.message, "text": text}


class Edited(Event[Channel]):
    """A message reads otherwise now. `edit` is the number of this event."""

    number: int
    edit: int
    text: str
    at: int
    only_for: str

    def apply(self, channel: Channel) -> None:
        message = channel.find(self.number)
        if message is not None:
            message.text, message.edited_at, message.edit = self.text, self.at, self.edit

    def push(self) -> Mapping[str, Any]:
        edited = {"message": self.number, "text": self.text, "editedAt": rfc3339(self.at)}
        return _pushed({"edited": edited}, self.only_for)


class Delete(Command[Channel]):
    """Take back what one has said not long ago."""

    public = True
    callers = frozenset({ANYONE})
    creates = True

    message: Amount

    def decide(self, channel: Channel, turn: Turn) -> Effects:
        found = channel.find(self.message)
        if found is not None and found.deleted and found.by == turn.caller.user:
            return {"message": self.message}
        message = _own(channel, self.message, turn)
        yield Deleted(number=self.message, by=turn.caller.user, reason="", at=turn.at, only_for=message.only_for)
        return {"message": self.message}


class Deleted(Event[Channel]):
    """A message is gone; its place in the history stays."""

    number: int
    by: str
    reason: str
    at: int
    only_for: str = ""

    def apply(self, channel: Channel) -> None:
        message = channel.find(self.number)
        if message is not None:
            message.deleted, message.text, message.mentions = True, "", []
            return
        if self.number > channel.forgotten:
            channel.amended[self.number] = 0
            bound_amended(channel)

    def push(self) -> Mapping[str, Any]:
        return _pushed({"deleted": self.number}, self.only_for)


class ForgetOld(Command[Channel]):
    """What is older than the retention leaves the state; daily, as long as there is anything."""

    def decide(self, channel: Channel, turn: Turn) -> Effects:
        oldest = oldest_shown(channel, turn)
        old = [message.number for message in channel.messages if message.at <= oldest]
        yield Forgotten(number=max(old, default=channel.forgotten))
        if len(old) < len(channel.messages):
            yield Remind("forget", turn.at + DAY_MS, ForgetOld())
        return {}


class Forgotten(Event[Channel]):
    """Messages up to this one are shown to nobody any more."""

    number: int

    def apply(self, channel: Channel) -> None:
        channel.forgotten = self.number
        channel.messages = [message for message in channel.messages if message.number > self.number]
        for number in [number for number in channel.amended if number <= self.number]:
            del channel.amended[number]
