"""What the decoder lets in: the same values in JSON and msgpack, bounded, and fit for every layer behind."""

import contextlib
import json
import math
from typing import Annotated, Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from gateway import decode
from schemas.limits import COLLECTION_ITEMS_MAX, INTEGER_MAX, NESTING_MAX
from schemas.problems import Refusal
from schemas.shape import Amount, Key, Shape


class Order(Shape):
    item_id: Key
    amount: Amount
    tags: tuple[Key, ...] = ()


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def test_json_and_msgpack_give_the_same_value() -> None:
    value = {"a": [1, -1, 1.5, True, None, "ü\n\t"], "b": {"c": INTEGER_MAX}}
    assert decode.json_value(json.dumps(value)) == value
    assert decode.json_value(json.dumps(value).encode()) == value
    assert decode.msgpack_value(msgpack.packb(value)) == value


@pytest.mark.parametrize(
    "value",
    [
        INTEGER_MAX + 1,
        -INTEGER_MAX - 1,
        2**63,
        float("inf"),
        float("nan"),
        float(2**60),
        "nul\x00",
        "\x7f",
        "\x85",
        "\ufffe",
        {"key\x01": 1},
        nested(NESTING_MAX + 1),
        list(range(COLLECTION_ITEMS_MAX + 1)),
        {str(number): 1 for number in range(COLLECTION_ITEMS_MAX + 1)},
    ],
)
def test_harmful_values_are_refused_in_both_forms(value: Any) -> None:
    with pytest.raises(Refusal) as in_json:
        decode.json_value(json.dumps(value))
    with pytest.raises(Refusal) as in_msgpack:
        decode.msgpack_value(msgpack.packb(value))
    assert in_json.value.status == in_msgpack.value.status == 400


def test_the_limits_themselves_are_let_in() -> None:
    for value in (nested(NESTING_MAX), list(range(COLLECTION_ITEMS_MAX)), -INTEGER_MAX):
        assert decode.json_value(json.dumps(value)) == value
        assert decode.msgpack_value(msgpack.packb(value)) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "NaN",
        "[1e400]",
        '"\\ud800"',
        '"\\u0000"',
        "[" * 100_000,
        "[" * 30_000 + "]" * 30_000,
        "[" + "[]," * 21_000 + "[]]",
    ],
)
def test_what_is_no_json_is_a_refusal(text: str) -> None:
    with pytest.raises(Refusal):
        decode.json_value(text)


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        b"\xc1",
        b"\xdf\xff\xff\xff\xff",
        b"\xdd\xff\xff\xff\xff",
        b"\x91" * 2_000,
        b"\x91" * 2_000 + b"\x01",
        msgpack.packb(b"bytes"),
        msgpack.packb({b"bytes": 1}),
        msgpack.packb({1: 1}),
        msgpack.packb(msgpack.ExtType(5, b"x")),
        msgpack.packb(msgpack.Timestamp(1)),
        b"\xa3\xed\xa0\x80",
        b"\x01\x01",
    ],
)
def test_what_is_no_msgpack_for_us_is_a_refusal(packed: bytes) -> None:
    with pytest.raises(Refusal):
        decode.msgpack_value(packed)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_a_refusal(data: bytes) -> None:
    for decoder in (decode.json_value, decode.msgpack_value):
        with contextlib.suppress(Refusal):
            decoder(data)


_TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
)


@given(_TREES)
def test_both_forms_accept_the_same_set(tree: Any) -> None:
    def accepted(decoder: Any, packed: Any) -> bool:
        try:
            decoder(packed)
        except Refusal:
            return False
        return True

    try:
        packed = msgpack.packb(tree)
    except (OverflowError, UnicodeEncodeError):
        return
    if isinstance(tree, float) and math.isinf(tree):
        return
    assert accepted(decode.json_value, json.dumps(tree)) == accepted(decode.msgpack_value, packed)


def test_a_shape_is_read_by_its_outside_names_only() -> None:
    order = decode.shaped(Order, {"itemId": "sword", "amount": 1, "tags": ["a", "b"]})
    assert order == Order(item_id="sword", amount=1, tags=("a", "b"))
    with pytest.raises(Refusal, match=r"itemId: field required"):
        decode.shaped(Order, {"item_id": "sword", "amount": 1})


@pytest.mark.parametrize("amount", [0, -1, "1", 1.0, True, None, [], 2**53])
def test_a_wrong_field_is_named_with_what_would_be_right(amount: Any) -> None:
    with pytest.raises(Refusal) as refused:
        decode.shaped(Order, {"itemId": "sword", "amount": amount})
    assert refused.value.code == "INVALID"
    assert refused.value.details["fields"][0]["field"] == "amount"
    assert "should be" in refused.value.message


def test_values_are_not_repeated_in_refusals() -> None:
    with pytest.raises(Refusal) as refused:
        decode.shaped(Order, {"itemId": "hunter2\n", "amount": "hunter2", "more": "hunter2"})
    assert "hunter2" not in str(refused.value.pack())


def test_parameters_of_a_url_become_what_the_fields_are() -> None:
    assert decode.shaped_texts(Order, {"itemId": "sword", "amount": "5"}).amount == 5
    for texts in ({"itemId": "sword", "amount": "5x"}, {"itemId": "a\x00", "amount": "1"}, {"amount": "1"}):
        with pytest.raises(Refusal):
            decode.shaped_texts(Order, texts)


class Page(Shape):
    above: Annotated[int, Field(ge=1)] = 1


@pytest.mark.parametrize("text", [str(2**53), str(2**64), "9" * 40])
def test_an_integer_of_a_url_is_bounded_as_in_a_body(text: str) -> None:
    assert decode.shaped_texts(Page, {"above": str(INTEGER_MAX)}).above == INTEGER_MAX
    with pytest.raises(Refusal, match="beyond 2\\^53"):
        decode.shaped_texts(Page, {"above": text})


@pytest.mark.parametrize(
    ("frame", "id_"),
    [
        ({"id": "7", "data": {"amount": 2**53}}, "7"),
        ({"id": 7, "data": {"text": "a\x00b"}}, 7),
        ({"id": "7", "data": nested(NESTING_MAX + 1)}, "7"),
        ({"id": "a\x00b"}, None),
        ({"id": 2**53}, None),
        ({"id": "x" * 129}, None),
        ({"id": True}, None),
        ({"id": ["7"]}, None),
        (["7"], None),
    ],
)
def test_a_frame_that_is_refused_still_says_which_one_it_was(frame: Any, id_: str | int | None) -> None:
    assert decode.id_of(json.dumps(frame)) == decode.id_of(msgpack.packb(frame)) == id_
    assert decode.id_of("{") is decode.id_of(b"\xc1") is None
