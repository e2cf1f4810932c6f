"""Whether a browser takes a regular expression."""

from __future__ import annotations

import re

from monitoring.dollars import names_in


def wrong_pattern(pattern: str) -> str | None:
    """Why a pattern, bare or as /…/flags, does not compile; None when it does, or a variable stands in it.

    >>> wrong_pattern("/^(a|b$/"), wrong_pattern("p9.*"), wrong_pattern(r"/\\Files/i")
    ('missing ), unterminated subpattern at position 1', None, None)
    """
    body = pattern[1:].rpartition("/")[0] if pattern.startswith("/") and pattern.count("/") > 1 else pattern
    if names_in(body):
        return None
    try:
        re.compile(re.sub(r"\(\?<(?![=!])", "(?P<", body))
    except re.error as error:
        # Python refuses an escaped letter without a meaning, a browser takes it for the letter.
        return None if str(error).startswith("bad escape") else str(error)
    return None
