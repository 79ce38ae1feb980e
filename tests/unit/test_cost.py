"""Time and money: counts by hand, no estimate that falls as work grows, and errors on published speeds."""

import math
import subprocess
import sys
from dataclasses import asdict
from importlib import resources
from itertools import pairwise
from statistics import median

import pytest

from course_lib.choose import cost, speed_fit, step_time
from course_lib.choose.gpus import gpu, gpus, prices
from course_lib.choose.shapes import ModelShape
from course_lib.errors import CourseError
from course_lib.plan import Plan

LLAMA = ModelShape.of("meta-llama/Llama-2-7b-hf")  # 32 layers, 4096 wide, head of its own with 32,000 rows
N = 6_738_415_616 - 32_000 * 4096
SQUARE = 32 * 4096  # layers x width


@pytest.fixture(scope="module")
def scores():
    return speed_fit.validate()


@pytest.mark.parametrize(
    ("method", "checkpointing", "times_n", "times_square"),
    [
        ("full", False, 6, 12),
        ("full", True, 8, 16),
        ("lora", False, 4, 12),
        ("qlora", True, 6, 16),
        ("prompt_tuning", False, 4, 12),
    ],
)
def test_operations_per_token_by_hand(method, checkpointing, times_n, times_square):
    counted = cost.flops_per_token(LLAMA, method, 1000, checkpointing)
    assert counted == pytest.approx(times_n * N + times_square * SQUARE * 1000)


def test_blocks_below_the_first_layer_are_only_run_forward():
    head = 32_000 * 4096
    half = cost.flops_per_token(LLAMA, "lora", 1000, first_layer=16)
    assert half == pytest.approx(4 * head + 3 * (N - head) + 8 * SQUARE * 1000)
    assert cost.flops_per_token(LLAMA, "lora", 1000, first_layer=32) == pytest.approx(
        2 * N + 2 * head + 4 * SQUARE * 1000
    )


def test_a_tied_head_is_counted_once_and_idle_experts_never():
    tied = ModelShape.of("HuggingFaceTB/SmolLM2-135M")
    assert cost.flops_per_token(tied, "full", 0) == 6 * tied.params
    mixture = ModelShape.of("mistralai/Mixtral-8x7B-v0.1")
    assert cost.flops_per_token(mixture, "full", 0) < 6 * 0.3 * mixture.params


def test_a_method_that_is_none_is_refused():
    with pytest.raises(CourseError, match="no count of operations for method boft: take one of full, lora"):
        cost.flops_per_token(LLAMA, "boft", 100)


@pytest.mark.parametrize("device", ["A100-80GB", "T4", "RTX 3090", "cpu-2", "Apple M2"])
@pytest.mark.parametrize("method", ["full", "lora", "qlora", "adapters", "prefix_tuning", "p_tuning", "ia3"])
def test_more_work_is_never_faster(device, method):
    plan = Plan(method=method, micro_batch=4, max_len=1024)
    sizes = [cost.speed(plan, ModelShape.generic(b), device) for b in (0.03, 0.135, 0.5, 1, 3, 8, 14, 32, 70, 200)]
    assert all(small.tokens_per_s >= large.tokens_per_s for small, large in pairwise(sizes))
    steps = [cost.speed(plan, LLAMA, device, length).step_s for length in (16, 64, 256, 1024, 4096, 16384)]
    assert steps == sorted(steps)
    long = [cost.speed(plan, LLAMA, device, length).tokens_per_s for length in (4096, 8192, 16384, 65536)]
    assert long == sorted(long, reverse=True)
    hours = [cost.training_time(plan, tokens, device, LLAMA).hours for tokens in (1, 1e3, 1e6, 1e9)]
    assert hours == sorted(hours)
    checkpointing = plan.but(gradient_checkpointing=True)
    assert cost.speed(checkpointing, LLAMA, device).tokens_per_s < cost.speed(plan, LLAMA, device).tokens_per_s


def test_more_cards_and_fewer_trained_layers_are_faster():
    one = Plan(micro_batch=4, max_len=2048)
    shared = [one.but(n_gpus=n, sharding="fsdp") for n in (2, 4, 8)]
    speeds = [cost.speed(plan, LLAMA).tokens_per_s for plan in (one, *shared)]
    assert speeds == sorted(speeds)
    assert cost.speed(one.but(first_layer=16), LLAMA).tokens_per_s > cost.speed(one, LLAMA).tokens_per_s
    assert cost.speed(shared[2], LLAMA, "L40S").per_gpu < cost.speed(shared[2], LLAMA, "A100-40GB").per_gpu


def test_short_rows_use_less_of_the_device():
    plan = Plan(micro_batch=1, max_len=4096)
    few, many = cost.speed(plan, LLAMA, seq_len=64), cost.speed(plan, LLAMA, seq_len=4096)
    assert few.utilisation < 0.2 < 0.4 < many.utilisation < 0.8


