"""Words survive being joined and split, whatever is in them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netpol.dataplane.ruletext import Word, destination, join, quote, split

TEXTS = st.text(st.characters(blacklist_categories=("Cs", "Cc")))


@given(
    st.lists(
        st.one_of(
            TEXTS.map(lambda text: Word(text, quoted=True)), st.from_regex(r"\A[-!\w:/,.]+\Z", fullmatch=True).map(Word)
        )
    )
)
def test_join_and_split_are_inverse_but_for_needless_quotes(words: list[Word]) -> None:
    assert [word.text for word in split(join(words))] == [word.text for word in words]


@given(TEXTS)
def test_a_quoted_text_is_one_word(text: str) -> None:
    assert [word.text for word in split(quote(text))] == [text]


@given(TEXTS)
def test_every_text_has_words(text: str) -> None:
    assert "".join(join(split(text)).split()) != "" or not text.strip()


@pytest.mark.parametrize(
    ("rule", "leads_to"),
    [
        ("-j DROP", "DROP"),
        ("-i eth0 -g NETPOL-INPUT", "NETPOL-INPUT"),
        ("", None),
        ("-p tcp", None),
        ("-j", None),
        ('-m comment --comment "-j NETPOL-INPUT" -j ACCEPT', "ACCEPT"),
        ("-m comment --comment -j -j ACCEPT", "ACCEPT"),
        ("-m comment --comment -g", None),
        ('-m string --string "-j" --algo bm -j LOG --log-prefix -g', "LOG"),
        ('-m string --string "a\\"b -j NETPOL-INPUT" -j ACCEPT', "ACCEPT"),
        ("-m comment --comment it's -j ACCEPT", "ACCEPT"),
        ('-m comment --comment un"closed -j ACCEPT', "ACCEPT"),
    ],
)
def test_destination_is_read_from_options_only(rule: str, leads_to: str | None) -> None:
    assert destination(split(rule)) == leads_to
