"""A difference as a page, fit for a pull request's comment, and as data; pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from monitoring.compare.tables import Change, Difference, Row
from monitoring.document import Block, Bullets, Heading, Paragraph, Table
from monitoring.explain.page import as_data as explained
from monitoring.explain.page import blind_sentences
from monitoring.explain.tables import Explanation
from monitoring.explain.wording import spoken
from monitoring.maths.decimals import percent


def page(found: Difference) -> Iterator[Block]:
    """The whole difference; one sentence when there is none."""
    yield Heading("SLO changes", 1)
    if not found:
        yield Paragraph("No SLO differs.")
        return
    counts = [(found.added, "added"), (found.removed, "removed"), (found.changed, "changed")]
    yield Paragraph(", ".join(f"{len(some)} {word}" for some, word in counts if some) + ".")
    for one in found.added:
        yield Heading(f"{one.slo.name}: added")
        yield from _whole(one)
    for one in found.removed:
        yield Heading(f"{one.slo.name}: removed")
        yield Paragraph(
            f"Nothing watches its {percent(one.slo.target)} over {one.slo.period} any more; {len(one.alerts)} alerts "
            f"and {one.cost.series} recorded series go."
        )
    for change in found.changed:
        yield Heading(f"{change.name}: changed")
        yield from _changed(change)


def _whole(one: Explanation) -> Iterator[Block]:
    slo = one.slo
    yield Paragraph(
        f"{percent(slo.target)} over {slo.period}: {spoken(one.outage_budget_s)} of total outage. "
        + " ".join(blind_sentences(one.blind))
        + f" It adds {one.cost.series} recorded series and {one.cost.alert_rules} alert rules."
    )


def _changed(change: Change) -> Iterator[Block]:
    yield Paragraph(change.verdict)
    yield Table(("in the spec", "before", "after"), _cells(change.spec))
    effect = [row for row in change.effect if row.differs]
    if effect:
        yield Table(("what follows", "before", "after"), _cells(effect))
    else:
        yield Paragraph("Detection, budget and cost stay as they are.")
    lists = [("Alerts added", change.alerts_added), ("Alerts removed", change.alerts_removed)]
    if items := tuple(f"{word}: {', '.join(names)}." for word, names in lists if names):
        yield Bullets(items)


def _cells(rows: Sequence[Row]) -> tuple[tuple[str, ...], ...]:
    return tuple((row.what, row.before, row.after) for row in rows)


def as_data(found: Difference) -> dict[str, Any]:
    """The same for programs; added and removed SLOs in full, as `explain --format json` has them."""
    return {
        "added": [explained(one) for one in found.added],
        "removed": [explained(one) for one in found.removed],
        "changed": [
            {
                "slo": change.name,
                "verdict": change.verdict,
                "spec": _rows(change.spec),
                "effect": _rows(change.effect),
                "alerts_added": list(change.alerts_added),
                "alerts_removed": list(change.alerts_removed),
            }
            for change in found.changed
        ],
    }


def _rows(rows: Sequence[Row]) -> list[dict[str, Any]]:
    return [{"what": row.what, "before": row.before, "after": row.after, "differs": row.differs} for row in rows]
