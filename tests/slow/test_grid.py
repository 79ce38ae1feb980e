"""Twenty thousand situations: one answer each, always fitting, quickly."""

import time

from situations import faults, random_situations

from course_lib import recommend


def test_twenty_thousand_situations():
    seconds = []
    for situation in random_situations(20_000):
        started = time.process_time()
        found = recommend(situation)
        assert found.what_would_change is None or found.what_would_change.method != found.method
        seconds.append(time.process_time() - started)
        assert faults(found) == [], situation
    seconds.sort()
    assert seconds[int(0.99 * len(seconds))] < 0.05
