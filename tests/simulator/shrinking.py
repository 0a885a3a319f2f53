"""Leaves out of a failing schedule whatever it does not need in order to fail."""

from __future__ import annotations

from dataclasses import replace

from tests.simulator.playing import Report, play
from tests.simulator.schedule import Schedule

MOST_RUNS = 300


def shrunk(report: Report, mutant: str | None = None) -> Report:
    """The shortest schedule found that breaks the same rule: halves are left out first, single things last."""
    return _Shrinking(report, mutant).best


class _Shrinking:
    def __init__(self, report: Report, mutant: str | None) -> None:
        self.best, self._mutant, self._rule = report, mutant, _rule(report)
        self._runs = 0
        size = max(1, len(report.schedule.operations) // 2)
        while self._leave_out(size) or size > 1:
            size = max(1, size // 2)
        self._lighten()

    def _leave_out(self, size: int) -> bool:
        """Runs of `size` operations, one after the other; whether that helped."""
        begin, shorter = 0, False
        while begin < len(self.best.schedule.operations):
            if self._fails(self.best.schedule.without(begin, begin + size)):
                shorter = True
            else:
                begin += size
        return shorter

    def _lighten(self) -> None:
        """Letters that need not be handed in."""
        for at, operation in enumerate(self.best.schedule.operations):
            n = 0
            while n < len(letters := self.best.schedule.operations[at].facts.get("letters", ())):
                fewer = replace(operation, facts={"letters": [*letters[:n], *letters[n + 1 :]]})
                if not self._fails(self.best.schedule.with_(at, fewer)):
                    n += 1

    def _fails(self, schedule: Schedule) -> bool:
        """Whether it breaks the same rule still; then it is the best."""
        if self._runs >= MOST_RUNS:
            return False
        self._runs += 1
        tried = play(schedule, self._mutant)
        if not tried.findings or _rule(tried) != self._rule:
            return False
        self.best = tried
        return True


def _rule(report: Report) -> str:
    return report.findings[0].partition(":")[0]
