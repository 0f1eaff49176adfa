"""Words survive being written and split, whatever is in them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netpol.dataplane.ruletext import Word, destination, quote, respell, split

TEXTS = st.text(st.characters(blacklist_categories=("Cs", "Cc")))


BARE = st.from_regex(r"\A[-!\w:/,.]+\Z", fullmatch=True)


@given(st.lists(st.one_of(TEXTS.map(lambda text: Word(text, quoted=True)), BARE.map(Word))))
def test_words_written_one_after_the_other_are_read_as_they_were(words: list[Word]) -> None:
    rule = " ".join(quote(word.text) if word.quoted else word.text for word in words)
    assert [word.text for word in split(rule)] == [word.text for word in words]
    assert [word.text for word in split(respell(rule, {}))] == [word.text for word in words]


@given(TEXTS)
def test_a_quoted_text_is_one_word(text: str) -> None:
    assert [word.text for word in split(quote(text))] == [text]


@given(TEXTS)
def test_respelling_any_text_changes_no_word_and_has_an_end(text: str) -> None:
    respelled = respell(text, {})
    assert [word.text for word in split(respelled)] == [word.text for word in split(text)]
    assert respell(respelled, {}) == respelled


def test_only_the_values_of_options_are_respelled() -> None:
    loud = {"-p": str.upper, "-s": str.upper}
    rule = '-p tcp -m comment --comment "-p tcp" -p "tcp" ! -s abc -j x'
    assert respell(rule, loud) == '-p TCP -m comment --comment "-p tcp" -p tcp ! -s ABC -j x'


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
