"""Runs inside `ray start` of a test's nodes: several of them on one machine, all on loopback."""

import sys
from typing import Any

from scripts.embedded import rayhook

LOOPBACK = "127.0.0.1"


def adjust(parameters: Any, head: bool) -> None:
    """Takes Ray's start parameters; Ray calls it because RAY_START_HOOK names it."""
    rayhook.adjust(parameters, head)
    if not head:
        # RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0 keeps Ray on loopback, and has it refuse a second node; these two lines
        # keep the one without the other.
        sys.modules["ray._private.ray_constants"].ENABLE_RAY_CLUSTER = True  # type: ignore[attr-defined]
        sys.modules["ray._private.services"].get_node_ip_address = lambda *_: LOOPBACK  # type: ignore[attr-defined]
