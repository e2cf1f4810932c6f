"""Whether Prometheus takes a regular expression: Go's dialect, RE2.

The parser of our queries judges them by Rust's dialect, which is nearly the same; rules
with what only Rust knows would be written and then refused by Prometheus. Here is the
difference, from https://github.com/google/re2/wiki/Syntax.
"""

from __future__ import annotations

import re

MAX_REPEAT = 1000

_TOKEN = re.compile(
    r"""
    \\Q.*?(?:\\E|$)
  | (?P<escape> \\(?:[pP](?:\{[^}]*\}|.)|x(?:\{[^}]*\}|..)|.|$) )
  | (?P<set> \[\^?\]?(?:\[:\^?\w+:\]|\\.|[^\]\\])*\] )
  | (?P<group> \(\?(?:P?<|[^:)]*[:)]?) )
  | (?P<repeat> [*+?]|\{\d+(?:,\d*)?\} )
  | (?P<open> \( ) | (?P<close> \) )
  | .
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = frozenset("AbBzdDsSwWQEaftnrvxpP")
_FLAGS = re.compile(r"\(\?[imsU]*(?:-[imsU]+)?[:)]|\(\?P<")
_PROPERTY = re.compile(r"\\[pP](?:\{\^?[A-Z][A-Za-z_]*\}|[A-Z])")
_BOUNDS = re.compile(r"\{(\d+)(?:,(\d*))?\}")
_NOT_IN_GO = frozenset(("Alphabetic", "Uppercase", "Lowercase", "White_Space", "Emoji"))


def problem(pattern: str) -> str | None:
    r"""What Go would refuse of a pattern that Rust takes; None when there is nothing.

    >>> problem("/users/{id}|5..|[^a-z]{2,3}?"), problem(r"\d+(?i:x)(?P<y>z)\p{Greek}")
    (None, None)
    >>> problem("a++"), problem("a{5000}")
    ('++ repeats what is repeated already', '{5000} repeats more than 1000 times')
    >>> problem("(?x)a"), problem(r"\h")
    ("(?x) is not known to Go's regular expressions", "\\h is not known to Go's regular expressions")
    """
    repeated, is_lazy = "", False
    # Go bounds the product of nested repeats: how often what stands inside is repeated in the end.
    last, groups = 1, [1]
    for token in _TOKEN.finditer(pattern):
        text, kind = token[0], token.lastgroup
        if kind == "repeat":
            if repeated and (text != "?" or is_lazy):
                return f"{repeated}{text} repeats what is repeated already"
            is_lazy = bool(repeated)
            repeated += text
            if not is_lazy:
                bounds = _BOUNDS.fullmatch(text)
                last *= max(int(bounds[1]), int(bounds[2] or 0), 1) if bounds else 1
                if last > MAX_REPEAT:
                    return f"{text} repeats more than {MAX_REPEAT} times"
                groups[-1] = max(groups[-1], last)
            continue
        repeated, is_lazy, last = "", False, 1
        if wrong := _unknown(kind, text):
            return f"{wrong} is not known to Go's regular expressions"
        if kind == "open" or (kind == "group" and not text.endswith(")")):
            groups.append(1)
        elif kind == "close" and len(groups) > 1:
            last = groups.pop()
            groups[-1] = max(groups[-1], last)
    return None


def _unknown(kind: str | None, text: str) -> str | None:
    """The part of a token that Go does not know."""
    if kind == "escape":
        letter = text[1:2]
        if letter.isalnum() and letter.isascii() and letter not in _ESCAPES and letter not in "01234567":
            return text
        if letter in ("p", "P") and (not _PROPERTY.fullmatch(text) or text[2:].strip("{^}") in _NOT_IN_GO):
            return text
    if kind == "group" and not _FLAGS.fullmatch(text):
        return text
    if kind == "set" and "--" in text[1:-2]:
        return text
    return None
