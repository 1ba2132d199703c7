from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from sinks.attributes import canonical, decode_item, encode_item, without
from sinks.dynamodb.wire import versioned

# Up to 38 digits, between 1E-130 and 9.9E+125: never by arithmetic, which rounds to 28.
digits = st.integers(min_value=-(10**38) + 1, max_value=10**38 - 1)
numbers = st.builds(lambda n, e: canonical(f"{n}E{min(e, 126 - len(str(abs(n))))}"), digits, st.integers(-130, 125))
texts = st.text(st.characters(exclude_categories=("Cs",)))
scalars = texts | numbers | st.binary() | st.booleans() | st.none()
sets = st.frozensets(texts, min_size=1) | st.frozensets(numbers, min_size=1) | st.frozensets(st.binary(), min_size=1)
values = st.recursive(
    scalars | sets, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=12
)
items = st.dictionaries(texts, values, max_size=8)


@given(items)
def test_every_item_survives_the_way_to_typed_json_and_back(item):
    assert decode_item(encode_item(item)) == item


@given(items)
def test_taking_attributes_off_leaves_exactly_the_others(item):
    gone = frozenset(list(item)[:2])
    left = {name: value for name, value in item.items() if name not in gone}
    assert decode_item(without(encode_item(item), gone)) == left


@given(items.filter(lambda item: item and "v" not in item), st.integers(0, 2**62))
def test_the_hidden_version_is_put_in_and_nothing_else_changes(item, version):
    assert decode_item(bytes(versioned(encode_item(item), "v", version))) == {**item, "v": Decimal(version)}
