"""A bundle: one folder that holds a whole model and can be checked before anything of it is used.

`bundle.json` says what the model is and names every other file with its size and sha256. Weights are safetensors:
loading a bundle never executes anything that came with it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from uvlm_core.errors import BundleError, UVLMError
from uvlm_core.files import replace_tensors

FORMAT = "uvlm-bundle/1"
MANIFEST, WEIGHTS, TOKENIZER, CARD = "bundle.json", "model.safetensors", "tokenizer.json", "MODEL_CARD.md"
FILES = (WEIGHTS, TOKENIZER, CARD)


@dataclass(frozen=True)
class BundleInfo:
    """What `bundle.json` says.

    `thresholds` maps finding -> probability from which it counts as present; `assessed` lists the findings that the
    model was trained to tell; `part_limits` maps lesion label -> mean probability below which a part of its mask is
    taken for a false alarm; `size_limit` is the one from which the text gives a lesion's size (bundles of earlier
    versions have neither); `figures` are measured results; `files` maps
    name -> {"sha256", "bytes"}.
    """

    name: str
    version: str
    licence: str
    intended_use: str
    config: dict
    thresholds: dict[str, float]
    assessed: list[str]
    training_data: str
    figures: dict = field(default_factory=dict)
    created: str = ""
    format: str = FORMAT
    files: dict[str, dict] = field(default_factory=dict)
    part_limits: dict[str, float] = field(default_factory=dict)
    size_limit: float = 0.9


@dataclass(frozen=True)
class Bundle:
    """A loaded bundle: `model` in evaluation mode, `tokenizer`, `info`, and `sha256` of its bundle.json."""

    model: object
    tokenizer: object
    info: BundleInfo
    sha256: str
    folder: Path


def save_bundle(folder: Path, model, tokenizer_json: str, card: str, info: BundleInfo, half: bool = True) -> None:
    """Writes a bundle beside `folder` and puts it in its place when it is complete.

    Args:
        model: a UVLM whose parameters are all finite.
        half: store the weights in 16 bit.
    """
    folder = Path(folder)
    beside = folder.with_name(folder.name + ".writing")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    tensors = {}
    for name, value in own_tensors(model).items():
        value = value.detach().cpu()
        if value.is_floating_point():
            value = value.half() if half else value.float()
            if not value.isfinite().all():
                raise BundleError(f"The weights {name} hold numbers that are not finite; this model cannot be saved. "
                                  "Train it again with a lower rate.")
        tensors[name] = value.contiguous().clone()
    replace_tensors(beside / WEIGHTS, tensors, {"format": FORMAT})
    (beside / TOKENIZER).write_text(tokenizer_json, "utf-8")
    (beside / CARD).write_text(card, "utf-8")
    files = {name: {"sha256": _sha256(beside / name), "bytes": (beside / name).stat().st_size} for name in FILES}
    values = {**asdict(info), "config": model.config.to_dict(), "files": files, "format": FORMAT}
    (beside / MANIFEST).write_text(json.dumps(values, indent=1, ensure_ascii=True) + "\n", "utf-8")
    _replace(beside, folder)


def own_tensors(model) -> dict:
    """The state of a model, name -> tensor, without second names of tied tensors."""
    seen, own = set(), {}
    for name, value in model.state_dict(keep_vars=True).items():
        if id(value) not in seen:
            seen.add(id(value))
            own[name] = value
    return own


def _replace(beside: Path, folder: Path) -> None:
    old = folder.with_name(folder.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        os.replace(folder, old)
    os.replace(beside, folder)
    shutil.rmtree(old, ignore_errors=True)


def read_info(folder: str | Path) -> BundleInfo:
    """`bundle.json` alone. Raises BundleError with the reason where that is none of ours."""
    folder = Path(folder)
    if folder.is_file():
        raise BundleError(f"{folder} is a file; a bundle is a folder with {MANIFEST}. Checkpoints of other programs "
                          "(.pth, .ckpt) are not opened, because opening them can run code.")
    path = folder / MANIFEST
    if not path.exists():
        raise BundleError(f"There is no {MANIFEST} in {folder}; choose the folder of a UVLM bundle.")
    try:
        values = json.loads(path.read_text("utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BundleError(f"{path} is damaged: {error}. Copy the bundle again.") from error
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        found = values.get("format") if isinstance(values, dict) else type(values).__name__
        raise BundleError(f"{path} has the format '{found}', expected '{FORMAT}'. It was made for another version or "
                          "another program.")
    known = {entry.name for entry in fields(BundleInfo)}
    unknown, missing = sorted(set(values) - known), sorted(known - {"part_limits", "size_limit"} - set(values))
    if unknown or missing:
        raise BundleError(f"{path} does not fit: unknown entries {unknown}, missing entries {missing}.")
    _check_values(values, path)
    return BundleInfo(**values)


def _check_values(values: dict, path: Path) -> None:
    """Raises BundleError that names the first entry of another type than ours."""
    kinds = {"config": dict, "thresholds": dict, "part_limits": dict, "figures": dict, "files": dict, "assessed": list,
             "size_limit": (int, float)}
    wrong = [name for name, value in values.items() if not isinstance(value, kinds.get(name, str))]
    if not wrong:
        wrong += [name for name in ("thresholds", "part_limits") if not all(
            type(value) in (int, float) and 0 <= value <= 1 for value in values.get(name, {}).values())]
        if not 0 <= values.get("size_limit", 0.9) <= 1:
            wrong.append("size_limit")
        if not all(isinstance(entry, dict) and {"sha256", "bytes"} <= set(entry) for entry in values["files"].values()):
            wrong.append("files")
    if wrong:
        raise BundleError(f"{path} is damaged: its {', '.join(wrong)} are not what a bundle has there. Copy the bundle "
                          "again.")


def verify_bundle(folder: str | Path) -> BundleInfo:
    """Checks every file against its size and hash.

    Raises:
        BundleError: the first thing that is wrong: foreign, missing, truncated or altered files.
    """
    folder, info = Path(folder), read_info(folder)
    if set(info.files) != set(FILES):
        raise BundleError(f"{folder / MANIFEST} lists the files {sorted(info.files)}, expected {sorted(FILES)}.")
    for name, entry in info.files.items():
        path = folder / name
        if path.is_symlink() or not path.is_file():
            raise BundleError(f"The bundle's file {name} is missing or not a plain file. Copy the bundle again.")
        size = path.stat().st_size
        if size != entry.get("bytes"):
            raise BundleError(f"{name} has {size} bytes, expected {entry.get('bytes')}: it was cut off or changed. "
                              "Copy the bundle again.")
        if _sha256(path) != entry.get("sha256"):
            raise BundleError(f"{name} was changed after the bundle was made (its sha256 differs). "
                              "Use the original bundle.")
    return info


def load_bundle(folder: str | Path, device: str = "cpu") -> Bundle:
    """Verifies and loads a bundle; the model is in evaluation mode, in float32 on `device`.

    Raises:
        BundleError: a check of `verify_bundle` fails, or weights, labels or tokenizer do not fit the configuration.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from uvlm_core.model.config import ModelConfig
    from uvlm_core.model.tokenizer import Tokenizer
    from uvlm_core.model.uvlm import UVLM

    folder, info = Path(folder), verify_bundle(folder)
    try:
        config = ModelConfig.from_dict(info.config)
        tensors = load_file(folder / WEIGHTS)
    except (UVLMError, SafetensorError) as error:
        raise BundleError(f"The bundle {folder} cannot be loaded: {error}") from error
    own = config.language is None or config.language.backend == "own"
    with torch.device("meta") if own else nullcontext():  # no time for first weights that are replaced at once
        model = UVLM(config)
    _check_tensors(model, tensors)
    if own:  # a model of transformers keeps tables that are in no file
        model.to_empty(device="cpu")
    model.load_state_dict({name: value.float() if value.is_floating_point() else value
                           for name, value in tensors.items()}, strict=False)
    tokenizer = Tokenizer.from_file(folder / TOKENIZER)
    if config.language is not None and tokenizer.size > config.language.vocabulary:
        raise BundleError(f"The tokenizer has {tokenizer.size} tokens, the model {config.language.vocabulary}.")
    unknown = sorted(set(info.thresholds) - set(config.findings))
    if unknown:
        raise BundleError(f"The bundle has thresholds for findings that its model does not know: {unknown}.")
    unknown = sorted(set(info.part_limits) - set(config.labels))
    if unknown:
        raise BundleError(f"The bundle has part_limits for labels that its model does not know: {unknown}.")
    return Bundle(model.to(device).eval(), tokenizer, info, _sha256(folder / MANIFEST), folder)


def _check_tensors(model, tensors: dict) -> None:
    own = own_tensors(model)
    wrong = [f"{name} is missing" for name in own if name not in tensors]
    wrong += [f"{name} is unknown" for name in tensors if name not in own]
    wrong += [f"{name} is {tuple(tensors[name].shape)} instead of {tuple(value.shape)}" for name, value in own.items()
              if name in tensors and tensors[name].shape != value.shape]
    wrong += [f"{name} holds numbers that are not finite" for name, value in tensors.items()
              if value.is_floating_point() and not bool(value.isfinite().all())]
    if wrong:
        raise BundleError(f"The weights do not fit the bundle's configuration: {'; '.join(wrong[:4])}"
                          f"{f' and {len(wrong) - 4} more' if len(wrong) > 4 else ''}.")


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
