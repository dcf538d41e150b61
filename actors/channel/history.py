"""What was said, page by page: the newest from the state, all before it from the channel's journal."""

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import Field

from actors.channel.members import insider
from actors.channel.state import Channel, Message, oldest_shown
from actors.channel.talk import Edited, Said
from actors.core import ANYONE, Past, Query, Turn
from schemas import limits

NEWEST = limits.INTEGER_MAX
TURNS_MORE = 20
"""Turns that are read beside two for each message wanted, for in many of them nothing was said."""


class History(Query[Channel]):
    """A page of messages, newest first. `next` is where the following page begins; it is null at the end. A page may
    hold fewer messages than asked for, or none, and yet be followed by another."""

    public = True
    callers = frozenset({ANYONE})
    creates = True

    before: Annotated[int, Field(ge=1, le=NEWEST)] = NEWEST
    limit: Annotated[int, Field(ge=1, le=limits.HISTORY_PAGE_MAX)] = limits.PAGE_ITEMS

    def recalls(self, channel: Channel, turn: Turn) -> Past | None:
        insider(channel, turn)
        if self._kept(channel) or self.before <= channel.forgotten + 1:
            return None
        amended = sorted((number for number in channel.amended if number < self.before), reverse=True)
        edits = [edit for number in amended[: limits.HISTORY_TURNS_MAX] if (edit := channel.amended[number])]
        return Past(self.before, min(2 * self.limit + TURNS_MORE, limits.HISTORY_TURNS_MAX), tuple(edits))

    def answer(self, channel: Channel, turn: Turn) -> dict[str, Any]:
        insider(channel, turn)
        kept = self._kept(channel)
        found = kept or list(self._recalled(channel, turn))
        oldest = oldest_shown(channel, turn)
        shown = [message for message in reversed(found) if message.at > oldest and message.visible_to(turn.caller.user)]
        page = shown[: self.limit]
        earlier = [happened.number for happened in turn.past if happened.number < self.before]
        looked_at = kept[0].number if kept else min(earlier, default=1)
        further: int | None = looked_at
        if len(shown) > self.limit:
            further = page[-1].number
        elif looked_at <= channel.forgotten + 1 or (found and found[0].at <= oldest):
            further = None
        return {"messages": [message.shown() for message in page], "next": further}

    def _kept(self, channel: Channel) -> list[Message]:
        """The messages in the state that come before the cursor, oldest first."""
        return [message for message in channel.messages if message.number < self.before]

    def _recalled(self, channel: Channel, turn: Turn) -> Iterator[Message]:
        """The messages of the journal's turns as they read by now, oldest first."""
        edits = {happened.number: happened.event for happened in turn.past if isinstance(happened.event, Edited)}
        for happened in turn.past:
            said = happened.event
            if not isinstance(said, Said) or happened.number >= self.before or said.number <= channel.forgotten:
                continue
            message = said.message()
            edit = edits.get(channel.amended.get(said.number, -1))
            if isinstance(edit, Edited):
                message.text, message.edited_at = edit.text, edit.at
            message.deleted = channel.amended.get(said.number) == 0
            yield message
