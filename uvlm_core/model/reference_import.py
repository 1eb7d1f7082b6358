"""Tensors of nnU-Net's and the released code's checkpoints taken over into a model, by name, shape and meaning.

nnU-Net v2's ResEnc networks have the names that the released code took from them. Encoder, segmenter and injection are
taken over. Classes of the segmentation are matched by their label names, because the number of a class means another
organ in every data set. The released decoder's weights belong to its own position tables, so a model with other ones
(`language.rope` "rotation") does not take them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from uvlm_core.errors import BundleError
from uvlm_core.model.reference import reference_aliases, reference_names
from uvlm_core.model.uvlm import UVLM


@dataclass
class Imported:
    """`matched`: our tensor -> theirs; `left`: our tensor -> why it keeps its first weights; `unused`: their tensors
    that the model has no place for; `notes`: what a user should know of the checkpoint."""

    matched: dict[str, str] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)
    unused: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def import_tensors(model: UVLM, tensors: Mapping[str, Tensor], settings: Mapping[str, Any],
                   translate: Callable[[str], str | None] = lambda name: None) -> Imported:
    """Copies what fits from a checkpoint (of `load_reference_checkpoint`) into the model.

    `translate` gives this model's name of a foreign label, or None.

    Raises:
        BundleError: the checkpoint is of a network with other strides, or nothing of its encoder fits.
    """
    _check_strides(model, settings)
    plain = {".".join(word for word in name.split(".") if word not in ("module", "_orig_mod")): value
             for name, value in tensors.items()}
    classes = class_rows(model, settings, translate)
    parameters = dict(model.named_parameters())
    names = reference_names(model, known_only=True)
    done = Imported(notes=_notes(settings))
    taken = set()
    for theirs, target in names.items():
        own = target.of(parameters[target.name])
        reason = _refusal(model, target.name, own, plain.get(theirs), classes)
        if theirs in plain:
            taken.add(theirs)
        if reason:
            done.left[target.name] = reason
            continue
        with torch.no_grad():
            if target.name.startswith("segmenter.classify."):
                for row, number in classes.items():
                    own[row] = plain[theirs][number]
            else:
                own.copy_(plain[theirs])
        done.matched[target.name] = theirs
    done.left |= {name: "not in such checkpoints" for name in parameters
                  if name not in done.matched and name not in done.left}
    aliases = _all_aliases(model)
    done.unused = sorted(name for name in plain if name not in taken and aliases.get(name) not in taken)
    if not any(name.startswith("encoder.") for name in done.matched):
        raise BundleError("Nothing of the checkpoint's encoder fits this model: "
                          f"{next(iter(done.left.items()), ('', 'it has none'))[1]}. Choose a recipe with the "
                          "network's features and blocks (nnU-Net's ResEnc L has those of paper-chest).")
    return done


def _refusal(model: UVLM, name: str, own: Tensor, found: Tensor | None, classes: Mapping[int, int]) -> str:
    """Why the model's tensor is not replaced by the one that was found, or ""."""
    if found is None:
        return "missing in the checkpoint"
    if name.startswith("language.") and model.config.language.rope != "reference":
        return "the released decoder has other position tables"
    if name.startswith("segmenter.classify."):
        if not classes:
            return "the checkpoint does not name its classes, or none is one of this model"
        if found.shape[1:] != own.shape[1:] or max(classes.values()) >= found.shape[0]:
            return f"{tuple(found.shape)} in the checkpoint, {tuple(own.shape)} here"
        return ""
    return "" if found.shape == own.shape else f"{tuple(found.shape)} in the checkpoint, {tuple(own.shape)} here"


def class_rows(model: UVLM, settings: Mapping[str, Any], translate: Callable[[str], str | None]) -> dict[int, int]:
    """Channel of this model -> channel of the checkpoint, for classes of the same label in nnU-Net's dataset.json."""
    labels = ((settings.get("init_args") or {}).get("dataset_json") or {}).get("labels") or {}
    theirs: dict[str, int] = {}
    for name, number in labels.items():
        if isinstance(number, int):  # a region is a list of several
            theirs.setdefault(name if name in model.config.labels else translate(name) or name, number)
    return {row: theirs[name] for row, name in enumerate(model.config.labels) if name in theirs}


def _architecture(settings: Mapping[str, Any]) -> dict[str, Any]:
    """nnU-Net's architecture arguments as they stand in its plans, or those of the released trainers."""
    arguments = settings.get("init_args") or {}
    configuration = ((arguments.get("plans") or {}).get("configurations") or {}).get(arguments.get("configuration"), {})
    return ((configuration.get("architecture") or {}).get("arch_kwargs")
            or arguments.get("network_arch_init_kwargs") or {})


def _check_strides(model: UVLM, settings: Mapping[str, Any]) -> None:
    strides = _architecture(settings).get("strides")
    if strides is None:
        return
    theirs = tuple(tuple(row) if isinstance(row, list) else (row,) * 3 for row in strides)
    if theirs != model.config.encoder.strides:
        raise BundleError(f"The checkpoint's network strides by {theirs} (z, y, x), this model by "
                          f"{model.config.encoder.strides}. Give the model those strides in its recipe.")


def _notes(settings: Mapping[str, Any]) -> list[str]:
    arguments = settings.get("init_args") or {}
    plans = arguments.get("plans") or {}
    configuration = (plans.get("configurations") or {}).get(arguments.get("configuration"), {})
    notes = []
    if configuration.get("spacing"):
        notes.append(f"trained at a spacing of {configuration['spacing']} mm (z, y, x)")
    if configuration.get("normalization_schemes"):
        notes.append(f"trained on intensities by {', '.join(configuration['normalization_schemes'])}, not on UVLM's HU "
                     "curve: train the segmentation stage for a while before the others")
    return notes


def _all_aliases(model: UVLM) -> dict[str, str]:
    """Second names of the checkpoint's tensors, of the parts that this model shares with the released code."""
    names = reference_names(model, known_only=True)
    return {alias: name for alias, name in reference_aliases(model, known_only=True).items() if name in names}
