"""What a person sees of records, at several widths and on several terminals."""

from __future__ import annotations

import re

import pytest
from audit_records import ANNOTATION, POLICY, allowance, record

from netpol.audit.reader.summary import totals
from netpol.audit.record import Action, Cause, ExternalParty, NodeParty, PodParty
from netpol.command.aligned import UNBOUNDED
from netpol.command.audit_table import RecordTable, record_row, span, total_row, total_table
from netpol.command.look import ASCII, Look
from netpol.model.moments import SECOND

DAY = 86400

RECORDS = [
    allowance(60),
    record(0, 298, count=3, isolating=(ANNOTATION, POLICY)),
    record(299, action=Action.WOULD_DENY, direction="egress", peer=ExternalParty("203.0.113.9"), nearest_miss=None),
    record(300, peer=PodParty("shop", "web-0", "", "10.0.0.3", "Deployment/web", gone=True), nearest_miss=None),
    record(
        *(301, 302.5),
        reason=Cause.UNKNOWN_POD,
        direction=None,
        subject=ExternalParty("10.0.0.99"),
        peer=NodeParty("n2", "10.0.0.8"),
        protocol="ICMP",
        dst_port=None,
        icmp_type=8,
        isolating=(),
        nearest_miss=None,
        count=41,
    ),
]

NARROW = """\
2026-01-02  ACTION      DIR      SUBJECT    PEER              PORT         COUNT
03:05:05Z   allow       ingress  shop/db-1  shop/web-1        5432/TCP
    allowed by ingress[0] of NetworkPolicy shop/db
03:09:03Z   deny        ingress  shop/db-1  shop/web-1        5432/TCP         3
    in 4m58s; isolated by the DefaultDeny annotation of shop and NetworkPolicy
    shop/db; closest is ingress[0] of NetworkPolicy shop/db: it wants pods with
    role=api, and shop/web-1 has no role
03:09:04Z   would-deny  egress   shop/db-1  203.0.113.9       5432/TCP
    isolated by NetworkPolicy shop/db
03:09:05Z   deny        ingress  shop/db-1  shop/web… (gone)  5432/TCP
    peer shop/web-0 (gone); isolated by NetworkPolicy shop/db
03:09:08Z   deny        -        10.0.0.99  node/n2           ICMP type 8     41
    in 2s; an address of the node's pod range that no known pod has
"""

NARROWER = """\
2026-01-02  ACTION      SUBJECT    PEER               PORT         WHY
03:05:05Z   allow       shop/db-1  shop/web-1         5432/TCP
    dir ingress; allowed by ingress[0] of NetworkPolicy shop/db
03:09:03Z   deny        shop/db-1  shop/web-1         5432/TCP
    dir ingress; count 3; in 4m58s; isolated by the DefaultDeny
    annotation of shop and NetworkPolicy shop/db; closest is
    ingress[0] of NetworkPolicy shop/db: it wants pods with role=api,
    and shop/web-1 has no role
03:09:04Z   would-deny  shop/db-1  203.0.113.9        5432/TCP
    dir egress; isolated by NetworkPolicy shop/db
03:09:05Z   deny        shop/db-1  shop/web-0 (gone)  5432/TCP
    dir ingress; isolated by NetworkPolicy shop/db
03:09:08Z   deny        10.0.0.99  node/n2            ICMP type 8
    dir -; count 41; in 2s; an address of the node's pod range that no
    known pod has
"""

