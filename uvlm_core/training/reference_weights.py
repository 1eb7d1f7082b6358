"""`uvlm reference import`: start weights of a recipe's model from somebody else's checkpoint."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from uvlm_core.errors import BundleError
from uvlm_core.files import replace_tensors, replace_text
from uvlm_core.model.reference_checkpoint import load_reference_checkpoint
from uvlm_core.model.reference_import import Imported, import_tensors
from uvlm_core.training.building import build_model
from uvlm_core.training.real_scan import translate
from uvlm_core.training.recipe import load_recipe

SHOWN = 8


def import_command(checkpoint: Path, out: Path, recipe: str) -> list[str]:
    """Writes the weights for ``uvlm train RECIPE --start OUT`` and beside them what matched; gives lines for people.

    Raises:
        BundleError: the checkpoint cannot be read or does not fit.
    """
    out = Path(out)
    if out.suffix != ".safetensors":
        raise BundleError(f"Weights are written as .safetensors; found the name {out.name}.")
    model = build_model(load_recipe(recipe))
    done = import_tensors(model, *load_reference_checkpoint(checkpoint), translate)
    out.parent.mkdir(parents=True, exist_ok=True)
    replace_tensors(out, {name: value.detach().contiguous().clone() for name, value in model.state_dict().items()})
    listing = replace_text(out.with_suffix(".json"), json.dumps({"checkpoint": str(checkpoint), **asdict(done)},
                                                                indent=1) + "\n")
    return [*_summary(done), f"Weights: {out}", f"All names: {listing}"]


def _summary(done: Imported) -> list[str]:
    matched, left = (Counter(name.split(".")[0] for name in rows) for rows in (done.matched, done.left))
    lines = [f"{part:10} {matched[part]} of {matched[part] + left[part]} tensors taken over"
             for part in dict.fromkeys([*matched, *left])]
    reasons: dict[str, list[str]] = {}
    for name, reason in done.left.items():
        if matched[name.split(".")[0]] or reason != "not in such checkpoints":
            reasons.setdefault(reason, []).append(name)
    for reason, names in reasons.items():
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        lines.append(f"Left at first weights ({reason}): {', '.join(names[:SHOWN])}{more}")
    if done.unused:
        more = f" and {len(done.unused) - SHOWN} more" if len(done.unused) > SHOWN else ""
        lines.append(f"Not used: {', '.join(done.unused[:SHOWN])}{more}")
    return lines + [f"Note: {text}" for text in done.notes]
