"""Who plays behind which address or device: many players behind one are suspicious."""

from ipaddress import ip_address
from typing import Literal

from actors.content import Content, Shared
from actors.core import Address, Command, Effects, Event, Tell, Turn
from actors.fraud.assess import Report
from actors.fraud.state import Fraudwatch, detector_of
from actors.times import SECOND_MS
from schemas import limits
from schemas.shape import Key


def sightings(player: str, content: Content, *, address: str = "", device: str = "") -> list[tuple[Address, "Sight"]]:
    """Whom to tell that a player was seen; loopback is nobody's address. Callers leave out proxies that they trust."""
    seen: list[tuple[Literal["address", "device"], str]] = []
    if address and not ip_address(address).is_loopback:
        seen.append(("address", address))
    if device:
        seen.append(("device", device))
    return [
        (detector_of(f"{kind}:{place}", content.fraud), Sight(player=player, kind=kind, place=place))
        for kind, place in seen
        if any(rule.kind == f"shared_{kind}" for rule in content.fraud.rules.values())
    ]


class Sight(Command[Fraudwatch]):
    """A player was seen behind an address or on a device."""

    player: Key
    kind: Literal["address", "device"]
    place: Key

    def decide(self, detector: Fraudwatch, turn: Turn) -> Effects:
        fraud = turn.content.fraud
        place = f"{self.kind}:{self.place}"
        seen = detector.places.get(place, {})
        yield Sighted(place=place, player=self.player, at=turn.at)
        for name, rule in fraud.rules.items():
            if not isinstance(rule, Shared) or rule.kind != f"shared_{self.kind}":
                continue
            start = turn.at - rule.within_s * SECOND_MS
            others = sorted(player for player, at in seen.items() if at > start and player != self.player)
            if len(others) >= rule.more_than and seen.get(self.player, start) <= start:
                evidence: dict[str, int | str | list[int]] = {
                    "players": len(others) + 1,
                    "within_s": rule.within_s,
                    self.kind: self.place,
                }
                report = Report(player=self.player, rule=name, points=rule.points, evidence=evidence)
                yield Tell(detector_of(self.player, fraud), report)
        return {}


class Sighted(Event[Fraudwatch]):
    """The player was last seen there at this time."""

    place: str
    player: str
    at: int

    def apply(self, detector: Fraudwatch) -> None:
        seen = detector.places.pop(self.place, {})
        seen.pop(self.player, None)
        seen[self.player] = self.at
        if len(seen) > limits.SIGHTED_PLAYERS_MAX:
            del seen[next(iter(seen))]
        detector.places[self.place] = seen
        if len(detector.places) > limits.SIGHTED_PLACES_MAX:
            del detector.places[next(iter(detector.places))]
