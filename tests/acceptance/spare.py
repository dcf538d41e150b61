"""A second server, with a game of its own: two files in a folder `actors` on PYTHONPATH, nothing else."""

import http.client
import shutil
import tempfile
from pathlib import Path

from tests.acceptance.server import PROJECT, Server

LIGHTHOUSE = '''"""A lighthouse: somebody keeps it, and anyone may light it."""

from collections.abc import Mapping
from typing import Any

from actors.core import ANYONE, Actor, Command, Effects, Event, Query, Rejected, Turn
from schemas.shape import Amount


class Lighthouse(Actor):
    kind = "lighthouse"
    pushes = "turn"

    keeper: str = ""
    oil: int = 3

    def view(self) -> Any:
        return {"keeper": self.keeper, "oil": self.oil}


class Light(Command[Lighthouse]):
    """Burn some oil."""

    public = True
    callers = frozenset({ANYONE})

    oil: Amount

    def decide(self, lighthouse: Lighthouse, turn: Turn) -> Effects:
        if self.oil > lighthouse.oil:
            raise Rejected("oil_too_low")
        yield Lit(oil=self.oil, by=turn.caller.user)
        return {"oilLeft": lighthouse.oil - self.oil}


class Lit(Event[Lighthouse]):
    oil: int
    by: str

    def apply(self, lighthouse: Lighthouse) -> None:
        lighthouse.oil -= self.oil
        lighthouse.keeper = self.by

    def push(self) -> Mapping[str, Any]:
        return {"oil": -self.oil}


class Lamp(Query[Lighthouse]):
    """How much oil is left."""

    public = True
    callers = frozenset({ANYONE})

    def answer(self, lighthouse: Lighthouse, turn: Turn) -> dict[str, Any]:
        return {"keeper": lighthouse.keeper, "oil": lighthouse.oil}
'''

PARTING = '''"""One more command for a kind that is there already."""

from actors.core import Command, Effects, Event, Turn
from actors.player.state import Player


class Wave(Command[Player]):
    """Wave to nobody in particular."""

    public = True

    def decide(self, player: Player, turn: Turn) -> Effects:
        yield Waved(at=turn.at)
        return {"waved": True}


class Waved(Event[Player]):
    at: int

    def apply(self, player: Player) -> None:
        pass
'''


class Spare(Server):
    """`first_metrics` is what the gateway counted before anybody asked it for anything."""

    def __init__(self) -> None:
        self.game = Path(tempfile.mkdtemp(prefix="gr-game-", dir="/tmp"))
        (self.game / "actors").mkdir()
        (self.game / "actors" / "lighthouse.py").write_text(LIGHTHOUSE)
        (self.game / "actors" / "parting.py").write_text(PARTING)
        path = f"{self.game}:{PROJECT}"
        settings = {"DASHBOARD": "false", "GATEWAYS": "1", "FRAUD_FAIL_CLOSED": "true"}
        # That a test can silence the detector alone.
        settings["PLACEMENT"] = '{"fraud": "dedicated"}'
        environment = {f"GREENROOM_{name}": value for name, value in settings.items()}
        super().__init__(environment={**environment, "PYTHONPATH": path})
        self.first_metrics = ""

    def start(self) -> None:
        super().start()
        asking = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        asking.request("GET", "/metrics")
        self.first_metrics = asking.getresponse().read().decode()
        asking.close()

    def remove(self) -> None:
        super().remove()
        shutil.rmtree(self.game, ignore_errors=True)