def test_a_speed_says_what_it_assumes_and_how_sure_it_is():
    server, desktop, slow = (cost.speed(Plan(max_len=300), gpu=name) for name in ("A100-80GB", "RTX 4070", "cpu-2"))
    assert server.low < server.tokens_per_s < server.high
    assert server.assumes[0].startswith("rows of 300 tokens, the longest")
    assert server.high / server.low < desktop.high / desktop.low < 9.1
    assert slow.high / slow.low == pytest.approx(9)
    assert any("no published speed of RTX 4070" in words for words in desktop.assumes)
    assert cost.speed(Plan(), seq_len=200).assumes == ("bf16, as `auto` takes on A100-80GB",)


def test_a_card_without_bf16_computes_in_fp16_unless_told_otherwise():
    fp32, fp16, bf16 = (cost.speed(Plan(precision=name), LLAMA, "T4").tokens_per_s for name in ("fp32", "fp16", "bf16"))
    assert cost.speed(Plan(), LLAMA, "T4").tokens_per_s == fp16
    assert fp32 == bf16
    assert fp16 > 2 * fp32


def test_a_processor_is_as_fast_as_one_was_measured():
    # tests/bench: a plain loop, LoRA on 135 million parameters, rows of 120 tokens: 116 to 125 tokens/s on two cores
    assert cost.speed(Plan(), gpu="cpu-2", seq_len=120).tokens_per_s == pytest.approx(120, rel=0.15)


@pytest.mark.parametrize("name", ["", "GTX 1080", "TPU v4"])
def test_an_unknown_device_gets_the_three_nearest_names(name):
    with pytest.raises(CourseError) as caught:
        cost.speed(Plan(), gpu=name)
    near = str(caught.value).split("the nearest names are ")[1].removesuffix("; take one of them.").split(", ")
    assert len(near) == 3
    assert {gpu(device).name for device in near} == set(near)


def test_devices_are_found_under_the_names_that_people_write():
    for written, name in {
        "A100-SXM4-40GB": "A100-40GB",
        "A100_80GB": "A100-80GB",
        "NVIDIA A100 80GB PCIe": "A100-80GB",
        "A100-80GB (assumed)": "A100-80GB",
        "L40S-48GB": "L40S",
        "Tesla T4": "T4",
        "2x RTX 3090": "RTX 3090",
        "RTX3090-24GB": "RTX 3090",
        "NVIDIA H100 80GB HBM3": "H100-80GB",
        "NVIDIA H100 PCIe": "H100-PCIe",
        "Tesla V100-SXM2-32GB": "V100-32GB",
        "M1 Pro": "Apple M1 Pro",
        "A6000": "RTX A6000",
    }.items():
        assert gpu(written).name == name
    published = {row["gpu"] for row in speed_fit.read_rows() if row["gpu"]}
    assert all(gpu(written).memory_gib > 10 for written in published)


def test_the_table_of_devices_is_whole():
    assert len({device.name for device in gpus()}) == len(gpus()) >= 35
    for device in gpus():
        assert gpu(device.name) is device
        assert all(gpu(alias) is device for alias in device.aliases)
        assert device.memory_gib > 0 < device.bandwidth_gbs
        assert device.fp32_tflops > 0 < device.watts
        assert device.has_bf16 == (device.name not in {"T4", "P100-16GB", "V100-16GB", "V100-32GB", "RTX 2080 Ti", "Apple M1",
                                                       "Apple M1 Pro", "Apple M1 Max", "cpu-2", "cpu-8", "cpu-64"})  # fmt: skip
        assert device.source
    assert set(prices().rental) <= {device.name for device in gpus()}


def test_time_and_price_of_a_run():
    plan = Plan(micro_batch=4, max_len=2048, n_gpus=4, sharding="ddp")
    time = cost.training_time(plan, 3e7, "A100-80GB", LLAMA)
    assert time.hours == pytest.approx(3e7 / time.speed.tokens_per_s / 3600)
    assert time.low < time.hours < time.high
    low, high = prices().rental["A100-80GB"]
    assert cost.price(time, "A100-80GB") == pytest.approx((4 * low * time.low, 4 * high * time.high))
    assert cost.price(2.0, "T4", n_gpus=3) == pytest.approx((6 * 0.35, 6 * 0.76))
    assert cost.price(10, "Apple M2") == pytest.approx((0.35 * 0.10, 0.35 * 0.45))  # 35 W for ten hours
    assert cost.hosted_price(2e6, "gpt-4o-mini") == pytest.approx(6.0)
    with pytest.raises(CourseError, match=r"gpt-9 \(sft\) is not in the price table: it has gpt-4o"):
        cost.hosted_price(1, "gpt-9")
    for wrong in (0, -1, math.nan, math.inf):
        with pytest.raises(CourseError, match="cannot be trained on"):
            cost.training_time(plan, wrong, "T4", LLAMA)
        with pytest.raises(CourseError, match="give a positive number"):
            cost.speed(plan, LLAMA, seq_len=wrong)


