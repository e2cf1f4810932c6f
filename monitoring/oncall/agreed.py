"""What on-call says of maintenance: nobody is paged for it, so whoever looks must be told why it is quiet.

The file is read each time; one that is wrong says so on the page and hides nothing else.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from monitoring.errors import SpecError
from monitoring.spec.maintenance import Maintenance, load_maintenance


def agreed_now(path: Path | None, now: datetime) -> list[str]:
    """A sentence for each span that holds `now` (aware), or for each mistake in the file; nothing without a file."""
    if path is None:
        return []
    try:
        found = load_maintenance(path, None)
    except SpecError as error:
        return [f"The maintenance file is wrong: {mistake}" for mistake in error.mistakes]
    return [_sentence(span) for span in found if span.start <= now < span.end]


def _sentence(span: Maintenance) -> str:
    what = ", ".join(sorted(span.services | span.slos)) or "everything"
    by = f" ({span.author})" if span.author else ""
    return f"Maintenance of {what} until {span.end:%Y-%m-%d %H:%MZ}: {span.reason or span.id}{by}"
