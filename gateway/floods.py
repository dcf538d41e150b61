"""How much of some commands one user, and one address, may send to all actors together."""

from collections.abc import Mapping
from ipaddress import ip_address
from typing import NamedTuple

from gateway.limits import TRUSTED_ROLES, Limiter, Rate
from schemas.messages import Caller


class Flood(NamedTuple):
    """What a user may send, and all users of one address."""

    user: Rate
    address: Rate


_TALK = Flood(user=Rate(3, 30), address=Rate(20, 200))
FLOODS: Mapping[tuple[str, str], Flood] = {("channel", "send"): _TALK, ("channel", "edit"): _TALK}
"""By kind and command."""


class Floods:
    """Counts in this gateway; each actor has limits of its own.

    Loopback, and so a proxy that is not configured, is nobody's address.
    """

    def __init__(self, limiter: Limiter | None = None) -> None:
        self._limiter = Limiter() if limiter is None else limiter

    def count(self, kind: str, name: str, caller: Caller, address: str) -> None:
        """Count one command; refused as RATE_LIMITED when it is one too many."""
        flood = FLOODS.get((kind, name))
        if flood is None or not TRUSTED_ROLES.isdisjoint(caller.roles):
            return
        self._limiter.take(f"{kind} {name} user {caller.user}", flood.user)
        if address and not _is_here(address):
            self._limiter.take(f"{kind} {name} address {address}", flood.address)


def _is_here(address: str) -> bool:
    """Whether the address is this machine's, or none at all."""
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return True
