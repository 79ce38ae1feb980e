"""The score on published measurements: what it reaches, what it refuses, and that it can fail."""

import csv
import io
from dataclasses import replace

import pytest

from course_lib import CourseError, score
from course_lib.choose.peak import FITTED
from course_lib.choose.published import read_rows, represent
from course_lib.choose.published.words import NotRepresented
from course_lib.choose.score import Observation


@pytest.fixture(scope="module")
def table():
    return score()


def test_the_carried_rows_score_as_promised(table):
    quality_a = table.overall("A")
    assert quality_a["allocated_median_error"] <= 0.05
    assert quality_a["reserved_median_error"] <= 0.10
    assert quality_a["coverage"] >= 0.95
    assert quality_a["under_5pct"] <= 0.02
    assert table.overall("AB")["coverage"] >= 0.95
    assert len(table.not_represented) <= 0.2 * table.scorable


def test_a_worse_model_scores_worse(table):
    wrong = score(constants=replace(FITTED, idle_logits=40.0, litgpt_extra=60.0)).overall("A")
    right = table.overall("A")
    assert wrong["reserved_median_error"] > 0.10 > right["reserved_median_error"]
    assert wrong["coverage"] < 0.95
    narrow = replace(FITTED, spread_allocated=(0.0, 0.0), spread_reserved=(0.0, 0.0), spread_device=(0.0, 0.0))
    assert score(constants=narrow).overall("A")["coverage"] < 0.2


def test_no_estimate_lies_below_the_arithmetic_floor(table):
    checked = 0
    for o in table.observations:
        floor = o.row.number("floor_gib_per_gpu")
        if floor and o.main:
            assert o.predicted >= floor
            checked += 1
    assert checked > 300


def test_runs_that_worked_are_hardly_ever_rejected(table):
    assert table.overall("A")["rejected_of_those_that_ran"] < 0.02
    assert table.overall("AB")["fits_accuracy"] > 0.75


def test_every_row_is_scored_or_listed(table):
    scorable = {
        row["id"]
        for row in read_rows()
        if row["config_quality"] in ("A", "B") and row["peak_gib_per_gpu"] not in ("", None)
    }
    assert {o.row.cells["id"] for o in table.observations} | set(table.not_represented) == scorable
    assert all(table.not_represented.values())


def as_csv(tmp_path, rows, columns=None):
    path = tmp_path / "rows.csv"
    text = io.StringIO()
    writer = csv.DictWriter(text, columns or list(rows[0]), extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    path.write_text(text.getvalue())
    return path


def test_a_file_of_the_same_form_scores_the_same(tmp_path, table):
    assert score(as_csv(tmp_path, read_rows())).to_dict() == table.to_dict()


ROW = {
    "id": "x", "source": "s", "model": "mistralai/Mistral-7B-v0.1", "method": "lora", "rank": "16", "targets": "q_proj+v_proj",
    "weights_dtype": "bf16", "compute_dtype": "bf16", "optimizer": "adamw_torch", "micro_batch": "1", "seq_len_max": "1024",
    "grad_ckpt": "true", "attn": "sdpa", "sharding": "none", "n_gpus": "1", "loss_impl": "HF eager cross-entropy",
    "peak_gib_per_gpu": "18.0", "mem_class": "allocated", "config_quality": "A", "status": "measured", "gpu": "A100-80GB",
}  # fmt: skip


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"model": "acme/secret-13b"}, "sizes of acme/secret-13b unknown"),
        ({"model": ""}, "a model without a name"),
        ({"method": "boft"}, "method boft is not in our table"),
        ({"sharding": "pipeline parallel 4"}, "parallel"),
        ({"sharding": "zero3 + cpu_offload"}, "offloaded to the host"),
        ({"micro_batch": ""}, "micro-batch not stated"),
        ({"micro_batch": "-3"}, "micro-batch not stated"),
        ({"seq_len_max": "nan"}, "token length not stated"),
        ({"rank": "", "trainable_params": ""}, "LoRA rank not stated"),
        ({"targets": ""}, "LoRA targets not stated"),
        ({"targets": "the best ones"}, "LoRA targets the best ones"),
        ({"grad_ckpt": ""}, "checkpointing not stated"),
        ({"loss_impl": ""}, "loss path not stated"),
        ({"method": "qlora", "weights_dtype": "ternary"}, "weights held as ternary"),
        ({"peak_gib_per_gpu": "-2"}, "must be a number above 0"),
        ({"peak_gib_per_gpu": "much"}, "must be a number above 0"),
    ],
)
def test_what_cannot_be_represented_is_listed_with_its_reason(cells, reason):
    found = score([ROW, ROW | {"id": "y"} | cells])
    assert reason in found.not_represented["y"]
    assert found.overall("A")["n"] == 1


def test_a_broken_row_is_listed_and_the_rest_scored(tmp_path):
    path = as_csv(tmp_path, [ROW])
    path.write_text(path.read_text() + "only,three,cells\n")
    found = score(path)
    assert found.overall("A")["n"] == 1
    assert found.not_represented == {"only": "broken row: its cells do not match the header"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "cannot be read"),
        ("id,source\n1,2\n", "has no column model, method"),
        (",".join(ROW) + "\n", "a header but no rows"),
        (b"\xff\xfe\x00", "is not UTF-8 text"),
    ],
)
def test_a_bad_file_gets_one_sentence(tmp_path, text, says):
    path = tmp_path / "rows.csv"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(CourseError, match=says):
        score(path)


def test_a_row_without_its_longest_length_gets_an_interval_from_mean_to_cap():
    known = represent(ROW | {"config_quality": "B", "seq_len_max": "4096", "seq_len_mean": "4096"})
    unknown = represent(ROW | {"config_quality": "B", "seq_len_max": "4096", "seq_len_mean": "256"})
    assert not known.length_unknown
    assert unknown.length_unknown
    assert unknown.setup_shortest.seq < unknown.setup.seq < unknown.setup_longest.seq == 4096


def test_repeats_count_once():
    repeated = score(
        [ROW | {"id": str(i), "dup_group": "same"} for i in range(5)] + [ROW | {"id": "z", "peak_gib_per_gpu": "9"}]
    )
    assert repeated.overall("A")["n"] == 6
    assert repeated.overall("A")["groups"] == 2


def test_errors_are_logarithms():
    o = Observation(represent(ROW), "allocated", 10.0, 20.0, 15.0, 25.0, True)
    assert o.log_error == pytest.approx(0.6931, abs=1e-4)
    assert not o.covered


def test_a_row_outside_raises_its_reason():
    with pytest.raises(NotRepresented, match="not in our table"):
        represent(ROW | {"method": "vera"})
