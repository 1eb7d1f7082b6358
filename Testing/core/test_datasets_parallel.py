"""Many cases in several processes: one that fails or dies does not stop the others."""

from __future__ import annotations

import os
import time

import pytest

from uvlm_core.datasets.parallel import worked
from uvlm_core.errors import Cancelled, CaseError


def work(number: int) -> int:
    if number == 3:
        raise ValueError("three")
    if number == 5:
        os._exit(9)  # as the system does to a process that takes too much memory
    return number * number


def slow(number: int) -> int:
    time.sleep(60)
    return number


def test_a_dead_process_costs_one_task():
    results = {task[0]: result for task, result in worked(work, ((number,) for number in range(12)), jobs=2)}
    assert sorted(results) == list(range(12))
    assert isinstance(results[3], ValueError) and isinstance(results[5], CaseError) and "--jobs" in str(results[5])
    assert all(results[number] == number * number for number in results if number not in (3, 5))


def test_in_one_process():
    results = dict(worked(work, [(1,), (3,), (4,)]))
    assert results[(1,)] == 1 and results[(4,)] == 16 and str(results[(3,)]) == "three"
    with pytest.raises(CaseError, match="at least 1"):
        list(worked(work, [(1,)], jobs=0))


@pytest.mark.parametrize("jobs", [1, 2])
def test_cancel_ends_running_tasks(jobs):
    begin = time.monotonic()
    with pytest.raises(Cancelled):
        for _ in worked(work if jobs == 1 else slow, ((number,) for number in range(100)), jobs, lambda: True):
            pass
    assert time.monotonic() - begin < 30