NARROWEST = """\
2026-01-02  ACTION      DIR      PORT         COUNT
03:05:05Z   allow       ingress  5432/TCP
    subject shop/db-1; peer shop/web-1; allowed by
    ingress[0] of NetworkPolicy shop/db
03:09:03Z   deny        ingress  5432/TCP         3
    subject shop/db-1; peer shop/web-1; in 4m58s;
    isolated by the DefaultDeny annotation of shop
    and NetworkPolicy shop/db; closest is
    ingress[0] of NetworkPolicy shop/db: it wants
    pods with role=api, and shop/web-1 has no role
03:09:04Z   would-deny  egress   5432/TCP
    subject shop/db-1; peer 203.0.113.9; isolated
    by NetworkPolicy shop/db
03:09:05Z   deny        ingress  5432/TCP
    subject shop/db-1; peer shop/web-0 (gone);
    isolated by NetworkPolicy shop/db
03:09:08Z   deny        -        ICMP type 8     41
    subject 10.0.0.99; peer node/n2; in 2s; an
    address of the node's pod range that no known
    pod has
"""

WIDE = """\
2026-01-02  ACTION      DIR      SUBJECT    PEER               PORT         COUNT  WHY
03:05:05Z   allow       ingress  shop/db-1  shop/web-1         5432/TCP
    allowed by ingress[0] of NetworkPolicy shop/db
03:09:03Z   deny        ingress  shop/db-1  shop/web-1         5432/TCP         3
    in 4m58s; isolated by the DefaultDeny annotation of shop and NetworkPolicy shop/db; closest is ingress[0] of
    NetworkPolicy shop/db: it wants pods with role=api, and shop/web-1 has no role
03:09:04Z   would-deny  egress   shop/db-1  203.0.113.9        5432/TCP            isolated by NetworkPolicy shop/db
03:09:05Z   deny        ingress  shop/db-1  shop/web-0 (gone)  5432/TCP            isolated by NetworkPolicy shop/db
03:09:08Z   deny        -        10.0.0.99  node/n2            ICMP type 8     41
    in 2s; an address of the node's pod range that no known pod has
"""

SUMMED_UP = """\
PACKETS  ACTION      DIR      SUBJECT            PEER                PORT
     41  deny        -        10.0.0.99          node/n2             ICMP type 8
    2026-01-02T03:09:06Z to 2026-01-02T03:09:08Z; an address of the node's pod
    range that no known pod has
      4  deny        ingress  shop/Sta…ulSet/db  shop/Depl…ment/web  5432/TCP
    subject shop/StatefulSet/db; peer shop/Deployment/web; 2026-01-02T03:04:05Z
    to 2026-01-02T03:09:05Z; 2 pods as peers; isolated by the DefaultDeny
    annotation of shop and NetworkPolicy shop/db
      1  would-deny  egress   shop/Sta…ulSet/db  203.0.113.9         5432/TCP
    subject shop/StatefulSet/db; 2026-01-02T03:09:04Z; isolated by NetworkPolicy
    shop/db
      1  allow       ingress  shop/Sta…ulSet/db  shop/Depl…ment/web  5432/TCP
    subject shop/StatefulSet/db; peer shop/Deployment/web; 2026-01-02T03:05:05Z;
    allowed by ingress[0] of NetworkPolicy shop/db
"""


def table(look: Look) -> str:
    return "\n".join((*RecordTable(look).lines(RECORDS), ""))


@pytest.mark.parametrize(
    ("width", "text"),
    [(51, NARROWEST), (70, NARROWER), (80, NARROW), (120, WIDE)],
    ids=["narrowest", "narrower", "narrow", "wide"],
)
def test_records_fit_the_terminal(width: int, text: str) -> None:
    assert table(Look(width=width)) == text
    assert max(map(len, text.splitlines())) <= width


def test_names_that_have_no_room_are_shortened_and_whole_below() -> None:
    pods = [PodParty("production", f"{name}-7d9f8c6b5-abcde", "", "10.0.0.3", "") for name in ("frontend", "redis")]
    lines = RecordTable(Look(ASCII, width=80)).lines([record(subject=pods[0], peer=pods[1])])
    assert lines[:3] == [
        "2026-01-02  ACTION  DIR      SUBJECT           PEER              PORT      COUNT",
        "03:04:05Z   deny    ingress  producti~5-abcde  producti~5-abcde  5432/TCP",
        "    subject production/frontend-7d9f8c6b5-abcde; peer",
    ]


