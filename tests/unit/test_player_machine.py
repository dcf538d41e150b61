"""Tokens and wallets against plain models: whatever is done in whatever order, both say the same."""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from actors.core import Address
from actors.player.wallet import Credit, Debit
from schemas import limits
from schemas.problems import Refusal
from tests.unit.stage import Person, Stage


def code_of(action: Any) -> str:
    try:
        action()
    except Refusal as refusal:
        return refusal.code
    return "done"


class Tokens(RuleBasedStateMachine):
    """Practice tokens: no limits and no detector stand between the token and its points."""

    tokens = Bundle("tokens")

    def __init__(self) -> None:
        super().__init__()
        self.stage = Stage()
        self.people = [Person(self.stage, name) for name in ("alice", "bob")]
        self.scores = [0, 0]
        self.used_at: dict[str, int] = {}

    @rule(target=tokens, who=st.integers(0, 1))
    def start(self, who: int) -> tuple[int, int, dict[str, Any]]:
        started = self.people[who].say("start_action", type="practice")
        assert started["expectedScore"] == self.scores[who] + 1
        return who, self.stage.at, started

    @rule(seconds=st.sampled_from([0.001, 1, 299, 600, 3_600]))
    def wait(self, seconds: float) -> None:
        self.stage.wait(seconds)

    @rule(token=tokens, who=st.integers(0, 1), forged=st.booleans())
    def complete(self, token: tuple[int, int, dict[str, Any]], who: int, forged: bool) -> None:
        owner, made_at, started = token
        used_at = self.used_at.get(started["id"])
        said = {**started, "actionToken": f"{started['id']}.{'0' * 64}"} if forged else started
        told = code_of(lambda: self.people[who].finish(said))
        assert told in self._expected(used_at, owner == who, self.stage.at - made_at >= 600_000, forged)
        if told == "done":
            self.scores[who] += 1
            self.used_at[started["id"]] = self.stage.at

    def _expected(self, used_at: int | None, own: bool, expired: bool, forged: bool) -> set[str]:
        if not own:
            return {"TOKEN_INVALID"}
        if used_at is None:
            return {"TOKEN_INVALID"} if expired else {"SIGNATURE_INVALID" if forged else "done"}
        remembered = {"SIGNATURE_INVALID" if forged else "TOKEN_USED"}
        return remembered if self.stage.at - used_at < 3_600_000 else {*remembered, "TOKEN_INVALID"}

    @invariant()
    def scores_agree(self) -> None:
        for person, score in zip(self.people, self.scores, strict=True):
            assert person.ask("own_score", board="practice")["score"] == score

    def teardown(self) -> None:
        self.stage.check()


class Wallets(RuleBasedStateMachine):
    """No coin is ever created, lost, or owed."""

    def __init__(self) -> None:
        super().__init__()
        self.stage = Stage()
        self.alice = Person(self.stage, "alice")
        self.balance = {"gold": 100, "gems": 0}

    @rule(
        currency=st.sampled_from(["gold", "gems"]),
        amount=st.one_of(st.integers(1, 200), st.sampled_from([limits.INTEGER_MAX, limits.INTEGER_MAX - 100])),
        credit=st.booleans(),
    )
    def change(self, currency: str, amount: int, credit: bool) -> None:
        message = (Credit if credit else Debit)(currency=currency, amount=amount, reason="test")
        told = code_of(lambda: self.stage.send(Address("player", "alice"), message))
        after = self.balance[currency] + (amount if credit else -amount)
        if after < 0:
            assert told == "balance_too_low"
        elif after > limits.INTEGER_MAX:
            assert told == "balance_too_high"
        else:
            assert told == "done"
            self.balance[currency] = after

    @invariant()
    def balances_agree(self) -> None:
        wallet = self.alice.ask("wallet", limit=limits.LEDGER_ENTRIES_MAX)
        assert {"gems": 0, **wallet["balances"]} == self.balance
        assert self.balance["gold"] == 100 + sum(
            entry["change"] for entry in wallet["ledger"] if entry["currency"] == "gold"
        )

    def teardown(self) -> None:
        self.stage.check()


TestTokens = Tokens.TestCase
TestTokens.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)
TestWallets = Wallets.TestCase
TestWallets.settings = TestTokens.settings
