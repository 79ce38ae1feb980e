"""Intervals cover what they should, alone and between two models, and refuse what cannot be paired."""

import numpy as np
import pytest

from course_lib import CourseError
from course_lib.prove.metrics import macro_f1
from course_lib.prove.scores import NO_SHARE, Scores, difference, interval, mean, ratio, scored

ROWS = [{"text": str(i)} for i in range(8)]


def of(values, metric="exact_match", rows=ROWS) -> Scores:
    return scored({metric: np.array(values, dtype=float)}, rows[: len(values)], [])


def test_intervals_cover_the_truth_about_95_times_of_100():
    rng = np.random.default_rng(1)
    covered = [
        low <= 0.7 <= high
        for low, high in (interval(rng.binomial(5, 0.7, 48) / 5.0, resamples=500) for _ in range(300))
    ]
    assert 0.90 <= np.mean(covered) <= 0.99


def test_none_of_24_is_not_certainly_none():
    low, high = interval(np.zeros(24))
    assert low == 0
    assert high == pytest.approx(0.138, abs=0.001)  # Wilson: 1.96^2 / (24 + 1.96^2)
    assert interval(np.zeros(24), share=False) == (0, 0)


@pytest.mark.slow
def test_a_paired_interval_covers_the_difference_and_is_narrower_than_one_that_is_not_paired():
    rng, widths, covered = np.random.default_rng(2), [], []
    for _ in range(150):
        hard = rng.normal(0, 1, 60)
        one, other = (
            of(hard + rng.normal(0.3, 0.3, 60), "reward_margin"),
            of(hard + rng.normal(0, 0.3, 60), "reward_margin"),
        )
        gap = difference(one, other, "reward_margin")
        covered.append(gap.low <= 0.3 <= gap.high)
        alone = one["reward_margin"]
        widths.append((gap.high - gap.low) / (alone.high - alone.low))
    assert 0.88 <= np.mean(covered) <= 0.99
    assert np.mean(widths) < 0.6


def test_the_sign_is_the_firsts():
    better, worse = of([1, 1, 1, 0]), of([1, 0, 0, 0])
    assert difference(better, worse, "exact_match").value == 0.5
    turned = difference(worse, better, "exact_match")
    assert (turned.value, turned.n) == (-0.5, 4)
    assert turned.low <= -0.5 <= turned.high <= 0


def test_two_that_answer_alike_are_not_certainly_alike():
    same = difference(of([1, 0, 1, 1]), of([1, 0, 1, 1]), "exact_match")
    assert same.value == 0
    assert same.low == -same.high < -0.4  # four rows say little
    all_better = difference(of([1, 1, 1, 1]), of([0, 0, 0, 0]), "exact_match")
    assert (all_better.value, all_better.high) == (1, 1)
    assert 0.4 < all_better.low < 0.6  # Wilson: 4 of 4
    assert difference(of([0] * 4), of([1] * 4), "exact_match").low == -1


@pytest.mark.slow
def test_macro_f1_is_sklearns():
    from sklearn.metrics import f1_score

    rng = np.random.default_rng(3)
    wanted, said = (rng.choice(["a", "B ", "c", "d"], 60).tolist() for _ in range(2))
    said[0] = "nonsense"
    score = scored({"macro_f1": macro_f1(said, wanted)}, ROWS, [])["macro_f1"]
    clean = [[text.strip().lower() for text in texts] for texts in (wanted, said)]
    assert score.value == pytest.approx(f1_score(*clean, labels=["a", "b", "c", "d"], average="macro"))
    assert score.low < score.value < score.high
    one = scored({"macro_f1": macro_f1(["a", "a", "b", "x"], ["a", "b", "b", "b"])}, ROWS, [])
    assert one["macro_f1"].value == pytest.approx((2 / 3 + 1 / 2) / 2)


def test_perplexity_is_of_all_tokens_together_and_its_ratio_is_paired():
    table = np.array([[10.0, 5], [30, 10], [2, 1]])
    score = of(table, "perplexity")["perplexity"]
    assert score.value == pytest.approx(np.exp(42 / 16))
    assert score.low < score.value < score.high
    higher = np.column_stack([table[:, 0] + 0.1 * table[:, 1], table[:, 1]])  # each token 0.1 nats worse
    times = ratio(of(higher, "perplexity"), of(table, "perplexity"), "perplexity")
    assert [times.value, times.low, times.high] == pytest.approx([np.exp(0.1)] * 3)
    gap = difference(of(higher, "perplexity"), of(table, "perplexity"), "perplexity")
    assert 0 < gap.low < gap.value < gap.high


@pytest.mark.parametrize(
    ("second", "metric", "says"),
    [
        (of([1, 0, 1]), "exact_match", "same n"),
        (of([1, 0], rows=[{"text": "other"}] * 2), "exact_match", "not of the same rows"),
        (of([1, 0], "accuracy"), "exact_match", "no exact_match in both"),
        (Scores({}), "exact_match", "one has none"),
    ],
)
def test_what_cannot_be_paired_is_refused(second, metric, says):
    with pytest.raises(CourseError, match=says) as told:
        difference(of([1, 0]), second, metric)
    assert ". " not in str(told.value)


def test_perplexities_over_other_tokens_are_refused():
    one, other = of([[3, 2], [4, 2]], "perplexity"), of([[3, 3], [4, 3]], "perplexity")
    with pytest.raises(CourseError, match="compare bits_per_byte"):
        difference(one, other, "perplexity")


def test_control_unpaired_draws_make_the_interval_of_two_alike_wide(monkeypatch):
    values = np.random.default_rng(4).normal(0, 1, 60)
    one, other = of(values, "reward_margin"), of(values + 1, "reward_margin")
    assert difference(other, one, "reward_margin").low == pytest.approx(1)
    from course_lib.prove import scores

    rng = np.random.default_rng(5)
    monkeypatch.setattr(
        scores, "_resampled", lambda table: np.stack([table[rng.integers(0, 60, 60)].mean(0) for _ in range(500)])
    )
    assert difference(other, one, "reward_margin").low < 0.8
    assert mean(np.array([2.0])) == 2
    assert "reward_margin" in NO_SHARE
