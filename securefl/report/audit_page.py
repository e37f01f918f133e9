"""The page of an audit: what was promised and verified, the budget over rounds, and what is out of scope.

The rule kept here: one file that loads nothing and runs nothing. A content policy in it forbids both, so that a name of
a client or a sentence of a finding can do nothing either; every text is escaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from securefl.errors import ConfigError

if TYPE_CHECKING:
    from securefl.report.line_chart import LineChart

TEMPLATE: Final = "audit.html.j2"


@dataclass(frozen=True, slots=True)
class Fact:
    """A figure at the page's top: its name, its value, and a note."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Said:
    """A finding: whose it is, empty for the run's, and its sentence."""

    member: str
    what: str


@dataclass(frozen=True, slots=True)
class Table:
    """Figures of a page; a row's first cell names it.

    Attributes:
        title: Its caption.
        columns: Headings, the first one of the names.
        rows: As many cells each.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditPage:
    """Everything that the page shows.

    Attributes:
        run: Name of the run.
        findings: Everything that does not hold.
        facts: Figures at the top.
        chart: Budget over rounds; None where nothing was promised.
        tables: Figures below it.
        promised: Sentences.
        verified: Sentences.
        out_of_scope: Sentences.
        version: Of this program.
    """

    run: str
    findings: Sequence[Said]
    facts: Sequence[Fact]
    chart: LineChart | None
    tables: Sequence[Table]
    promised: Sequence[str]
    verified: Sequence[str]
    out_of_scope: Sequence[str]
    version: str

    @property
    def verdict(self) -> str:
        """Result of the audit in a few words."""
        if not self.findings:
            return "Everything that was checked holds."
        count = len(self.findings)
        return "1 thing does not hold." if count == 1 else f"{count} things do not hold."


def render(page: AuditPage) -> str:
    """Draw the page: HTML in one string.

    Raises:
        ConfigError: if jinja2 is not installed.
    """
    try:
        import jinja2
    except ImportError:
        raise ConfigError(
            "pages need jinja2", where="--html", hint="install it with: pip install 'securefl[audit]'"
        ) from None
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("securefl.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(TEMPLATE).render(page=page) + "\n"
