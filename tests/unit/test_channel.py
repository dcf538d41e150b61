"""Rooms and direct channels: who is in, what is said, what is too much, and what remains to be read."""

import time
from typing import Any

import pytest

from actors.channel.desk import CloseCase, desk_address
from actors.channel.passes import Pass
from actors.channel.state import Channel, direct_key
from actors.content import Content
from actors.content.chat import Words
from actors.core import Address, Caller
from schemas import limits
from schemas.messages import pack, unpack
from tests.unit.guildhall import found
from tests.unit.guildhall import say as in_guild
from tests.unit.stage import Person, Stage, catalog
from tests.unit.test_player_actions import refused

DAY_S = 86_400
MODERATOR = Caller("mod", ("moderator",))


class Talker(Person):
    """A player who talks in one channel."""

    def __init__(self, stage: Stage, user: str, channel: str = "lobby") -> None:
        super().__init__(stage, user)
        self.channel = Address("channel", channel)
        self.caller = Caller(user)

    def tell(self, command: str, *, caller: Caller | None = None, **fields: Any) -> dict[str, Any]:
        message = catalog().kind("channel").command(command).model_validate(fields)
        return self.stage.send(self.channel, message, caller or self.caller)

    def hears(self, query: str = "history", *, caller: Caller | None = None, **fields: Any) -> Any:
        message = catalog().kind("channel").queries[query].model_validate(fields)
        return self.stage.query(self.channel, message, caller or self.caller)

    def texts(self, **fields: Any) -> list[str]:
        return [message["text"] for message in self.hears(**fields)["messages"]]

    def all_texts(self, limit: int = 50) -> list[str]:
        """The whole history, page by page."""
        texts: list[str] = []
        page = self.hears(limit=limit)
        for _ in range(1_000):
            texts += [message["text"] for message in page["messages"]]
            if page["next"] is None:
                return texts
            page = self.hears(limit=limit, before=page["next"])
        raise AssertionError("the history has no end")

    def inbox(self) -> list[tuple[str, str]]:
        return [(message["template"], message["title"]) for message in self.ask("inbox")["messages"]]


@pytest.fixture
def ann(stage: Stage) -> Talker:
    ann = Talker(stage, "ann")
    ann.tell("join")
    return ann


@pytest.fixture
def bob(stage: Stage) -> Talker:
    bob = Talker(stage, "bob")
    bob.tell("join")
    return bob


@pytest.fixture
def pair(stage: Stage) -> tuple[Talker, Talker]:
    """Two with a direct channel, in which nothing was said yet."""
    return Talker(stage, "cid", direct_key("cid", "dan")), Talker(stage, "dan", direct_key("dan", "cid"))


# -- rooms --------------------------------------------------------------------------------------------------------


def test_what_is_said_is_numbered_named_and_read_newest_first(ann: Talker, bob: Talker) -> None:
    first = ann.tell("send", text="hello")
    second = bob.tell("send", text="hello, ann")
    assert (first["message"], second["message"]) == (3, 4)
    newest, oldest = ann.hears()["messages"]
    assert (newest["username"], newest["text"], newest["message"]) == ("Bob", "hello, ann", 4)
    assert (oldest["userId"], oldest["text"]) == ("ann", "hello")


def test_who_is_not_in_a_room_neither_talks_nor_listens(stage: Stage, ann: Talker) -> None:
    eve = Talker(stage, "eve")
    for attempt in (lambda: eve.tell("send", text="psst"), eve.hears, lambda: eve.hears("members")):
        with refused("not_a_member", 403):
            attempt()
    room = stage.actor(ann.channel)
    assert not room.may_listen("lobby", Caller("eve"))
    assert room.may_listen("lobby", Caller("ann"))
    assert room.may_listen("lobby", MODERATOR)


def test_a_member_who_leaves_is_named_in_the_last_push_that_reaches_it(stage: Stage, ann: Talker) -> None:
    ann.tell("leave")
    assert stage.journal[ann.channel][-1][0] == "member_left"
    left = catalog().kind("channel").events["member_left"].model_validate(stage.journal[ann.channel][-1][1])
    assert left.push() == {"departed": {"ann": "left"}}
    assert ann.tell("leave") == {}
    assert ann.tell("join") == {"members": 1}
    assert ann.tell("join") == {"members": 1}