def test_prices_are_dated_and_say_that_nobody_checked_them():
    assert prices().as_of == "2025"
    assert prices().checked is False
    assert "check before you rely on it" in prices().note


def test_a_reader_may_bring_a_price_table(tmp_path, monkeypatch):
    mine = tmp_path / "mine.toml"
    mine.write_text(
        'as_of = "2026-11-22"\nchecked = true\nrental = [{ device = "Tesla T4", low = 1, high = 2 }]\n'
        "[electricity]\nlow = 0.2\nhigh = 0.3\n"
    )
    monkeypatch.setenv("COURSE_PRICES", str(mine))
    assert prices().checked
    assert prices().where == str(mine)
    assert cost.price(10, "T4") == (10, 20)
    assert cost.price(10, "A100") == pytest.approx((0.8, 1.2))  # no rental in it: 400 W of electricity
    mine.write_text("rental = [\n")
    with pytest.raises(CourseError, match="is not TOML"):
        prices()
    mine.write_text('rental = [{ device = "T4", low = 3, high = 2 }]\n[electricity]\nlow = 0\nhigh = 0\n')
    with pytest.raises(CourseError, match=r"a price that cannot be read \(from 3 to 2\)"):
        prices()
    mine.write_text("rental = []\n")
    with pytest.raises(CourseError, match="has no electricity"):
        prices()
    monkeypatch.setenv("COURSE_PRICES", str(tmp_path / "gone.toml"))
    with pytest.raises(CourseError, match=r"cannot be read \(No such file"):
        prices()


def test_size_of_what_is_saved():
    gib = 2**30
    assert (
        cost.adapter_gib(Plan(method="lora", rank=8, targets=("q_proj", "v_proj")), LLAMA)
        == 32 * 2 * 8 * 8192 * 4 / gib
    )
    assert cost.adapter_gib(Plan(method="prompt_tuning", virtual_tokens=20), LLAMA) == 20 * 4096 * 4 / gib
    assert cost.adapter_gib(Plan(method="p_tuning", virtual_tokens=20), LLAMA) == 20 * 4096 * 4 / gib
    assert cost.adapter_gib(Plan(method="full"), LLAMA) == 2 * LLAMA.params / gib
    assert cost.adapter_gib(Plan(method="full", precision="fp32"), LLAMA) == 4 * LLAMA.params / gib


def test_the_carried_table_gives_the_rates_again():
    assert resources.files("course_lib.choose.published").joinpath("memory-measured.csv").is_file()
    found, stated = asdict(speed_fit.fit()), asdict(step_time.FITTED)
    for name, value in stated.items():
        assert found[name] == pytest.approx(value, rel=0.02), name


def test_errors_on_published_speeds_stay_small(scores):
    fitted, never = scores["all fitted"], scores["none fitted"]
    assert fitted["n"] > 300
    assert fitted["median"] < 0.075
    assert fitted["p90"] < 0.20
    assert fitted["held_out_median"] < 0.095
    assert fitted["held_out_p90"] < 0.25
    assert never["n"] > 90
    assert never["median"] < 0.21
    assert all(
        s["held_out_median"] < 0.25 for name, s in scores.items() if "not fitted" not in name and name != "none fitted"
    )


def test_rates_that_were_not_fitted_do_worse():
    guessed = [abs(speed_fit.log_error(row, speed_fit.START)) for row in speed_fit.all_timed()]
    assert median(guessed) > 0.095


def test_published_speeds_lie_in_the_band():
    rows = speed_fit.all_timed(None, "AB")
    inside = []
    for row in rows:
        said = cost.speed_of(row.setup, row.card, row.grad_accum)
        inside.append(said.low <= row.tokens_per_s * row.setup.n_gpus <= said.high)
    assert sum(inside) / len(rows) > 0.95


def test_no_torch_and_five_milliseconds_at_most():
    code = (
        "import sys, time\n"
        "from course_lib.choose import cost\n"
        "from course_lib.plan import Plan\n"
        "plan = Plan(model='meta-llama/Llama-3.1-8B')\n"
        "cost.price(cost.training_time(plan, 1e6), 'T4')\n"
        "spent = []\n"
        "for _ in range(5):\n"
        "    start = time.perf_counter()\n"
        "    cost.training_time(plan, 1e6, 'T4')\n"
        "    spent.append(time.perf_counter() - start)\n"
        "print('torch' in sys.modules, 'numpy' in sys.modules, min(spent) < 0.005)\n"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["False", "False", "True"]
