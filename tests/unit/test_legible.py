"""How states and turns are shown."""

from actors.leaderboard.ladder import Ladder
from actors.leaderboard.shard import Leaderboard
from actors.player.state import Held, Player, Used
from scripts.inspect.legible import as_text, changes, legible, masked
from scripts.inspect.tokens import token_states

NOON = 1_795_262_400_000


def test_a_ladder_of_many_is_shown_by_its_first_rows() -> None:
    ladder = Ladder()
    for number in range(100):
        ladder.add(f"player-{number:03}", f"name {number}", number + 1, NOON)
    shown = legible(Leaderboard.model_construct(ladders={0: ladder}))["ladders"]["0"]
    assert shown["entries"] == 100
    assert [row[2] for row in shown["first"]] == [f"player-{number:03}" for number in range(99, 89, -1)]


def test_tokens_and_hashes_are_cut_short() -> None:
    shown = masked({"actionToken": "secret-" * 5, "reply": [{"hash": "f" * 64, "points": 3}], "name": "x" * 40})
    assert shown == {"actionToken": "secret-s...", "reply": [{"hash": "ffffffff...", "points": 3}], "name": "x" * 40}


def test_times_are_shown_as_times_and_control_characters_are_not_obeyed() -> None:
    shown = as_text({"expires_at": NOON, "points": NOON, "name": "\x1b[31mred"})
    assert "expires_at: '2026-11-21T12:00:00.000Z'" in shown
    assert f"points: {NOON}" in shown
    assert "\x1b" not in shown


def test_changes_name_what_differs_and_nothing_else() -> None:
    before = {"wallet": {"gold": 1}, "held": {"a": {"type": "x"}}, "recent": [1, 2], "name": "alice"}
    after = {"wallet": {"gold": 2}, "held": {}, "recent": [1, 2, 3], "name": "alice"}
    assert list(changes(before, after)) == [
        ("wallet.gold", 1, 2),
        ("held.a", {"type": "x"}, None),
        ("recent.+", None, [3]),
    ]


def test_each_state_of_a_token_is_told() -> None:
    """SC-15"""

    def held(kind: str, expires_at: int) -> Held:
        return Held(type=kind, family="actions", at=NOON - 1_000, expires_at=expires_at, proof="")

    player = Player(
        id="alice",
        held={
            "open": held("quick_win", NOON + 1),
            "late": held("quick_win", NOON),
            "gone": held("abolished", NOON + 1),
        },
        used={"done": Used(at=NOON - 5, proof="")},
    )
    states = {token["id"]: token["state"] for token in token_states(player, NOON, {"quick_win"})}
    assert states == {"open": "active", "late": "expired", "gone": "invalid", "done": "consumed"}