def test_a_room_that_no_designer_wrote_does_not_exist(stage: Stage) -> None:
    with refused("channel_unknown", 404):
        Talker(stage, "ann", "cellar").tell("join")


def test_a_full_room_refuses_newcomers(stage: Stage, ann: Talker) -> None:
    room = stage.content.chat.rooms["lobby"].model_copy(update={"members_max": 1})
    chat = stage.content.chat.model_copy(update={"rooms": {"lobby": room}})
    stage.content = stage.content.model_copy(update={"chat": chat})
    with refused("channel_full", 409):
        Talker(stage, "bob").tell("join")


def test_members_are_listed_in_the_order_in_which_they_came(ann: Talker, bob: Talker) -> None:
    told = ann.hears("members", after=1)
    assert told["count"] == 2
    assert [member["username"] for member in told["members"]] == ["Bob"]


def test_who_comes_in_while_players_cannot_be_asked_is_asked_to_try_again(stage: Stage) -> None:
    eve = Talker(stage, "eve")
    stage.silent.add("player")
    with refused("UNAVAILABLE", 503):
        eve.tell("join")


# -- too much -----------------------------------------------------------------------------------------------------


def test_ten_messages_in_ten_seconds_are_enough(stage: Stage, ann: Talker) -> None:
    for number in range(10):
        ann.tell("send", text=f"number {number}")
    with refused("RATE_LIMITED", 429) as told:
        ann.tell("send", text="one more")
    assert told.value.retry_after_s == 10
    stage.wait(10)
    ann.tell("send", text="one more")


def test_the_same_is_said_three_times_at_most(stage: Stage, ann: Talker) -> None:
    for text in ("Buy gold", "buy gold", "BUY GÖLD"):
        ann.tell("send", text=text)
    with refused("text_repeated", 409):
        ann.tell("send", text="buy g0ld")
    ann.tell("send", text="sorry")
    stage.wait(60)
    ann.tell("send", text="buy gold")


def test_a_text_has_five_hundred_characters_at_most(ann: Talker) -> None:
    ann.tell("send", text="x" * limits.TEXT_CHARS_MAX)
    with pytest.raises(ValueError, match="at most 500"):
        ann.tell("send", text="x" * (limits.TEXT_CHARS_MAX + 1))


def test_a_message_mentions_a_few_members_and_nobody_else(stage: Stage, ann: Talker, bob: Talker) -> None:
    eve = Person(stage, "eve")
    ann.tell("send", text="bob, eve, ann: look", mentions=["bob", "eve", "ann", "bob"])
    assert bob.inbox() == [("mention", "Ann mentioned you in lobby")]
    assert eve.ask("inbox")["messages"] == []
    with refused("mentions_too_many", 409):
        ann.tell("send", text="all of you", mentions=["a", "b", "c", "d", "e", "f"])


# -- words --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        ("you idiot", "you *****"),
        ("IDIOT, 1d10t and ídïot!", "*****, ***** and *****!"),
        ("idiiiiiot", "*********"),
        ("idiotic", "idiotic"),
        ("what scumbags", "what *******s"),
        ("\u0456di\u043et", "*****"),  # Cyrillic letters that look like those
        ("idi\u200bot", "******"),  # what is not seen
        ("sc\u00adum\u2060bag", "*********"),
        ("good morning", "good morning"),
        ("a ½ ﬁne day ß İ", "a ½ ﬁne day ß İ"),
    ],
)
def test_words_that_nobody_has_to_read_are_hidden(ann: Talker, said: str, heard: str) -> None:
    assert ann.tell("send", text=said)["text"] == heard
    assert ann.texts() == [heard]


@pytest.mark.parametrize("text", [" ", "\n\n", "\u200b\u200b", "\u202e \u2060", "\u3164"])
def test_a_message_in_which_nothing_can_be_seen_is_refused(ann: Talker, text: str) -> None:
    number = ann.tell("send", text="hello")["message"]
    with refused("text_empty", 409):
        ann.tell("send", text=text)
    with refused("text_empty", 409):
        ann.tell("edit", message=number, text=text)


