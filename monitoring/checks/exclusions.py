"""Findings that somebody looked at and means to keep: a file of them, each with its reason.

- rule: query-fixed-range
  board: shop-overview     # the uid; without it every board
  panel: Orders            # the title or the id; without it the whole board
  query: A                 # the letter; without it every query of the panel
  reason: Finance counts in five-minute windows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from monitoring.checks.model import Finding
from monitoring.errors import InputError, Mistake
from monitoring.lint.registry import meant
from monitoring.paths import shown
from monitoring.yamltree import Node, Notes, documents

_KEYS = ("rule", "board", "panel", "query", "reason")


class ExclusionError(InputError):
    """A file of exclusions that cannot be read as such."""


@dataclass(frozen=True)
class Exclusion:
    """One entry; None is any."""

    file: str
    line: int
    rule: str
    reason: str
    board: str | None = None
    panel: str | None = None
    query: str | None = None

    def covers(self, finding: Finding) -> bool:
        """Whether the finding is one of those it names."""
        subject = finding.subject
        if subject is None or subject.rule != self.rule:
            return False
        panels = {subject.panel, str(subject.panel_id)}
        return (
            self.board in (None, subject.board)
            and (self.panel is None or self.panel in panels)
            and self.query in (None, subject.ref_id)
        )


def load(path: Path, rules: Iterable[str]) -> list[Exclusion]:
    """The entries of a file. Raises ExclusionError with every mistake: no list, no reason, a rule that is none."""
    file, known = shown(path), frozenset(rules)
    notes = Notes(file)
    try:
        trees = documents(path.read_text(encoding="utf-8-sig"), notes)
    except (OSError, UnicodeDecodeError) as error:
        raise ExclusionError([Mistake(file, None, f"cannot be read: {error}")]) from error
    mistakes = list(notes.mistakes)
    found: list[Exclusion] = []
    for tree in trees:
        if not isinstance(tree.value, tuple):
            mistakes.append(Mistake(file, tree.line, "expected a list of exclusions"))
            continue
        for item in tree.value:
            wrong = list(_wrong(file, item, known))
            mistakes += wrong
            if not wrong:
                told = {key: item.scalar(key) for key in _KEYS}
                values = {key: None if value is None else str(value) for key, value in told.items()}
                found.append(
                    Exclusion(
                        file,
                        item.line,
                        values["rule"] or "",
                        values["reason"] or "",
                        values["board"],
                        values["panel"],
                        values["query"],
                    )
                )
    if mistakes:
        raise ExclusionError(mistakes)
    return found


def _wrong(file: str, item: Node, known: frozenset[str]) -> Iterable[Mistake]:
    if not isinstance(item.value, dict):
        yield Mistake(file, item.line, "expected an entry with rule and reason")
        return
    for key in item.value:
        if key not in _KEYS:
            yield Mistake(file, item.line, f"unknown key {key}; there is {', '.join(_KEYS)}")
    rule = item.scalar("rule")
    if rule not in known:
        yield Mistake(file, item.line, f"no rule {rule!r}{meant(str(rule), known)}")
    if not str(item.scalar("reason") or "").strip():
        yield Mistake(file, item.line, "no reason; whoever reads it later wants to know why")


def apply(findings: Iterable[Finding], exclusions: Sequence[Exclusion]) -> tuple[list[Finding], int]:
    """What is left, with a warning for each exclusion that covers nothing; and how many were excluded."""
    used: set[Exclusion] = set()
    left = []
    count = 0
    for finding in findings:
        covering = [one for one in exclusions if one.covers(finding)]
        used.update(covering)
        if covering:
            count += 1
        else:
            left.append(finding)
    left += [
        Finding(one.file, one.line, f"nothing is excluded by this entry of {one.rule}; it may go", doubt=True)
        for one in exclusions
        if one not in used
    ]
    return left, count
