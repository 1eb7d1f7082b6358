"""Work on many cases in several processes; a case that fails, or kills its process, does not stop the others."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context

from uvlm_core.errors import Cancelled, CaseError

AHEAD = 2  # tasks per process that wait in its queue


def worked(function: Callable, tasks: Iterable[tuple], jobs: int = 1,
           cancel: Callable[[], bool] = lambda: False) -> Iterator[tuple[tuple, object]]:
    """Yields (task, function(*task)) as they are ready, in any order; an exception is yielded in place of a result.

    Args:
        function: of a module, so that another process finds it; with `jobs` 1 it runs in this process.
        tasks: tuples of arguments; taken only as fast as they are worked on.
        cancel: asked between results.

    Raises:
        Cancelled: `cancel` said so; running tasks are ended.
    """
    if jobs < 1:
        raise CaseError(f"--jobs is at least 1; found {jobs}.")
    if jobs == 1:
        for task in tasks:
            _ask(cancel)
            yield task, _outcome(function, task)
        return
    waiting = iter(tasks)
    lost: list[tuple] | None = []
    while lost is not None:
        # after a process died nobody knows which task it was, so those in flight are tried again one by one
        for task in lost:
            yield task, _alone(function, task)
        lost = yield from _in_pool(function, waiting, jobs, cancel)


def _in_pool(function, waiting: Iterator[tuple], jobs: int, cancel):
    """Works until the tasks are done (returns None) or a process dies (returns the tasks in flight)."""
    pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_one_thread)
    running: dict[Future, tuple] = {}
    try:
        while True:
            while len(running) < jobs * AHEAD and (task := next(waiting, None)) is not None:
                running[pool.submit(function, *task)] = task
            if not running:
                return None
            done, _ = wait(running, timeout=0.5, return_when=FIRST_COMPLETED)
            _ask(cancel)
            for future in done:
                if isinstance(future.exception(), BrokenProcessPool):
                    return list(running.values())
                task = running.pop(future)
                yield task, future.exception() or future.result()
    except BrokenProcessPool:  # while submitting
        return [*running.values(), task]
    finally:
        processes = list((pool._processes or {}).values())
        pool.shutdown(wait=False, cancel_futures=True)
        for process in processes if running else ():
            process.terminate()


def _alone(function, task: tuple):
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
        try:
            return pool.submit(function, *task).result()
        except BrokenProcessPool:
            return CaseError("the process that worked on it died, most likely for want of memory. Use fewer --jobs.")
        except Exception as error:
            return error


def _outcome(function, task: tuple):
    try:
        return function(*task)
    except Exception as error:
        return error


def _one_thread() -> None:
    """Processes share the processors; threads inside them would only wait for each other."""
    import signal

    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; the parent ends its workers


def _ask(cancel) -> None:
    if cancel():
        raise Cancelled("Stopped.")