@pytest.mark.parametrize(
    "text", ["a" * 500, "\uff41" * 500, "1d10t " * 83, "sc" * 250, "\u0130" * 500, "i" * 250 + "d" * 250]
)
def test_se_17_the_filter_takes_less_than_five_milliseconds(text: str) -> None:
    many = [f"word{number}x" for number in range(limits.FILTERED_WORDS_MAX)]
    words = Words(whole=["idiot", *many[1:]], anywhere=["aab", "scs", *many[2:]])
    words.masked(text)
    best = float("inf")
    for _ in range(20):
        began = time.perf_counter()
        words.masked(text)
        best = min(best, time.perf_counter() - began)
    assert best < 0.005


# -- changed and gone ---------------------------------------------------------------------------------------------


def test_what_one_said_can_be_said_otherwise_for_a_while(stage: Stage, ann: Talker, bob: Talker) -> None:
    number = ann.tell("send", text="helo")["message"]
    assert ann.tell("edit", message=number, text="hello, idiot")["text"] == "hello, *****"
    [message] = bob.hears()["messages"]
    assert (message["text"], "editedAt" in message) == ("hello, *****", True)
    with refused("FORBIDDEN", 403):
        bob.tell("edit", message=number, text="goodbye")
    stage.wait(901)
    with refused("too_late", 409):
        ann.tell("edit", message=number, text="hello")


def test_what_is_deleted_leaves_its_place_and_no_word(ann: Talker, bob: Talker) -> None:
    number = ann.tell("send", text="a secret", mentions=["bob"])["message"]
    with refused("FORBIDDEN", 403):
        bob.tell("delete", message=number)
    for _ in range(2):
        ann.tell("delete", message=number)
    [message] = bob.hears()["messages"]
    assert (message["text"], message["mentions"], message["deleted"]) == ("", [], True)
    with refused("message_unknown", 404):
        ann.tell("edit", message=number, text="after all")


def test_a_moderator_removes_any_message_however_old(stage: Stage, ann: Talker) -> None:
    number = ann.tell("send", text="to be removed")["message"]
    for turn in range(limits.MESSAGES_KEPT_MAX + 50):
        stage.wait(2)
        ann.tell("send", text=f"talk {turn}")
    with refused("message_unknown", 404):
        ann.tell("delete", message=number)
    ann.tell("remove_message", caller=MODERATOR, message=number, reason="rude")
    assert ann.all_texts()[-1] == ""
    with refused("message_unknown", 404):
        ann.tell("remove_message", caller=MODERATOR, message=100_000, reason="rude")


def test_a_silenced_player_says_nothing_until_the_time_is_over(stage: Stage, ann: Talker) -> None:
    number = ann.tell("send", text="rude")["message"]
    ann.tell("silence", caller=MODERATOR, player="ann", minutes=10, reason="rude")
    with refused("silenced", 403):
        ann.tell("send", text="but")
    with refused("silenced", 403):
        ann.tell("edit", message=number, text="ruder")
    stage.wait(600)
    ann.tell("send", text="sorry")


def test_reports_of_one_message_are_one_case_for_moderators(stage: Stage, ann: Talker, bob: Talker) -> None:
    number = ann.tell("send", text="something bad")["message"]
    bob.tell("report_message", message=number, reason="bad")
    bob.tell("report_message", message=number, reason="really")
    ann.tell("delete", message=number)
    with refused("message_unknown", 404):
        bob.tell("report_message", message=number, reason="where is it?")
    reports = catalog().kind("desk").queries["reports"]
    [case] = stage.query(desk_address(), reports(), MODERATOR)
    assert (case["author"], case["text"], case["reports"]) == ("ann", "something bad", [{"by": "bob", "reason": "bad"}])
    close = CloseCase(case_id=case["id"], verdict="upheld", note="warned")
    stage.send(desk_address(), close, MODERATOR)
    assert stage.query(desk_address(), reports(), MODERATOR) == []


