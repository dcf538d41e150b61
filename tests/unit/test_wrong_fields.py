"""What a client is told of fields that are wrong: their names as it wrote them, and what would be right."""

from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from gateway import decode
from schemas.frames import SubscribeFrame
from schemas.problems import Refusal
from schemas.shape import Amount, Attributes, Key, Shape

ANY_OF_THREE = "should be a valid string, a valid integer or a valid boolean"


class Order(Shape):
    attributes: Attributes = {}
    amounts: dict[Key, Amount] = {}
    after: Annotated[str, Field(max_length=4)] | int | None = None
    parts: list[Key | Amount] = []


def told(value: Any) -> dict[str, str]:
    """The problem of each wrong field, by its name."""
    with pytest.raises(Refusal) as refused:
        decode.shaped(Order, value)
    fields = refused.value.details["fields"]
    assert len({field["field"] for field in fields}) == len(fields), "each field is named once"
    return {field["field"]: field["problem"] for field in fields}


def test_a_field_that_may_be_one_of_several_things_is_named_once_with_all_of_them() -> None:
    assert told({"attributes": {"team": []}}) == {"attributes.team": ANY_OF_THREE}
    assert told({"parts": ["a", None]}) == {"parts.1": "should be a valid string or a valid integer"}


def test_what_it_is_already_is_taken_for_what_was_meant() -> None:
    assert told({"attributes": {"team": "x" * 200}}) == {"attributes.team": "should have at most 128 characters"}
    assert told({"parts": [0]}) == {"parts.0": "should be greater than or equal to 1"}


def test_names_that_a_client_made_up_are_not_taken_for_others() -> None:
    wrong: dict[str, list[int]] = {"int": [], "bool": [], "constrained-str": [], "function-after": []}
    assert told({"attributes": wrong}) == {f"attributes.{name}": ANY_OF_THREE for name in wrong}
    assert set(told({"amounts": {"int": 0, "bool": 0}})) == {"amounts.int", "amounts.bool"}


def test_a_name_that_is_wrong_is_told_of_its_field() -> None:
    assert told({"amounts": {"": 1}}) == {"amounts": "each name should have at least 1 character"}


def test_frames_and_parameters_of_urls_are_told_the_same_way() -> None:
    with pytest.raises(Refusal, match=r"'id: should be a valid string or a valid integer\."):
        decode.shaped_frame(SubscribeFrame, {"type": "subscribe", "topic": "channel:a", "id": []})
    with pytest.raises(Refusal, match=r"'after: should have at most 4 characters\."):
        decode.shaped_texts(Order, {"after": "longer"})


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "int", "bool", ""]), inner),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([*Order.model_fields, "more"]), JSON))
def test_nothing_of_how_fields_are_checked_is_told(value: Any) -> None:
    fields: list[dict[str, str]] = []
    try:
        decode.shaped(Order, value)
    except Refusal as refusal:
        fields = refusal.details["fields"]
    names = {part for field in fields for part in field["field"].split(".")}
    assert not {name for name in names if "[" in name or name.startswith(("constrained", "function", "list", "dict"))}
