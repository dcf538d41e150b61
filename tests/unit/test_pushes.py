"""What one turn tells those who listen to its actor."""

from actors.player.inbox import MessagesDeleted
from actors.player.wallet import WalletChanged
from actors.runtime.topics import merged_push
from tests.unit.stage import catalog


def test_two_messages_of_one_turn_are_both_pushed() -> None:
    notified = catalog().kind("player").events["notified"]
    fields = {"template": "hello", "data": {}, "at": 1, "expires_at": 2}
    events = [notified.model_validate({"id": id_, **fields}) for id_ in ("a", "b")]
    assert [message["id"] for message in merged_push(events)["notifications"]] == ["a", "b"]
    assert merged_push([MessagesDeleted(ids=["a"]), MessagesDeleted(ids=["b"])])["deleted"] == ["a", "b"]


def test_later_facts_of_a_map_stand_over_earlier_ones() -> None:
    events = [
        WalletChanged(currency=currency, change=1, balance=balance, reason="r", at=1)
        for currency, balance in (("gold", 1), ("gems", 5), ("gold", 2))
    ]
    assert merged_push(events) == {"events": ["wallet_changed"] * 3, "wallet": {"gold": 2, "gems": 5}}
