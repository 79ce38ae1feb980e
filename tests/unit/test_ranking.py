"""A claimed order is judged by pairs whose intervals lie apart."""

from course_lib.prove.ranking import apart, ranked, side
from course_lib.prove.scores import Score

CLAIMED = {"full": 3, "lora": 2, "prompt": 1}


def verdicts(**intervals):
    return ranked(CLAIMED, lambda one, other: apart(intervals[one], intervals[other]))


def test_an_order_holds_where_all_intervals_lie_apart_as_claimed():
    assert set(verdicts(full=(8, 9), lora=(5, 6), prompt=(1, 2)).values()) == {"holds"}


def test_intervals_that_overlap_leave_it_open_for_both():
    assert verdicts(full=(5, 9), lora=(4, 6), prompt=(1, 2)) == {"full": "partly", "lora": "partly", "prompt": "holds"}


def test_a_pair_that_surely_lies_the_other_way_round_is_against_both():
    found = verdicts(full=(8, 9), lora=(1, 2), prompt=(4, 6))
    assert found == {"full": "holds", "lora": "not here", "prompt": "not here"}


def test_equal_levels_claim_nothing_of_each_other():
    assert ranked({"a": 1, "b": 1, "c": 0}, lambda one, other: (one < other) - (one > other)) == {
        "a": "holds",
        "b": "holds",
        "c": "holds",
    }


def test_a_difference_has_a_side_only_without_zero_in_it():
    assert [side(Score(0.1, low, high, 9)) for low, high in ((0.05, 0.2), (-0.1, 0.3), (-0.4, -0.2))] == [1, 0, -1]
