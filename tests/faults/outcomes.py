"""What a trial may come to, and the rules by which the answer of a command is judged."""

import re
from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple


class Outcome(StrEnum):
    """The first two are as they should be."""

    RIGHT = "right"
    REFUSED = "refused"
    LOST = "lost"
    WRONG = "wrong"
    TRACEBACK = "traceback"

    @property
    def is_fault(self) -> bool:
        return self not in (Outcome.RIGHT, Outcome.REFUSED)


class Verdict(NamedTuple):
    """An outcome, and what was seen."""

    outcome: Outcome
    seen: str = ""


class Answer(NamedTuple):
    """What a command gave.

    Attributes:
      status: of its end; negative is the number of the signal that ended it, as for `subprocess`.
      out: the standard output.
      err: the standard error.
      files: the files that it was to write, by name.
    """

    status: int
    out: str
    err: str
    files: dict[str, bytes]


_TRACEBACK = re.compile(
    r"Traceback \(most recent call last\)|Exception ignored|Fatal Python error|\.py:\d+: \w*Warning"
)
_STATUSES = {0, 1, 2, 129, 130, 141, 143}
LONGEST = 5000
"""Characters of a line of a message: what is longer says nothing to people."""


def refused(answer: Answer, names: Iterable[str]) -> Verdict:
    """The verdict on a command that ended with another status than 0.

    Args:
      answer: of the command.
      names: any of them in the message says where the fault is; empty strings always do.
    """
    if broken := crashed(answer):
        return broken
    if not answer.err.strip():
        return Verdict(Outcome.WRONG, f"status {answer.status} without a message")
    if (longest := max(map(len, answer.err.splitlines()))) > LONGEST:
        return Verdict(Outcome.WRONG, f"a line of {longest:,} characters: {answer.err[:200]}")
    if not any(name in answer.err for name in names):
        return Verdict(Outcome.WRONG, f"the message does not say where: {answer.err[:300]}")
    return Verdict(Outcome.REFUSED, answer.err[:300])


def crashed(answer: Answer) -> Verdict | None:
    """The verdict on a command that ended in a traceback, or in no way that it has; None if it did not."""
    if _TRACEBACK.search(answer.err) or _TRACEBACK.search(answer.out):
        return Verdict(Outcome.TRACEBACK, answer.err[-600:])
    if answer.status not in _STATUSES:
        return Verdict(Outcome.TRACEBACK, f"status {answer.status}: {answer.err[-300:]}")
    return None


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict on a case of several commands: a fault if one is, refused if one is, or else right."""
    order = list(Outcome)
    return max(verdicts, key=lambda verdict: order.index(verdict.outcome))
