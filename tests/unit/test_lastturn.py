"""The page that tells whose turn a dead process had begun."""

from pathlib import Path

from actors.runtime.lastturn import LastTurn, read_last_turn
from schemas.address import Address, player


def test_a_turn_that_has_begun_is_on_the_page_and_one_that_is_over_is_not(tmp_path: Path) -> None:
    page = LastTurn(tmp_path / "turn")
    assert read_last_turn(tmp_path / "turn") is None
    page.mark(player("anna"))
    assert read_last_turn(tmp_path / "turn") == player("anna")
    page.mark(None)
    assert read_last_turn(tmp_path / "turn") is None


def test_a_shorter_name_leaves_nothing_of_a_longer_one(tmp_path: Path) -> None:
    page = LastTurn(tmp_path / "turn")
    for address in (Address("guild", "the-very-red-dragons"), Address("guild", "x"), player("日本")):
        page.mark(address)
        assert read_last_turn(tmp_path / "turn") == address


def test_a_page_that_is_missing_or_torn_names_nobody(tmp_path: Path) -> None:
    assert read_last_turn(tmp_path / "none") is None
    for torn in (b"", b"\xff\xfe\0", b"no colon\0"):
        (tmp_path / "torn").write_bytes(torn)
        assert read_last_turn(tmp_path / "torn") is None


def test_a_key_longer_than_the_page_does_not_break_it(tmp_path: Path) -> None:
    page = LastTurn(tmp_path / "turn")
    page.mark(player("x" * 5_000))
    found = read_last_turn(tmp_path / "turn")
    assert found is not None
    assert found.key.startswith("xxx")
    page.mark(None)
    assert read_last_turn(tmp_path / "turn") is None
