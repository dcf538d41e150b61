"""What `greenroom doctor` looks at: each check says whether something is well, and what to do when it is not."""

from enum import StrEnum
from typing import NamedTuple


class Health(StrEnum):
    GREEN = "green"
    YELLOW = "yellow"
    RED = "red"
    OFF = "off"
    """Not running, so that there is nothing to say."""


class Finding(NamedTuple):
    """One line of the doctor's report. `advice` is what to do, where something is not green."""

    about: str
    health: Health
    found: str
    advice: str = ""


def green(about: str, found: str) -> Finding:
    return Finding(about, Health.GREEN, found)


def yellow(about: str, found: str, advice: str) -> Finding:
    return Finding(about, Health.YELLOW, found, advice)


def red(about: str, found: str, advice: str) -> Finding:
    return Finding(about, Health.RED, found, advice)


def off(about: str, found: str) -> Finding:
    return Finding(about, Health.OFF, found)
