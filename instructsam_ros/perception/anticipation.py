# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Whether the next frame comes so soon that waiting for it gives fresher results.

Who becomes free finds a frame that is up to one period of the camera old. Waiting a little for
the next one when it is about to come takes the oldest of them away. What that may cost is kept in
an account: it earns a share of the time spent in work, and every wait is paid from it.
"""

import math
import statistics
from collections import deque

# share of the working time that waiting may take, so also of the throughput
SHARE = 0.03
_FEWEST = 4
_INTERVALS = 9
# of a period: how late frames come now and then, and how late one counts as lost
_LATE = 1 / 8
_LOST = 1 / 4


class Anticipation:
    """Learns when frames come and says how long to wait for the next; times are monotonic s.

    Attributes:
        longest: no wait is longer, seconds; 0: never wait.
        last: when the last frame came, -inf before the first.
    """

    def __init__(self, longest: float = 0.0) -> None:
        """Know nothing yet."""
        self.longest = longest
        self.last = -math.inf
        self._intervals: deque[float] = deque(maxlen=_INTERVALS)
        self._account = 0.0

    def arrived(self, now: float) -> None:
        """Note that a frame came."""
        if self.last > -math.inf:
            self._intervals.append(now - self.last)
        self.last = now

    def worked(self, seconds: float) -> None:
        """Earn from work on a frame."""
        self._account = min(self._account + SHARE * seconds, self.longest)

    def waited(self, seconds: float) -> None:
        """Pay for a wait, in vain or not."""
        self._account -= seconds

    def wait(self, now: float) -> float:
        """Return how long to wait for a newer frame than the last one, seconds; 0: not at all.

        Never when it is not known when the next one comes, when that is farther away than the
        wait can be paid or than the last frame is old, or when the next one is overdue.
        """
        budget = min(self._account, self.longest)
        if len(self._intervals) < _FEWEST or budget <= 0:
            return 0.0
        # the median: single frames get lost, and streams pause
        period = statistics.median(self._intervals)
        left = self.last + period - now
        if left < -_LOST * period or left + _LATE * period > min(budget, period / 2):
            return 0.0
        return min(budget, left + _LOST * period)
