"""The fitted constants of the memory model are what fitting gives, and hold on sources left out."""

import statistics

from course_lib.choose.calibrate import differences, fit, leave_one_source_out
from course_lib.choose.peak import FITTED


def test_fitting_anew_gives_the_carried_constants():
    assert differences(fit(), FITTED) == {}


def test_each_source_is_met_by_constants_fitted_on_the_others():
    found = leave_one_source_out()
    errors = {source: scores for source, (_, scores) in found.items()}
    assert len(errors) >= 8
    for figure, bound in (("allocated", 0.06), ("reserved", 0.15), ("device", 0.12)):
        medians = [s[f"{figure}_median_error"] for s in errors.values() if s[f"{figure}_median_error"] is not None]
        assert statistics.median(medians) <= bound, (figure, medians)
    assert statistics.fmean(s["coverage"] for s in errors.values()) >= 0.8
