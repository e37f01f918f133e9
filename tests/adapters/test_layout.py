from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securefl.adapters.layout import Layout, TensorKind, TensorSpec
from securefl.errors import WireError

names = st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=6, unique=True)
sizes = st.integers(1, 5000)


@given(names=names, data=st.data())
def test_a_layout_survives_its_json(names: list[str], data: st.DataObject) -> None:
    adapted = data.draw(st.integers(0, len(names)))
    layout = Layout(
        tuple(
            TensorSpec(
                name,
                data.draw(sizes),
                data.draw(sizes),
                TensorKind.ADAPTED if place < adapted else TensorKind.HEAD,
            )
            for place, name in enumerate(names)
        )
    )
    again = Layout.from_json(layout.to_json())
    assert again == layout
    assert again.digest == layout.digest


def test_the_digest_depends_on_every_field(layout: Layout) -> None:
    first, *rest = layout.tensors
    others = [
        TensorSpec("other", first.rows, first.columns, first.kind),
        TensorSpec(first.name, first.rows + 1, first.columns, first.kind),
        TensorSpec(first.name, first.rows, first.columns + 1, first.kind),
        TensorSpec(first.name, first.rows, first.columns, TensorKind.HEAD),
    ]
    digests = {Layout((changed, *rest)).digest for changed in [first, *others]}
    assert len(digests) == 5


def test_a_plaintext_client_sends_both_factors_and_the_heads_in_float32(layout: Layout) -> None:
    assert layout.float32_bytes(4) == 4 * (4 * (44 + 40) + 4 * (32 + 40) + 5 * 32 + 5)


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [{"name": "a", "rows": 0, "columns": 1, "kind": "head"}],
        [{"name": "a", "rows": 1, "columns": 1, "kind": "bias"}],
        [{"name": "a", "rows": 1, "kind": "head"}],
        [{"name": "a", "rows": 1, "columns": 1, "kind": "head"}] * 2,
        [
            {"name": "a", "rows": 1, "columns": 1, "kind": "head"},
            {"name": "b", "rows": 1, "columns": 1, "kind": "adapted"},
        ],
    ],
    ids=["nothing", "empty tensor", "unknown kind", "missing size", "a name twice", "a head first"],
)
def test_a_malformed_layout_is_refused(rows: list[dict[str, object]]) -> None:
    with pytest.raises(WireError):
        Layout.from_json(rows)


def test_the_largest_rank_is_the_smallest_side_of_any_adapted_weight() -> None:
    wide, tall = TensorSpec("wide", 5, 90, TensorKind.ADAPTED), TensorSpec("tall", 70, 4, TensorKind.ADAPTED)
    head = TensorSpec("head", 2, 3, TensorKind.HEAD)
    assert [Layout((*adapted, head)).largest_rank for adapted in [(wide,), (tall,), (wide, tall)]] == [
        5,
        4,
        4,
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"rows": True},
        {"columns": 1.0},
        {"columns": "5"},
        {"rows": None},
        {"name": 3},
        {"name": None},
        {"name": ""},
        {"kind": "other"},
        {"kind": []},
    ],
)
def test_a_row_of_odd_types_is_refused_in_words_of_ours(change: dict[str, object]) -> None:
    row = {"name": "w", "rows": 6, "columns": 5, "kind": "adapted", **change}
    with pytest.raises(WireError) as caught:
        Layout.from_json([row])
    assert str(caught.value) == "the federation file's layout is malformed (tensor 1)."


@pytest.mark.parametrize("missing", ["name", "rows", "columns", "kind"])
def test_a_row_without_a_key_is_refused_in_words_of_ours(missing: str) -> None:
    row = {"name": "w", "rows": 6, "columns": 5, "kind": "adapted"}
    del row[missing]
    with pytest.raises(WireError, match="the federation file's layout is malformed"):
        Layout.from_json([row])
