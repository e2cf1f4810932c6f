"""`python -m monitoring ledger`: what became of the canaries, from the probers' own record."""

from __future__ import annotations

import time
from decimal import Decimal
from pathlib import Path

import click
import psycopg2

from monitoring.errors import MonitoringError, OutOfRangeError
from monitoring.maths.burn import error_budget
from monitoring.maths.durations import Duration
from monitoring.probes.archive import Count, count, count_journal
from monitoring.probes.journal import read


class LedgerError(MonitoringError):
    """The ledger cannot be read."""


@click.command()
@click.option("--journal", type=click.Path(path_type=Path, file_okay=False, exists=True), help="A prober's folder.")
@click.option(
    "--ledger",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="File that holds the URL of the database that probers upload to.",
)
@click.option("--last", default="1h", show_default=True, help="Of how long ago until now, for example 30d.")
@click.option("--target", default="0.999", show_default=True, help="The objective: the share that must be good.")
def ledger(journal: Path | None, ledger: Path | None, last: str, target: str) -> None:
    """Count how canaries ended, and say what that cost of the error budget. Needs neither Prometheus nor messenger."""
    if (journal is None) == (ledger is None):
        raise click.UsageError("name either --journal or --ledger")
    end = time.time()
    start = end - Duration.parse(last)
    if journal:
        found = count_journal((entry for entry, _ in read(journal)), start, end)
    else:
        assert ledger  # noqa: S101  looked at just now
        try:
            found = count(ledger.read_text().strip(), start, end)
        except psycopg2.Error as error:
            raise LedgerError(f"the database of the ledger does not answer: {type(error).__name__}") from None
    click.echo("\n".join(lines(found, _target(target))))


def _target(text: str) -> Decimal:
    try:
        target = Decimal(text)
    except ArithmeticError:
        raise OutOfRangeError(f"{text!r} is no number; expected for example 0.999") from None
    error_budget(target)
    return target


def lines(found: Count, target: Decimal) -> list[str]:
    """What is told of a count.

    >>> lines(Count({"delivered": 999, "late": 1, "abandoned": 2}), Decimal("0.999"))[-2:]
    ['99.9 % of 1000 were good', 'used of the error budget: 100 %']
    """
    told = [f"{outcome}: {number}" for outcome, number in found.by_outcome.items()]
    if not found.total:
        return [*told, "nothing that counts ended in this time"]
    bad = Decimal(found.total - found.good) / found.total
    told.append(f"{_percent(1 - bad)} of {found.total} were good")
    return [*told, f"used of the error budget: {_percent(bad / error_budget(target))}"]


def _percent(share: Decimal) -> str:
    return f"{(share * 100).quantize(Decimal('0.001')).normalize():f} %"
