# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a check finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass

OK, WARN, FAIL = 'ok', 'warn', 'fail'
SCHEMA = 'instructsam_ros/doctor/1'


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        subject: what was looked at.
        status: ``ok``, ``warn`` (works, with limits) or ``fail`` (does not work).
        detail: what was found.
        mend: what to do about it; empty where all is well.
    """

    subject: str
    status: str
    detail: str
    mend: str = ''


Check = Callable[[], Iterator[Finding]]


def examine(checks: Sequence[tuple[str, Check]]) -> Iterator[Finding]:
    """Run checks one after the other; one that breaks is a finding too."""
    for subject, check in checks:
        try:
            yield from check()
        except Exception as error:
            yield Finding(subject, FAIL, f'{type(error).__name__}: {error}',
                          'report this with the output of --json')


def document(findings: Sequence[Finding]) -> dict[str, object]:
    """Return findings as JSON takes them: ``schema``, ``ok`` and ``findings``."""
    return {
        'schema': SCHEMA,
        'ok': all(one.status != FAIL for one in findings),
        'findings': [asdict(one) for one in findings],
    }
