"""What the worker says about time: progress that is neither too much nor too little, former runs, estimates."""

from __future__ import annotations

import json

import pytest

from uvlm_core.inference.progress import Progress
from uvlm_core.model.config import preset
from uvlm_core.worker.estimate import (
    common_grid,
    estimate_memory_mib,
    estimate_seconds,
    machine_gflop_per_second,
    network_gflop,
)
from uvlm_core.worker.job_progress import JobProgress
from uvlm_core.worker.timings import COMMON_SCAN, KEPT, Timings

SECONDS = {"read": 1.0, "grid": 0.5, "load model": 2.0, "encode": 4.0, "write report": 2.0, "save": 1.0}


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self):
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def told():
    clock, rows = Clock(), []
    return JobProgress(rows.append, clock=clock), clock, rows


def test_ten_messages_a_second_are_enough_and_no_text_is_lost(told):
    progress, clock, rows = told
    for number in range(200):
        progress(Progress("write report", number, 640, f"w{number} "))
        clock.now += 0.005
        progress.tick()
    assert len(rows) <= 12
    progress.flush()
    assert "".join(row["text"] for row in rows) == "".join(f"w{number} " for number in range(200))


def test_a_long_step_shows_a_sign_of_life_every_second(told):
    progress, clock, rows = told
    progress(Progress("encode", 0, 1))
    for _ in range(50):
        clock.now += 0.1
        progress.tick()
    assert 5 <= len(rows) <= 6 and {row["stage"] for row in rows} == {"encode"}


def test_a_stage_that_begins_too_soon_after_another_is_told_a_moment_later(told):
    progress, clock, rows = told
    progress(Progress("check", 1, 1))
    progress(Progress("encode", 0, 1))
    assert [row["stage"] for row in rows] == ["check"]
    clock.now += 0.11
    progress.tick()
    assert [row["stage"] for row in rows] == ["check", "encode"]


def test_what_is_left_follows_former_runs(told):
    progress, clock, rows = told
    progress.expect({"read": 1.0, "encode": 4.0, "write report": 2.0})
    progress(Progress("read", 0, 1))
    clock.now += 1
    progress(Progress("encode", 0, 1))
    clock.now += 3
    progress.tick()
    clock.now += 5  # twice as long as before: nothing sensible can be said about the rest of the stage
    progress.tick()
    assert [row["seconds_left"] for row in rows] == [7.0, 6.0, 3.0, 2.0]
    assert [row["fraction"] for row in rows] == pytest.approx([0, 1 / 7, 4 / 7, 9 / 11], abs=1e-3)


def test_without_former_runs_the_fraction_follows_the_usual_shares(told):
    progress, clock, rows = told
    for stage in ("read", "encode", "save"):
        progress(Progress(stage, 1, 1))
        clock.now += 1
    assert [row["seconds_left"] for row in rows] == [None] * 3
    assert 0 < rows[0]["fraction"] < rows[1]["fraction"] < rows[2]["fraction"] == 1
    alone = []
    JobProgress(alone.append, all_stages=False)(Progress("measure", 1, 4))
    assert alone[0]["fraction"] == 0.25


def test_comparable_runs_give_the_time_scaled_with_the_scan():
    timings = Timings()
    assert timings.stages("a", "cpu", "fp32", COMMON_SCAN) is None
    timings.add("a", "cpu", "fp32", COMMON_SCAN // 2, SECONDS, 1500)
    expected = timings.stages("a", "cpu", "fp32", COMMON_SCAN)
    assert expected["read"] == pytest.approx(2.0) and expected["encode"] == 4.0 and expected["load model"] == 0
    assert timings.stages("a", "cpu", "fp32", COMMON_SCAN, loaded=False)["load model"] == 2.0
    assert timings.stages("a", "cpu", "fp32", COMMON_SCAN // 100) is None, "a hundredth says nothing"
    assert timings.stages("b", "cpu", "fp32", COMMON_SCAN) is None
    assert timings.stages("a", "cuda", "fp32", COMMON_SCAN) is None
    timings.add("a", "cpu", "fp32", COMMON_SCAN, {**SECONDS, "encode": 8.0}, 1900)
    assert timings.peak_mib("a", "cpu", "fp32", COMMON_SCAN) == 1900
    assert timings.stages("a", "cpu", "fp32", None)["encode"] == 6.0


def test_times_are_kept_for_the_next_session_without_any_name(tmp_path):
    path = tmp_path / "timings.json"
    timings = Timings(str(path))
    for number in range(KEPT + 3):
        timings.add("a", "cpu", "fp32", COMMON_SCAN, {**SECONDS, "encode": float(number)}, None)
    assert [entry.name for entry in tmp_path.iterdir()] == ["timings.json"]
    again = Timings(str(path))
    assert again.stages("a", "cpu", "fp32", COMMON_SCAN) == timings.stages("a", "cpu", "fp32", COMMON_SCAN)
    rows = json.loads(path.read_text())["runs"]["a cpu fp32"]
    assert len(rows) == KEPT and set(rows[0]) == {"voxels", "seconds", "peak_mib"}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": "other"}', '{"format": "uvlm-timings/1", "runs": 3}',
                                  '{"format": "uvlm-timings/1", "runs": {"a cpu fp32": [{"voxels": 0}, 7]}}'])
def test_a_damaged_file_of_times_is_begun_anew(tmp_path, text):
    path = tmp_path / "timings.json"
    path.write_text(text)
    timings = Timings(str(path))
    assert timings.stages("a", "cpu", "fp32", None) is None
    timings.add("a", "cpu", "fp32", 1000, SECONDS, 900)
    assert Timings(str(path)).stages("a", "cpu", "fp32", 1000)["encode"] == 4.0


def test_times_that_cannot_be_written_harm_nothing(tmp_path):
    timings = Timings(str(tmp_path / "absent" / "timings.json"))
    timings.add("a", "cpu", "fp32", 1000, SECONDS, 900)
    assert timings.stages("a", "cpu", "fp32", 1000)["encode"] == 4.0


def test_arithmetic_is_counted_as_torch_counts_it():
    import torch
    from torch.utils.flop_counter import FlopCounterMode
    from untrained_bundle import small_config

    from uvlm_core.model.uvlm import UVLM

    for config in (small_config(), preset("demo")):
        model, shape = UVLM(config).eval(), (32, 32, 48)
        with torch.inference_mode(), FlopCounterMode(display=False) as counter:
            model.segment(model.encode(torch.zeros(1, 1, *shape)))
        assert network_gflop(config, shape) == pytest.approx(counter.get_total_flops() / 1e9, rel=0.02)


def test_estimates_grow_with_the_model_and_shrink_with_the_machine():
    small, large = preset("demo"), preset("paper")
    assert common_grid(small) == (128, 112, 128) and common_grid(large) == (192, 256, 256)
    speed = machine_gflop_per_second()
    assert speed > 1 and machine_gflop_per_second() == speed
    assert estimate_seconds(small, 190) < 20 < estimate_seconds(large, 190)
    assert estimate_seconds(small, 380) == pytest.approx(estimate_seconds(small, 190) / 2, rel=0.1)
    assert estimate_seconds(large, 190, bf16=True) < 0.5 * estimate_seconds(large, 190)
    assert 1000 < estimate_memory_mib(small, 7_000_000) < 2500 < estimate_memory_mib(large, 90_000_000)
