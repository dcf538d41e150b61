"""Where addresses belong."""

import pytest

from actors.catalog import Catalog
from actors.runtime.placement import BUCKETS, Placement
from schemas.address import Address, player
from schemas.problems import Refusal


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return Catalog()


def test_an_address_has_the_same_bucket_in_every_process(catalog: Catalog) -> None:
    placement = Placement(catalog, {})
    # Stored with every parcel and reminder: these figures never change.
    assert [placement.bucket(player(key)) for key in ("anna", "berta", "日本", "")] == [185, 172, 80, 146]


def test_addresses_spread_over_all_buckets() -> None:
    counts = [0] * BUCKETS
    for number in range(256 * 100):
        counts[Placement.bucket(player(f"user-{number}"))] += 1
    assert min(counts) > 50
    assert max(counts) < 170


def test_shared_actors_have_a_bucket_for_a_slot_and_dedicated_ones_their_own_name(catalog: Catalog) -> None:
    placement = Placement(catalog, {})
    slot, bucket = placement.place(player("anna"))
    assert slot == str(bucket)
    assert not Placement.is_dedicated(slot)
    slot, bucket = placement.place(Address("leaderboard", "main"))
    assert slot == "leaderboard:main"
    assert Placement.is_dedicated(slot)
    assert bucket == Placement.bucket(Address("leaderboard", "main"))


def test_settings_may_place_a_kind_otherwise(catalog: Catalog) -> None:
    placement = Placement(catalog, {"player": "dedicated", "leaderboard": "shared"})
    assert placement.place(player("anna"))[0] == "player:anna"
    assert placement.place(Address("leaderboard", "main"))[0].isdigit()


@pytest.mark.parametrize("key", ["a\0b", "\ud800", "x\udfff"])
def test_keys_that_postgres_cannot_hold_have_no_place(catalog: Catalog, key: str) -> None:
    with pytest.raises(Refusal) as refused:
        Placement(catalog, {}).place(player(key))
    assert refused.value.code == "INVALID"
