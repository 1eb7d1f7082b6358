"""A language model of Hugging Face shared out over the processes that train it (FSDP2 of torch).

Each process keeps its part of every weight of the decoder, with the gradient, the moments of the optimizer and the
averaged weight that belong to it; the whole weights of a layer are there only while it computes. Encoder and heads are
small beside it: every process keeps them whole, and their gradients are averaged. `accelerate launch --use_fsdp
--fsdp_version 2` asks for it; on CPUs alone, where accelerate does not know it, the variable ACCELERATE_USE_FSDP=true.

The decoder must fit on each device once, without gradients and moments: it is whole before and after a stage.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, distributed, nn

from uvlm_core.errors import RecipeError

VERSION = "2"
YES = ("1", "true", "yes")


def wanted() -> bool:
    """Whether the processes were launched to share out the language model.

    Raises:
        RecipeError: in a way that is not supported.
    """
    if os.environ.get("ACCELERATE_USE_FSDP", "").lower() not in YES:
        return False
    if os.environ.get("FSDP_VERSION", VERSION) != VERSION:
        raise RecipeError(f"FSDP is used in its version 2; found {os.environ['FSDP_VERSION']}. Launch it with "
                          f"--fsdp_version {VERSION}.")
    if os.environ.get("FSDP_OFFLOAD_PARAMS", "").lower() in YES:
        raise RecipeError("FSDP is used without offloading to the CPU. Launch it with --fsdp_offload_params false.")
    return True


def is_shared(value: object) -> bool:
    """Whether a tensor is one process's part of a whole."""
    return hasattr(value, "full_tensor")


def has_shared(model: nn.Module) -> bool:
    """Whether the model's decoder is shared out."""
    return any(is_shared(value) for value in model.parameters())


def share_language(model: nn.Module) -> None:
    """Shares the decoder out, in place, where it is one of Hugging Face and is trained; else nothing happens."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    from uvlm_core.model.hf_model import decoder_layers

    decoder = getattr(model, "language", None)
    if not hasattr(decoder, "causal_lm") or not any(value.requires_grad for value in decoder.parameters()):
        return
    device = next(decoder.parameters()).device.type
    mesh = init_device_mesh(device, (distributed.get_world_size(),))
    again = os.environ.get("FSDP_RESHARD_AFTER_FORWARD", "true").lower() in (*YES, "full_shard")
    for layer in decoder_layers(decoder.causal_lm):
        fully_shard(layer, mesh=mesh, reshard_after_forward=again)
    single = {value for value in decoder.parameters() if value.ndim == 0}  # one number cannot be shared out
    fully_shard(decoder, mesh=mesh, ignored_params=single)


def make_whole(model: nn.Module, values: Mapping[str, Tensor]) -> None:
    """Loads whole values and, where the decoder was shared out, puts a whole one with them in its place.

    Args:
        values: of `gathered`; those that are missing keep what they are.
    """
    if has_shared(model):
        values = {**gathered({name: value for name, value in model.state_dict().items() if name not in values}),
                  **values}
        device, training = next(model.language.parameters()).device, model.language.training
        config, layers = model.language.config, model.language.layers_per_group
        kind = type(model.language).__mro__[2]  # FSDP made a class of it with its own as a base
        model.language = None  # before there is another one
        model.language = kind(config, layers).to(device).train(training)
    model.load_state_dict(values, strict=False)


def gathered(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The whole tensors, those that were shared out in main memory; all processes call it."""
    return {name: value.full_tensor().cpu() if is_shared(value) else value for name, value in values.items()}


def as_shared(value: Tensor, like: Tensor) -> Tensor:
    """A whole tensor on the device of another one, shared out as that is; all processes call it."""
    value = value.to(like.device)
    if not is_shared(like):
        return value
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(value, like.device_mesh, like.placements)


def synchronise(model: nn.Module, wished: bool) -> None:
    """Whether the next way back averages the gradients of what is shared out."""
    if has_shared(model):
        model.language.set_requires_gradient_sync(wished)


def average_gradients(parameters: Sequence[nn.Parameter]) -> None:
    """The mean gradient over the processes, of all that is not shared out; without a gradient counts as zero, and
    without one in any process it stays so."""
    whole = [parameter for parameter in parameters if not is_shared(parameter)]
    if not whole:
        return
    flat = torch.cat([torch.zeros_like(row).flatten() if row.grad is None else row.grad.flatten() for row in whole])
    there = torch.tensor([float(row.grad is not None) for row in whole], device=flat.device)
    distributed.all_reduce(flat)
    distributed.all_reduce(there)
    flat /= distributed.get_world_size()
    for parameter, part, known in zip(whole, flat.split([row.numel() for row in whole]), there.tolist(), strict=True):
        parameter.grad = part.view_as(parameter).clone() if known else None


def clip_gradients(parameters: Sequence[nn.Parameter], most: float) -> Tensor:
    """`clip_grad_norm_` over whole and shared gradients; the norm before."""
    grads = [parameter.grad for parameter in parameters if parameter.grad is not None]
    squares = torch.zeros(2, device=grads[0].device)  # of whole ones, which all have, and of shared ones
    for grad in grads:
        squares[int(is_shared(grad))] += (grad.to_local() if is_shared(grad) else grad).float().square().sum()
    shared = squares[1:].clone()
    distributed.all_reduce(shared)
    norm = (squares[0] + shared[0]).sqrt()
    factor = (most / (norm + 1e-6)).clamp(max=1.0)
    for grad in grads:
        (grad.to_local() if is_shared(grad) else grad).mul_(factor)
    return norm
