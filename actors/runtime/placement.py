"""Where an address belongs: its bucket, and the slot that a host owns to serve it."""

from collections.abc import Mapping
from zlib import crc32

from actors.catalog import Catalog
from schemas.address import Address
from schemas.problems import Refusal

BUCKETS = 256
"""Hash buckets of addresses. Fixed for the life of an installation: outbox and reminders are kept by bucket."""


class Placement:
    """The slot of an address: its bucket in the shared pool, or its own name where the kind is dedicated."""

    def __init__(self, catalog: Catalog, overrides: Mapping[str, str]) -> None:
        self._dedicated = {
            name for name, kind in catalog.kinds.items() if overrides.get(name, kind.actor.placement) == "dedicated"
        }

    @staticmethod
    def bucket(address: Address) -> int:
        return crc32(f"{address.kind}:{address.key}".encode()) % BUCKETS

    def place(self, address: Address) -> tuple[str, int]:
        """Slot and bucket. Refused as INVALID when Postgres could not store the address."""
        try:
            bucket = self.bucket(address)
        except UnicodeEncodeError:
            bucket = -1
        if bucket < 0 or "\0" in address.key:
            raise Refusal("INVALID", "The key holds characters that cannot be stored.")
        return (str(address) if address.kind in self._dedicated else str(bucket)), bucket

    @staticmethod
    def is_dedicated(slot: str) -> bool:
        return ":" in slot

    @staticmethod
    def shared_slots() -> list[str]:
        return [str(bucket) for bucket in range(BUCKETS)]
