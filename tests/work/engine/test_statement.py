"""Is a vendor's CSV read as it is meant, and every line of it laid beside the right call?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detente.kernel.money import Money
from detente.work.engine.statement import BadStatement, Line, Ours, compare, read
from detente.work.settings import Statement

HOW = Statement(reference="Merchant ref", amount="Amount", currency="Currency")


def eur(minor: int) -> Money:
    return Money(minor, "EUR")


def amounts(content: str, how: Statement = HOW) -> list[int]:
    return [line.money.minor for line in read(content.encode(), how)]


# -- reading -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        "Merchant ref,Amount,Currency\nk1,19.90,EUR\n",
        "merchant REF;AMOUNT;Currency\nk1;19,90;EUR\n",
        "Date\tMerchant ref\tCurrency\tAmount\n2026-11-02\tk1\tEUR\t19.90\n",
        'Amount|Currency|Merchant ref\n"19.90"|eur|k1\n',
        "CardPay Ltd.\nStatement, November\n\nMerchant ref;Amount;Currency\nk1;19,90 €;EUR\n\n",
        "\ufeffMerchant ref,Amount,Currency\r\nk1,EUR 19.90,EUR\r\n",
    ],
)
def test_separators_order_and_what_stands_around_are_found_out(content: str) -> None:
    """As programs export it: other separators, other columns, an address above, a byte order mark."""
    (line,) = read(content.encode(), HOW)
    assert (line.reference, line.money, line.charged) == ("k1", eur(1990), True)


def test_lines_are_numbered_as_an_editor_counts() -> None:
    """Also where a quoted cell goes over two lines."""
    content = 'Merchant ref,Amount,Currency,Note\n"k\n1",1.00,EUR,x\nk2,2.00,EUR,y\n'
    assert [line.number for line in read(content.encode(), HOW)] == [2, 4]


def test_other_encodings() -> None:
    """What spreadsheets write."""
    content = "Merchant ref;Amount;Currency;Name\nk1;1,50;EUR;Müller\n"
    for encoding in ("cp1252", "utf-16"):
        assert len(read(content.encode(encoding), HOW)) == 1


@pytest.mark.parametrize(
    ("written", "minor"),
    [
        ("1.234,56", 123_456), ("12,50", 1_250), ("1 234,50", 123_450), ("-3,00", -300), ("(3,00)", -300),
        ("3,00-", -300), ("€ 3,00", 300), ("7", 700),
    ],
)  # fmt: skip
def test_amounts_with_a_comma(written: str, minor: int) -> None:
    """Groups, spaces, minus in its three places."""
    how = Statement(reference="r", amount="a", currency="EUR", delimiter=";", decimal=",")
    assert amounts(f"r;a\nk1;{written}\n", how) == [minor]


@pytest.mark.parametrize(
    ("column", "sums"),
    [
        (["1,234.50", "1.00"], [123_450, 100]), (["1.234,50", "1,00"], [123_450, 100]),
        (["1.234", "2.50"], None), (["1.234.567", "2,5"], [123_456_700, 250]), (["12", "5"], [1_200, 500]),
    ],
)  # fmt: skip
def test_the_sign_before_the_cents_is_taken_from_all_of_them(
    column: list[str], sums: list[int] | None
) -> None:
    """One amount that leaves no doubt is enough; an amount finer than cents is a mistake."""
    how = Statement(reference="r", amount="a", currency="EUR", delimiter=";")
    content = "r;a\n" + "".join(f"k{index};{each}\n" for index, each in enumerate(column))
    if sums is None:
        with pytest.raises(BadStatement, match="line 2"):
            amounts(content, how)
    else:
        assert amounts(content, how) == sums


def test_status_says_what_was_charged() -> None:
    """Other lines are read and not counted."""
    how = Statement(reference="r", amount="a", currency="EUR", status="s", charged=("OK",))
    lines = read(b"r,a,s\nk1,1.00,ok\nk2,1.00,declined\n", how)
    assert [line.charged for line in lines] == [True, False]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "the file is empty"),
        ("PK\x03\x04", "this is a spreadsheet; save it as CSV"),
        ("Merchant_ref,Amount,Currency\nk1,1,EUR\n", "did you mean Merchant_ref?"),
        ("a,b\n1,2\n", "no column is called Merchant ref (nor Amount, Currency); there are: a, b"),
        ("Merchant ref,Amount,Currency,Amount\nk1,1,EUR,2\n", "line 1: two columns are called Amount"),
        ("Merchant ref,Amount,Currency\n", "line 1: nothing stands below"),
        ("Merchant ref,Amount,Currency\nk1,abc,EUR\nk2,1\n,1,EUR\n",
         "line 2: 'abc' is not an amount; line 3: it ends after 2 columns; line 4: Merchant ref is empty"),
        ("Merchant ref,Amount,Currency\nk1,1.00,Euro\n", "line 2: 'EURO' is not an ISO 4217 code"),
        ("Merchant ref,Amount,Currency\nk1,1.005,EUR\nk2,1.10,EUR\n", "line 2: 1.005 EUR has more digits"),
        ("Merchant ref;Amount;Currency\nk1;1.10;EUR\nk2;1,10;EUR\n", "say decimal:"),
        ("Merchant ref;Amount;Currency\nk1;1.100;EUR\n", "1.234 can be a thousand"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_said_with_its_line(content: str, says: str) -> None:
    """Nothing is guessed, and several mistakes are told at once."""
    with pytest.raises(BadStatement) as wrong:
        read(content.encode(), HOW)
    assert says in str(wrong.value)


@given(st.binary(max_size=300))
def test_any_file_is_read_or_refused(content: bytes) -> None:
    """Never anything else."""
    try:
        read(b"Merchant ref,Amount,Currency\n" + content, HOW)
    except BadStatement as wrong:
        assert str(wrong)


# -- comparing -----------------------------------------------------------------------------------


def line(reference: str, minor: int, number: int = 2, *, charged: bool = True) -> Line:
    return Line(number=number, reference=reference, money=eur(minor), charged=charged)


def ours(reference: str, state: str = "charged", minor: int | None = 1_990) -> Ours:
    worth = None if minor is None else eur(minor)
    return Ours(about=f"call:{reference}", reference=reference, state=state, money=worth)


def test_books_that_agree() -> None:
    """Also where people settled a call after looking into their book, or the worth is unknown."""
    mine = [ours("k1"), ours("k2", "settled"), ours("k3", minor=None)]
    told = compare(mine, [mine[0]], [line("k1", 1_990), line("k2", 1_990), line("k3", 5)])
    assert (told.matched, told.differences) == (("call:k1", "call:k2", "call:k3"), ())
    assert told.worth == (eur(3_985),)


@pytest.mark.parametrize(
    ("mine", "theirs", "kind"),
    [
        ([ours("k1")], [], "only ours"),
        ([], [line("k9", 100)], "only theirs"),
        ([ours("k1")], [line("k1", 1_991)], "amount differs"),
        ([ours("k1")], [line("k1", 1_990), line("k1", 1_990, 3)], "double"),
        ([ours("k1", "lost")], [line("k1", 1_990)], "not ours to charge"),
        ([ours("k1", "parked")], [line("k1", 1_990)], "not ours to charge"),
        ([ours("k1")], [line("k1", 1_990), line("k1", -1_990, 3)], "given back"),
        ([ours("k1")], [line("k1", 1_990, charged=False)], "only ours"),
    ],
)
def test_each_difference_is_told_once_and_by_its_name(
    mine: list[Ours], theirs: list[Line], kind: str
) -> None:
    """With what either side says."""
    expected = [each for each in mine if each.state == "charged"]
    told = compare(mine, expected, theirs)
    assert [each.kind for each in told.differences] == [kind]
    assert told.matched == ()


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        ([ours("k1", "refunded")], [line("k1", 1_990), line("k1", -1_990, 3)]),
        ([ours("k1")], [line("k1", 1_990), line("k1", 1_990, 3), line("k1", -1_990, 4)]),
    ],
)
def test_what_was_given_back_rightly_is_no_difference(mine: list[Ours], theirs: list[Line]) -> None:
    """A refund that we know of; a double charge that they took back."""
    assert compare(mine, [], theirs).differences == ()


_REFERENCES = st.sampled_from(["k1", "k2", "k3", "k4"])


@given(
    st.dictionaries(_REFERENCES, st.sampled_from(["charged", "lost", "settled", "parked"])),
    st.lists(st.tuples(_REFERENCES, st.sampled_from([1_990, 1_000]))),
)
def test_every_reference_is_matched_or_explained(
    states: dict[str, str], theirs: list[tuple[str, int]]
) -> None:
    """Nothing falls between the two books."""
    mine = [ours(reference, state) for reference, state in states.items()]
    lines = [line(reference, minor, at) for at, (reference, minor) in enumerate(theirs)]
    told = compare(mine, [each for each in mine if each.state == "charged"], lines)
    matched = {about.partition(":")[2] for about in told.matched}
    explained = {each.reference for each in told.differences}
    charged = {reference for reference, state in states.items() if state == "charged"}
    assert matched | explained == charged | {reference for reference, _ in theirs}
    assert not matched & explained
