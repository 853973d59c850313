"""The totals rule, by examples worked out by hand and by what must hold for every order."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.pricing import MAX_AMOUNT, MAX_QUANTITY, Line, Shipping, Terms, Totals, totals

amounts = st.integers(0, MAX_AMOUNT)
some_lines = st.lists(
    st.builds(lambda quantity, price: line(quantity, price), st.integers(1, MAX_QUANTITY), amounts), max_size=5
)
shippings = st.builds(Shipping, st.just("standard"), st.just("Standard"), amounts, st.none() | amounts)
some_terms = st.builds(Terms, st.just("EUR"), st.integers(0, 5_000), st.booleans(), shippings)


def line(quantity: int, unit_price: int) -> Line:
    return Line("1", "A", "a", quantity, unit_price)


def terms(rate: int = 2_000, included: bool = True, shipping: int = 0, free_from: int | None = None) -> Terms:
    return Terms("EUR", rate, included, Shipping("standard", "Standard", shipping, free_from))


@pytest.mark.parametrize(
    ("goods", "under", "expected"),
    [
        ([line(2, 600)], terms(), Totals(1_200, 0, 200, 1_200)),
        ([line(2, 600)], terms(included=False), Totals(1_200, 0, 240, 1_440)),
        ([line(1, 1_000)], terms(shipping=490), Totals(1_000, 490, 248, 1_490)),
        ([line(1, 1_000)], terms(included=False, shipping=500), Totals(1_000, 500, 300, 1_800)),
        ([line(1, 5_000)], terms(shipping=490, free_from=5_000), Totals(5_000, 0, 833, 5_000)),
        ([line(1, 4_999)], terms(shipping=490, free_from=5_000), Totals(4_999, 490, 915, 5_489)),
        ([line(1, 0)], terms(), Totals(0, 0, 0, 0)),
        ([], terms(shipping=490), Totals(0, 0, 0, 0)),
        ([line(74_215, 104)], terms(rate=0), Totals(7_718_360, 0, 0, 7_718_360)),
    ],
)
def test_examples(goods: list[Line], under: Terms, expected: Totals) -> None:
    assert totals(goods, under) == expected


def test_half_a_cent_goes_up() -> None:
    assert totals([line(1, 10)], terms(rate=500, included=False)).tax == 1
    assert totals([line(1, 9)], terms(rate=500, included=False)).tax == 0
    assert totals([line(1, 3)], terms(rate=10_000)).tax == 2


def test_tax_is_rounded_once_and_not_line_by_line() -> None:
    three = [line(1, 4), line(1, 4), line(1, 4)]
    assert totals(three, terms(rate=1_000, included=False)).tax == 1


@given(some_lines, some_terms)
def test_parts_make_the_total(lines: list[Line], under: Terms) -> None:
    sums = totals(lines, under)
    tax_on_top = 0 if under.prices_include_tax else sums.tax
    assert sums.subtotal == sum(each.total for each in lines)
    assert sums.total == sums.subtotal + sums.shipping + tax_on_top
    assert sums.total < 2**63


@given(some_lines, some_terms)
def test_tax_is_exact_to_half_a_unit(lines: list[Line], under: Terms) -> None:
    sums = totals(lines, under)
    base = 10_000 + under.tax_rate_bp if under.prices_include_tax else 10_000
    exact = Fraction((sums.subtotal + sums.shipping) * under.tax_rate_bp, base)
    assert Fraction(-1, 2) <= exact - sums.tax < Fraction(1, 2)


@given(st.permutations([line(3, 333), line(1, 1), line(7, 999)]), some_terms)
def test_order_of_lines_does_not_matter(lines: list[Line], under: Terms) -> None:
    assert totals(lines, under) == totals(reversed(lines), under)