# -- history ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 7, 50, 100])
def test_pages_hold_each_message_once_in_order_with_what_became_of_it(stage: Stage, ann: Talker, limit: int) -> None:
    expected = []
    for number in range(450):
        stage.wait(2)
        message = ann.tell("send", text=f"m{number}")["message"]
        text = f"m{number}"
        if number % 10 == 3:
            ann.tell("edit", message=message, text=f"first m{number}")
            ann.tell("edit", message=message, text=f"better m{number}")
            text = f"better m{number}"
        if number % 10 == 7:
            ann.tell("delete", message=message)
            text = ""
        expected.append(text)
    assert ann.all_texts(limit) == expected[::-1]


def test_what_is_older_than_the_retention_is_shown_to_nobody(stage: Stage, ann: Talker) -> None:
    for number in range(250):
        stage.wait(2)
        ann.tell("send", text=f"old {number}")
    stage.wait(20 * DAY_S)
    ann.tell("send", text="newer")
    stage.wait(10 * DAY_S)
    assert ann.all_texts() == ["newer"]
    stage.wait(DAY_S)
    room = stage.actor(ann.channel)
    assert isinstance(room, Channel)
    assert [message.text for message in room.messages] == ["newer"]
    stage.wait(20 * DAY_S)
    assert ann.all_texts() == []
    assert room.messages == []


def test_when_too_much_was_amended_the_oldest_part_of_the_history_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "MESSAGES_AMENDED_MAX", 3)
    stage = Stage()
    ann = Talker(stage, "ann")
    ann.tell("join")
    for number in range(limits.MESSAGES_KEPT_MAX + 10):
        stage.wait(2)
        message = ann.tell("send", text=f"m{number}")["message"]
        if number < 5:
            ann.tell("delete", message=message)
    # Five were deleted, and three of those are remembered: the first two and all before them are shown to nobody.
    texts = ann.all_texts()
    assert len(texts) == limits.MESSAGES_KEPT_MAX + 8
    assert texts[-3:] == ["", "", ""]
    stage.check()


# -- direct channels ----------------------------------------------------------------------------------------------


def test_the_first_message_opens_the_channel_and_the_other_one_is_told_once(pair: tuple[Talker, Talker]) -> None:
    cid, dan = pair
    cid.tell("send", text="are you there?")
    cid.tell("send", text="hello?")
    assert dan.inbox() == [("direct_message", "Cid wrote to you")]
    assert dan.texts() == ["hello?", "are you there?"]
    dan.tell("mark_read")
    assert dan.ask("inbox")["unread"] == 0
    cid.tell("send", text="good")
    assert dan.ask("inbox")["unread"] == 1
    assert cid.inbox() == []


def test_a_direct_channel_is_open_to_its_two_only(stage: Stage, pair: tuple[Talker, Talker]) -> None:
    eve = Talker(stage, "eve", direct_key("cid", "dan"))
    for attempt in (lambda: eve.tell("send", text="hi"), eve.hears, lambda: eve.tell("mark_read")):
        with refused("FORBIDDEN", 403):
            attempt()
    key = pair[0].channel.key
    assert not Channel.may_subscribe(key, Caller("eve"))
    assert Channel.may_subscribe(key, Caller("dan"))
    assert stage.actor(pair[0].channel).may_listen(key, Caller("dan"))


def test_to_nobody_nothing_can_be_said(stage: Stage) -> None:
    with refused("player_unknown", 404):
        Talker(stage, "ann", direct_key("ann", "nobody")).tell("send", text="hello?")
    for key in ("direct.b.a", "direct.a.a", "direct.a", "direct.a.b.c", "direct..a"):
        with refused("channel_unknown", 404):
            Talker(stage, "ann", key).tell("send", text="hello?")


