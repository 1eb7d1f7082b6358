"""The processes that train together: this one alone, or those that `accelerate launch` started on one or many machines.

One process trains with plain torch, whether accelerate is installed or not. Several need accelerate: it joins them,
gives each its device and averages their gradients. Their work does not depend on how many they are: a step's cases
are drawn from (seed, step, row), and every process computes its share of them (`Part`).

All processes see the same run folder. The main process writes it; tokens and cases are made by all of them, each file
by one.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, distributed, nn

from uvlm_core.errors import RecipeError
from uvlm_core.training import sharding

LONGEST_WAIT = timedelta(hours=6)  # of the others while one prepares data


@dataclass(frozen=True)
class Part:
    """What a process computes at once: its share of one part (of `accumulate`) of a step.

    `number` counts the parts of a run; what is random is drawn from (seed, number). `following` is the number of this
    process's next part. The cases of the part are shared by `shares` processes, of which this is number `share`.
    """

    number: int
    following: int
    share: int = 0
    shares: int = 1

    def rows(self, batch: int) -> range:
        """Which of the `batch` cases of the part are this process's."""
        size = batch // self.shares
        return range(self.share * size, (self.share + 1) * size)


def parts_of_step(step: int, batch: int, accumulate: int, rank: int = 0, count: int = 1) -> list[Part]:
    """The parts of a step that process `rank` of `count` computes.

    The parts of a step are shared out first, then the cases of each part.

    Raises:
        RecipeError: the cases of a step cannot be shared equally.
    """
    groups = math.gcd(count, accumulate)
    shares = count // groups
    if batch % shares:
        raise RecipeError(
            f"{count} processes cannot share steps of batch {batch} and accumulate {accumulate} equally. "
            f"Start {math.gcd(count, batch * accumulate)} processes, or make batch a multiple of {shares}."
        )
    group, share = divmod(rank, shares)
    size = accumulate // groups
    first = step * accumulate + group * size
    numbers = [*range(first, first + size), first + accumulate]
    return [Part(number, following, share, shares) for number, following in pairwise(numbers)]


def join(device: str) -> torch.device:
    """Joins the processes that were launched together, if there are several; gives this one's device.

    Raises:
        RecipeError: several were launched and accelerate is missing or set to a way of sharing that is not used here.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) <= 1:
        return torch.device(device)
    return _accelerator(device == "cpu").device


@cache
def _accelerator(on_cpu: bool):
    try:
        from accelerate import Accelerator
        from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs
    except ImportError as error:
        raise RecipeError("Several processes train together through accelerate, which is not installed: "
                          "pip install 'slicer-uvlm[train]'.") from error
    made = Accelerator(cpu=on_cpu, mixed_precision="no", kwargs_handlers=[  # the recipe sets the precision
        DistributedDataParallelKwargs(find_unused_parameters=True),  # a stage leaves parts of the model out
        InitProcessGroupKwargs(timeout=LONGEST_WAIT),
    ])
    sharding.wanted()  # or it is refused
    if made.distributed_type.value not in ("MULTI_CPU", "MULTI_GPU", "FSDP"):
        made.end_training()
        raise RecipeError(f"accelerate was launched as {made.distributed_type.value}. UVLM trains on whole copies of "
                          "the model (--multi_gpu) or shares out its language model (--use_fsdp --fsdp_version 2).")
    return made


def _joined() -> bool:
    return distributed.is_available() and distributed.is_initialized()


def rank() -> int:
    """Number of this process, 0 is the main one."""
    return distributed.get_rank() if _joined() else 0


def count() -> int:
    """How many train together."""
    return distributed.get_world_size() if _joined() else 1


def is_main() -> bool:
    """Whether this process writes the run folder."""
    return rank() == 0


def wait() -> None:
    """Until all have come here."""
    if _joined():
        _accelerator_in_use().wait_for_everyone()


def mine(rows: Sequence) -> Sequence:
    """Every `count`-th of the rows: this process's share of work whose order does not matter."""
    return rows[rank() :: count()]


def mean_over_processes(values: Sequence[float]) -> list[float]:
    """Means of figures that every process has."""
    return list(values) if count() == 1 else (sum_over_processes(np.array(values, float)) / count()).tolist()


def some_process(says: bool) -> bool:
    """Whether at least one process says so; waits until all have come here."""
    return mean_over_processes([says])[0] > 0


def sum_over_processes(values: np.ndarray) -> np.ndarray:
    """Sums of arrays that every process has."""
    if count() == 1:
        return values
    device = _accelerator_in_use().device
    total = torch.from_numpy(values).to(device)
    distributed.all_reduce(total)
    return total.cpu().numpy()


def same_everywhere(value):
    """The main process's value, which others may have computed a little differently."""
    if count() == 1:
        return value
    box = [value]
    distributed.broadcast_object_list(box, device=_accelerator_in_use().device)
    return box[0]


class SharedStep(nn.Module):
    """The loss of a part as a module, so that gradients are averaged while they are computed.

    With several processes, `backward` of the last part of a step leaves in every process the mean gradient.
    """

    def __init__(self, model: nn.Module, loss):
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, part: Part) -> tuple[Tensor, dict[str, float]]:
        return self.loss(self.model, part)


def share_model(model: nn.Module) -> None:
    """Shares out the model's decoder, if that was asked for; before there is an optimizer."""
    if _sharding():
        sharding.share_language(model)


def share_step(step: SharedStep) -> nn.Module:
    """The step as every process calls it."""
    return step if count() == 1 or _sharding() else _accelerator_in_use().prepare_model(step, device_placement=False)


def release() -> None:
    """Lets go of the steps that were shared."""
    if _joined():
        _accelerator_in_use().free_memory()


@contextmanager
def gradients_stay(step: nn.Module, last: bool) -> Iterator[None]:
    """Gradients of all but the last part of a step are only added up in each process."""
    if _sharding():
        sharding.synchronise(step.model, last)
    with nullcontext() if last or count() == 1 or _sharding() else step.no_sync():
        yield


def clip_gradients(parameters: Sequence[nn.Parameter], most: float) -> Tensor:
    """Shortens the gradient of a step to the norm `most`; gives its norm before."""
    if not _sharding():
        return nn.utils.clip_grad_norm_(parameters, most)
    sharding.average_gradients(parameters)
    return sharding.clip_gradients(parameters, most)


def same_number(rows: Sequence, total: int) -> Iterator[tuple[object, bool]]:
    """(row, whether it counts) of this process's share of `total` rows. With a decoder that is shared out all processes
    must call it equally often: those with one row less get their last, or the first of all, once more."""
    yield from ((row, True) for row in rows)
    if _sharding() and len(rows) < math.ceil(total / count()):
        yield (rows[-1] if len(rows) else 0), False


def _sharding() -> bool:
    return count() > 1 and sharding.wanted()


def _accelerator_in_use():
    return _accelerator(distributed.get_backend() == "gloo")
