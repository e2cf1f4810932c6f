"""`make scorecard`: prints what was found, missed and wrongly flagged; with a folder, also what published boards get.

Exit status 1 when something was missed or wrongly flagged.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.scorecard.judge import defects, mixtures, published, right_ones


def main() -> int:
    """Print the card."""
    seeded, mixed, right = defects(), mixtures(), right_ones()
    for name, verdicts in (("seeded defects", seeded), ("mixtures", mixed), ("right boards", right)):
        bad = [one for one in verdicts if not one.is_well]
        print(f"{name}: {len(verdicts)}")
        for one in bad:
            print(f"  {one}")
    found = sum(one.found for one in (*seeded, *mixed))
    wanted = sum(one.wanted for one in (*seeded, *mixed))
    wrongly = sum(len(one.extra) for one in (*seeded, *mixed, *right))
    print(f"defects found: {found} of {wanted}; wrongly flagged: {wrongly}")
    for folder in map(Path, sys.argv[1:]):
        print(published(folder))
    return 0 if found == wanted and not wrongly else 1


if __name__ == "__main__":
    sys.exit(main())
