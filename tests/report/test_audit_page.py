"""The page of an audit says all of it, loads nothing, and takes no name for markup."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

pytest.importorskip("jinja2")

from support.private_accounts import client_federation, private_federation

from securefl.auditing.privacy_accounts import PrivacyAudit, Promise
from securefl.auditing.privacy_words import out_of_scope, promised, verified
from securefl.auditing.run_audit import AuditReport
from securefl.cli.audit_view import page_of
from securefl.report.audit_page import render
from securefl.report.line_chart import DASHES, Line, LineChart

from .conftest import MARKUP, account, report


class Tags(HTMLParser):
    """Tags of a page with their attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def test_a_page_says_promise_accounts_checks_and_limits(holds: AuditReport) -> None:
    said = Tags(render(page_of(holds))).text
    assert "Everything that was checked holds." in said
    for title in ("What was promised", "Budget over rounds", "What was verified", "What is out of scope"):
        assert title in said
    assert (
        "Every single row is protected with epsilon 3 at delta 1e-05 (1 in 100,000) over 12 rounds together."
        in said
    )
    for client in holds.privacy.clients:
        assert client.member in said
    assert "What does not hold" not in said


@pytest.mark.parametrize(
    ("epsilon", "factor", "right"), [(0.5, "1.65", "62.25"), (3, "20.1", "95.26"), (8, "2,981", "99.97")]
)
def test_a_page_says_what_an_epsilon_means(epsilon: float, factor: str, right: str) -> None:
    privacy = PrivacyAudit(promise=Promise.of(private_federation(target_epsilon=epsilon)), rounds=1)
    said = " ".join(promised(privacy))
    assert f"at most exp({epsilon:g}) = {factor} times" in said
    assert f"may be right in up to {right} % of them" in said


def test_a_page_says_what_an_epsilon_of_all_runs_leaves_out_and_that_rows_are_not_counted() -> None:
    privacy = PrivacyAudit(promise=Promise.of(private_federation()), rounds=1)
    said = " ".join(out_of_scope(privacy))
    assert "later runs are not in it" in said
    assert "charges as if it had more rows than it has pays too little, unseen" in said


def test_a_page_says_what_stands_in_for_a_second_accountant() -> None:
    promise = Promise.of(client_federation(mechanism="skellam"))
    alone = replace(account("client-1", 7.98), least=7.4)
    said = " ".join(verified(PrivacyAudit(promise=promise, rounds=1, clients=(alone,))))
    assert "shows epsilon 7.4 at least, and no accountant may compute less" in said
    other = " ".join(verified(PrivacyAudit(promise=promise, rounds=1, clients=(account("client-1", 7.98),))))
    assert "neighbouring sums" not in other


def test_a_page_names_every_finding_and_whose_it_is(fails: AuditReport) -> None:
    page = render(page_of(fails))
    said = Tags(page).text
    assert "2 things do not hold." in said
    assert re.search(
        r"<strong>client-2</strong>: it contributed to round 3, and its budget was not charged", page
    )


def test_figures_of_a_client_that_a_finding_names_are_said_to_be_in_doubt(
    in_doubt: AuditReport,
) -> None:
    """What was not charged is in no figure, so that the client with the fewest charges looks the best."""
    said = Tags(render(page_of(in_doubt))).text
    assert "client-2 (in doubt, see above)" in said
    assert "not counting on client-2" in said
    assert "client-1 (in doubt" not in said


def test_a_page_says_why_accountants_differ(holds: AuditReport) -> None:
    said = Tags(render(page_of(holds))).text
    assert "Each of them is an upper bound: the promise is held against that of" in said
    assert "Every charge has the samples and steps of a training" in said
    assert "Every charge is the release that the federation file makes" not in said


def test_names_and_sentences_are_no_markup(fails: AuditReport) -> None:
    parsed = Tags(render(page_of(fails)))
    assert not {"script", "img", "iframe", "link"} & {tag for tag, _ in parsed.tags}
    assert MARKUP in parsed.text


def test_a_page_loads_nothing(fails: AuditReport) -> None:
    page = render(page_of(fails))
    parsed = Tags(page)
    assert not [
        name for _, attributes in parsed.tags for name in attributes if name in ("src", "href", "srcset")
    ]
    assert not re.search(r"url\(|@import", page)
    policy = next(
        attributes["content"]
        for tag, attributes in parsed.tags
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"


def test_a_run_without_a_promise_says_that_epsilon_is_infinite(promised_nothing: AuditReport) -> None:
    said = Tags(render(page_of(promised_nothing))).text
    assert "Epsilon infinite" in said
    assert "No differential privacy was promised" in said
    assert "Budget over rounds" not in said


def test_clients_that_spent_alike_share_a_line_and_those_that_spent_most_are_drawn() -> None:
    spent = [2.9, 2.9, 2.9, 2.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5]
    page = page_of(report(*(account(f"c{place}", epsilon) for place, epsilon in enumerate(spent))))
    assert page.chart is not None
    assert [line.name for line in page.chart.lines] == ["c0, c1, c2 and 1 more", "c9", "c8", "c7", "c6", "c5"]
    assert [line.dash for line in page.chart.drawn] == list(DASHES)


def test_every_place_of_a_chart_is_inside_its_plane() -> None:
    lines = [Line("high", {1: 0.1, 40: 12.0}), Line("one", {7: 3.0})]
    chart = LineChart(title="t", across="round", up="epsilon", lines=lines, limit=8.0, limit_name="promised")
    for line in chart.drawn:
        for x, y in line.dots:
            assert chart.left <= x <= chart.right
            assert chart.top <= y <= chart.bottom
    assert chart.top <= chart.limit_place <= chart.bottom
    assert [mark.words for mark in chart.marks_up] == ["0", "5", "10"]
    assert [mark.words for mark in chart.marks_across] == ["5", "10", "15", "20", "25", "30", "35", "40"]


def test_a_long_run_shows_few_rounds_in_its_table(holds: AuditReport) -> None:
    table = page_of(holds).tables[1]
    assert table.columns == ("client", *(f"round {number}" for number in (2, 4, 6, 8, 10, 12)))
