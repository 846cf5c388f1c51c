import pytest
from hypothesis import given
from hypothesis import strategies as st

from veza.core.money import allocate, basis_points_of, exponent, format_amount, format_amounts, only_amount

amounts = st.integers(min_value=0, max_value=10**12)
weights = st.lists(st.integers(min_value=0, max_value=10**9), min_size=1, max_size=20).filter(any)


@given(amounts, weights)
def test_the_parts_add_up_to_the_whole_and_none_is_negative(amount, weights):
    parts = allocate(amount, weights, "EUR")

    assert sum(parts) == amount
    assert min(parts) >= 0


@given(weights, st.data())
def test_no_part_exceeds_its_weight_when_the_weights_can_pay(weights, data):
    amount = data.draw(st.integers(min_value=0, max_value=sum(weights)))

    assert all(part <= weight for part, weight in zip(allocate(amount, weights, "EUR"), weights, strict=True))


@given(weights)
def test_the_whole_of_the_weights_gives_back_the_weights(weights):
    assert allocate(sum(weights), weights, "EUR") == weights


@given(amounts, weights)
def test_no_part_is_a_unit_or_more_away_from_its_exact_share(amount, weights):
    total = sum(weights)

    for part, weight in zip(allocate(amount, weights, "EUR"), weights, strict=True):
        assert abs(part * total - amount * weight) < total


def test_equal_remainders_go_to_the_earlier_part():
    assert allocate(100, [1, 1, 1], "EUR") == [34, 33, 33]


def test_nothing_can_be_spread_over_weights_that_are_all_zero():
    assert allocate(0, [0, 0], "EUR") == [0, 0]
    with pytest.raises(ValueError, match="cannot be spread"):
        allocate(1, [0, 0], "EUR")


@pytest.mark.parametrize(("amount", "weights"), [(-1, [1]), (1, [2, -1])])
def test_negative_money_is_never_allocated(amount, weights):
    with pytest.raises(ValueError, match="negative"):
        allocate(amount, weights, "EUR")


@pytest.mark.parametrize(
    ("amount", "basis_points", "share"), [(10_00, 1000, 1_00), (5, 1000, 1), (4, 1000, 0), (1_99, 2500, 50)]
)
def test_a_share_in_basis_points_is_rounded_half_up(amount, basis_points, share):
    assert basis_points_of(amount, basis_points, "EUR") == share


@given(amounts, st.integers(min_value=0, max_value=10_000))
def test_a_share_is_never_more_than_the_whole(amount, basis_points):
    assert 0 <= basis_points_of(amount, basis_points, "EUR") <= amount


def test_a_share_of_something_negative_is_refused():
    with pytest.raises(ValueError, match="negative"):
        basis_points_of(-1, 10, "EUR")


@pytest.mark.parametrize(("currency", "digits"), [("EUR", 2), ("JPY", 0), ("KWD", 3), ("MGA", 2)])
def test_currencies_have_the_decimals_of_iso_4217(currency, digits):
    assert exponent(currency) == digits


@pytest.mark.parametrize("currency", ["XXX", "EURO", "", "eur"])
def test_what_is_not_a_currency_has_no_decimals(currency):
    with pytest.raises(ValueError, match=r".+"):
        exponent(currency)


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (12_50, "EUR", "12.50 EUR"),
        (5, "EUR", "0.05 EUR"),
        (-12_50, "EUR", "-12.50 EUR"),
        (1234567, "JPY", "1,234,567 JPY"),
        (1, "KWD", "0.001 KWD"),
    ],
)
def test_an_amount_is_written_as_a_person_writes_it(amount, currency, text):
    assert format_amount(amount, currency) == text


def test_sums_of_several_currencies_are_named_one_by_one():
    assert format_amounts({"EUR": 12_00, "JPY": 300}) == "12.00 EUR, 300 JPY"
    assert format_amounts({}) == ""


@pytest.mark.parametrize(
    ("sums", "only"), [({}, (0, "")), ({"EUR": 12_00}, (12_00, "EUR")), ({"EUR": 1, "USD": 1}, (0, ""))]
)
def test_sums_of_two_currencies_have_no_total(sums, only):
    assert only_amount(sums) == only
