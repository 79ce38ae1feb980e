"""The meter sees memory that was touched, and the time that passed."""

import time

import pytest
import torch

from course_lib.run.meter import Meter, busy_neighbours

MIB = 1024**2


@pytest.mark.skipif(torch.cuda.is_available(), reason="on a GPU the meter counts the GPU's memory")
def test_peak_grows_by_what_is_allocated_and_touched_and_stays_after_it_is_freed():
    with Meter() as meter:
        time.sleep(0.1)
        before = meter.peak_gib
        block = bytearray(200 * MIB)
        block[::4096] = b"x" * len(block[::4096])
        time.sleep(0.2)
        del block
    grown = (meter.peak_gib - before) * 1024
    assert 190 < grown < 260


@pytest.mark.skipif(torch.cuda.is_available(), reason="on a GPU the meter counts the GPU's memory")
def test_control_memory_that_exists_before_the_block_is_no_growth():
    block = b"x" * (200 * MIB)
    with Meter() as meter:
        time.sleep(0.1)
        before = meter.peak_gib
        time.sleep(0.1)
    assert (meter.peak_gib - before) * 1024 < 50
    assert len(block) == 200 * MIB


def test_seconds_are_those_of_the_block():
    with Meter() as meter:
        time.sleep(0.3)
    time.sleep(0.2)
    assert 0.3 <= meter.seconds < 0.5


def test_energy_is_positive_or_not_known():
    with Meter() as meter:
        sum(range(10**6))
    assert meter.joules is None or meter.joules > 0


def test_a_block_that_fails_is_measured_too():
    with pytest.raises(ValueError, match="in the block"), Meter() as meter:
        raise ValueError("in the block")
    assert meter.seconds > 0
    assert not meter._thread.is_alive()


def test_neighbours_are_counted_in_cores():
    assert 0 <= busy_neighbours() < 1000
