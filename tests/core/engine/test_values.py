"""Which Python values can be stored, and that they come back equal and of the same types."""

from collections import OrderedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semcache_core.engine.payloads import NotStorable, pack, unpack

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(JSON | st.binary() | st.text())
def test_a_value_comes_back_equal_and_of_the_same_types(value: object) -> None:
    back = unpack(*pack(value))
    assert repr(back) == repr(value)


@pytest.mark.parametrize(
    "value",
    [
        (1, 2),
        {1: "a"},
        {"a": (1,)},
        float("nan"),
        {"a": float("inf")},
        {1, 2},
        object(),
        "\ud800",
        OrderedDict(a=1),
        bytearray(b"x"),
    ],
)
def test_a_value_that_would_come_back_different_is_refused(value: object) -> None:
    with pytest.raises(NotStorable):
        pack(value)


def test_a_value_nested_without_end_is_refused() -> None:
    value: list[object] = []
    value.append(value)
    with pytest.raises(NotStorable):
        pack(value)


def test_two_callers_never_share_a_mutable() -> None:
    kind, payload = pack({"a": [1]})
    assert unpack(kind, payload) is not unpack(kind, payload)