def test_whoever_is_blocked_is_not_told_so_and_not_heard(stage: Stage, pair: tuple[Talker, Talker]) -> None:
    cid, dan = pair
    cid.tell("send", text="before")
    dan.tell("mark_read")
    dan.say("block_player", player="cid")
    told = cid.tell("send", text="after")
    assert set(told) == {"message", "text", "at"}
    cid.tell("edit", message=told["message"], text="after all")
    assert cid.texts() == ["after all", "before"]
    assert dan.texts() == ["before"]
    assert dan.ask("inbox")["unread"] == 0
    for name, fields in stage.journal[cid.channel][-2:]:
        assert catalog().kind("channel").events[name].model_validate(fields).push()["onlyFor"] == "cid"
    channel = stage.actor(cid.channel)
    assert [message["text"] for message in channel.shown_to(Caller("dan"))["messages"]] == ["before"]
    assert [message["text"] for message in channel.shown_to(Caller("cid"))["messages"]] == ["before", "after all"]
    dan.say("unblock_player", player="cid")
    cid.tell("send", text="at last")
    assert dan.texts() == ["at last", "before"]


def test_whoever_was_muted_mentions_in_vain(ann: Talker, bob: Talker) -> None:
    bob.say("mute_player", player="ann")
    ann.tell("send", text="bob!", mentions=["bob"])
    assert bob.inbox() == []
    bob.say("unmute_player", player="ann")
    ann.tell("send", text="bob?", mentions=["bob"])
    assert bob.inbox() == [("mention", "Ann mentioned you in lobby")]


# -- guild channels -----------------------------------------------------------------------------------------------


def test_whoever_belongs_to_a_guild_talks_in_its_channel_and_nobody_else(stage: Stage) -> None:
    ann, bob, eve = (Talker(stage, name, "guild.red-dragons") for name in ("ann", "bob", "eve"))
    found(ann)
    ann.tell("send", text="is anybody here?")
    with refused("not_a_member", 403):
        bob.tell("send", text="let me in")
    with refused("not_a_room", 409):
        bob.tell("join")
    in_guild(bob, "join")
    bob.tell("send", text="now I am")
    assert ann.texts() == ["now I am", "is anybody here?"]
    in_guild(bob, "leave")
    with refused("not_a_member", 403):
        bob.hears()
    name, fields = stage.journal[bob.channel][-1]
    last = catalog().kind("channel").events[name].model_validate(fields)
    assert last.push() == {"departed": {"bob": "left"}}
    with refused("not_a_member", 403):
        eve.hears("members")


def test_whether_one_belongs_to_a_guild_is_told_in_any_order(stage: Stage, ann: Talker) -> None:
    channel = Address("channel", "guild.red-dragons")
    for number, inside in ((5, False), (3, True), (5, True)):
        stage.send(channel, Pass(user="ann", name="Ann", inside=inside, number=number))
    assert "ann" not in stage.actor(channel).model_dump()["members"]
    stage.send(channel, Pass(user="ann", name="Ann", inside=True, number=9))
    assert "ann" in stage.actor(channel).model_dump()["members"]


# -- content and size ---------------------------------------------------------------------------------------------


def test_a_room_is_not_named_like_a_direct_channel() -> None:
    chat = {"rooms": {"direct.a.b": {"title": "Mine"}}}
    with pytest.raises(ValueError, match="cannot begin with"):
        Content.model_validate({"chat": chat})


@pytest.mark.parametrize("words", [{"whole": ["two words"]}, {"anywhere": ["ab"]}, {"whole": ["!"]}])
def test_a_word_of_the_filter_is_one_word(words: dict[str, list[str]]) -> None:
    with pytest.raises(ValueError, match="words"):
        Content.model_validate({"chat": {"words": words}})


def test_a_room_of_a_thousand_comes_back_from_its_checkpoint(stage: Stage) -> None:
    for number in range(limits.CHANNEL_MEMBERS_MAX):
        Talker(stage, f"user{number}").tell("join")
    talker = Talker(stage, "user0")
    talker.tell("send", text="hello all")
    assert talker.hears("members", limit=1)["count"] == limits.CHANNEL_MEMBERS_MAX
    room = stage.actor(talker.channel)
    assert Channel.unpack_state(unpack(pack(room.pack_state()))).fingerprint() == room.fingerprint()
    with refused("channel_full", 409):
        Talker(stage, "late").tell("join")