def test_where_there_is_no_terminal_a_record_is_a_line_and_nothing_is_shortened() -> None:
    heading, *beside = [" ".join(line.split()) for line in WIDE.replace("\n    ", " ").splitlines()]
    unbounded = [" ".join(line.split()) for line in table(Look(width=UNBOUNDED)).splitlines()]
    assert unbounded == [heading.replace("2026-01-02", "TIME"), *(f"2026-01-02T{line}" for line in beside)]
    assert len(beside) == len(RECORDS)


def test_records_of_several_days_have_them_in_their_rows() -> None:
    lines = RecordTable(Look(width=300)).lines([record(0), record(DAY)])
    assert [line.split()[0] for line in lines] == ["TIME", "2026-01-02T03:04:05Z", "2026-01-03T03:04:05Z"]


def test_the_headings_are_shown_again_when_the_day_is_another() -> None:
    table = RecordTable(Look(width=300))
    assert table.lines([]) == []
    shown = [line.split()[0] for seconds in (0, 1, DAY, DAY + 1) for line in table.lines([record(seconds)])]
    assert shown == ["2026-01-02", "03:04:05Z", "03:04:06Z", "2026-01-03", "03:04:05Z", "03:04:06Z"]
    assert table.lines([]) == []


def test_where_there_is_no_terminal_headings_are_shown_once_whatever_the_day() -> None:
    table = RecordTable(Look(width=UNBOUNDED))
    shown = [line.split()[0] for seconds in (0, DAY) for line in table.lines([record(seconds)])]
    assert shown == ["TIME", "2026-01-02T03:04:05Z", "2026-01-03T03:04:05Z"]


@pytest.mark.parametrize(
    ("action", "painted"),
    [
        (Action.ALLOW, "\x1b[32mallow\x1b[0m"),
        (Action.DENY, "\x1b[31mdeny\x1b[0m"),
        (Action.WOULD_DENY, "\x1b[33mwould-deny\x1b[0m"),
        (Action.UNKNOWN, "\x1b[2munknown\x1b[0m"),
    ],
)
def test_each_action_has_its_colour(action: Action, painted: str) -> None:
    lines = RecordTable(Look(coloured=True, width=UNBOUNDED)).lines([record(action=action)])
    assert painted in lines[1]


def test_colours_are_all_that_a_colourful_terminal_has_more() -> None:
    coloured = table(Look(coloured=True, width=120))
    assert coloured != WIDE
    assert re.sub(r"\x1b\[[0-9]*m", "", coloured) == WIDE


def test_totals_fit_the_terminal() -> None:
    lines = total_table(Look(width=80)).lines([total_row(total) for total in totals(RECORDS)])
    assert "\n".join((*lines, "")) == SUMMED_UP


def test_a_total_says_how_many_pods_were_each_end() -> None:
    pods = [PodParty("shop", f"db-{number}", "", "10.0.0.3", "StatefulSet/db") for number in range(3)]
    (total,) = totals(record(subject=pod) for pod in pods)
    assert "; 3 pods as subjects; isolated" in total_row(total).remark


def test_a_single_packet_has_no_count_and_no_length() -> None:
    rows = [record_row(some) for some in (record(), record(0, 0, count=2), record(0, 90, count=9))]
    assert [row.cells[-1].text for row in rows] == ["", "2", "9"]
    assert [row.remark.split(";")[0] for row in rows] == ["isolated by NetworkPolicy shop/db", "in 1s", "in 1m30s"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "1s"),
        (0.000001, "1s"),
        (1.25, "2s"),
        (60, "1m"),
        (3599.5, "1h"),
        (3661, "1h1m"),
        (86400, "1d"),
        (90061, "1d1h"),
        (86460, "1d1m"),
    ],
)
def test_a_span_is_rounded_up_and_has_two_units(seconds: float, words: str) -> None:
    assert span(int(seconds * SECOND)) == words
