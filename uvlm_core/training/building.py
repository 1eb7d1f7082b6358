"""The model of a recipe: from a preset, a bundle, or around a language model; its tokenizer and its start weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from uvlm_core.errors import RecipeError
from uvlm_core.files import replace_text
from uvlm_core.model.bundle import MANIFEST, own_tensors, read_info, verify_bundle
from uvlm_core.model.classifier import with_part_evidence
from uvlm_core.model.config import ModelConfig, preset
from uvlm_core.model.fixed_norm import use_fixed_norms
from uvlm_core.model.tokenizer import VISION_END, VISION_START, shifted_tokenizer
from uvlm_core.model.uvlm import UVLM
from uvlm_core.resources import resource
from uvlm_core.training.recipe import Recipe
from uvlm_core.training.vocabulary import TOKENIZER
from uvlm_core.volumes.grid import GridSpec


def train_only(model: UVLM, parts: tuple[str, ...] | None) -> None:
    """Freezes every part of the model that is not named; None leaves all as they are."""
    if parts is not None:
        for name, value in model.named_parameters():
            if name.split(".")[0] not in parts:
                value.requires_grad_(False)


def build_model(recipe: Recipe) -> UVLM:
    """The recipe's model with its seeded first weights; those of the recipe's language model are loaded."""
    config = recipe_config(recipe)
    torch.manual_seed(recipe.seed)
    model = UVLM(config)
    if recipe.bundle is None and recipe.language_model is not None:
        model.language.load_pretrained(_language_model(recipe)[0])
    return model


def recipe_config(recipe: Recipe) -> ModelConfig:
    """The configuration of the recipe's model; its vocabulary has room for `recipe.tokenizer_size` entries, or for
    those of the recipe's bundle or language model."""
    if recipe.bundle is not None:
        return ModelConfig.from_dict(read_info(bundle_folder(recipe)).config)
    config = preset(recipe.preset, recipe.tokenizer_size).to_dict()
    size = recipe.tokenizer_size
    if recipe.language_model is not None:
        from uvlm_core.model.hf_model import language_entries

        folder, lora = _language_model(recipe)
        config["language"] |= language_entries(folder, lora)
        size = config["language"]["vocabulary"]
    for part, changes in recipe.model.items():
        config[part] = {**config[part], **changes} if isinstance(changes, dict) else changes
    return ModelConfig.from_dict(config).with_vocabulary(size, VISION_START, VISION_END)


def started_from(recipe: Recipe, start: str | Path | None) -> tuple[Recipe, Path | None]:
    """The recipe with the bundle `start` as its own, and None; or the recipe as it is, and the weights `start`."""
    if start is not None and (Path(start) / MANIFEST).exists():
        return replace(recipe, bundle=str(Path(start).absolute())), None
    return recipe, None if start is None else Path(start)


def recipe_grid(recipe: Recipe) -> GridSpec:
    """The grid of a recipe's model, without making the model."""
    if recipe.bundle is not None:
        return ModelConfig.from_dict(read_info(bundle_folder(recipe)).config).grid
    config = preset(recipe.preset, recipe.tokenizer_size).to_dict()
    return ModelConfig.from_dict({**config, "grid": {**config["grid"], **recipe.model.get("grid", {})}}).grid


def bundle_folder(recipe: Recipe) -> Path:
    """The bundle that the recipe starts from."""
    return resource("Models", "demo") if recipe.bundle == "demo" else Path(recipe.bundle)


def _language_model(recipe: Recipe) -> tuple[Path, dict | None]:
    """Folder and LoRA settings of the recipe's language model."""
    return Path(recipe.language_model["folder"]), recipe.language_model.get("lora")


def keep_tokenizer(recipe: Recipe, out: Path) -> None:
    """The tokenizer of the recipe's bundle or language model as the run's own."""
    path = out / TOKENIZER
    if recipe.bundle is not None and not path.exists():
        verify_bundle(bundle_folder(recipe))
        replace_text(path, (bundle_folder(recipe) / TOKENIZER).read_text("utf-8"))
    if recipe.language_model is not None and not path.exists():
        folder, _ = _language_model(recipe)
        try:
            text = (folder / "tokenizer.json").read_text("utf-8")
        except OSError as error:
            raise RecipeError(f"{folder} has no tokenizer.json that can be read: {error}.") from error
        replace_text(path, shifted_tokenizer(text))


def load_weights(model: UVLM, path: Path) -> None:
    """Loads weights of an earlier stage. Raises RecipeError that names what is missing, unknown or of another shape."""
    try:
        tensors, own = with_part_evidence(load_file(path), model.config), model.state_dict()
    except (OSError, SafetensorError) as error:
        reason = "it is damaged or no safetensors file" if Path(path).is_file() else "there is no such file"
        raise RecipeError(f"The weights {path} cannot be read: {reason}. Give other weights, or delete the folder of "
                          "the stage that they belong to; the same command then trains it again.") from error
    if any(name.endswith(".norm.variance") for name in tensors):
        use_fixed_norms(model)
        own = model.state_dict()
    wrong = [f"{name} is missing" for name in own_tensors(model) if name not in tensors]
    wrong += [f"{name} is unknown" for name in tensors if name not in own]
    wrong += [f"{name} is {tuple(tensors[name].shape)} instead of {tuple(value.shape)}" for name, value in own.items()
              if name in tensors and tensors[name].shape != value.shape]
    if wrong:
        more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise RecipeError(f"{path} does not fit this model: {'; '.join(wrong[:5])}{more}. "
                          "Start from weights of the same preset and labels.")
    model.load_state_dict(tensors, strict=False)  # a bundle has no second names of tied tensors
