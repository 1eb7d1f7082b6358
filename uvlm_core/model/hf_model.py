"""Causal language models of Hugging Face: built from their configuration, their weights read from safetensors.

Only architectures that are part of transformers; no code and no pickle that comes with a model is ever executed, and
nothing is downloaded.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from uvlm_core.errors import RecipeError
from uvlm_core.model.config import LanguageConfig
from uvlm_core.model.tokenizer import SPECIALS

NOT_KEPT = ("_name_or_path", "architectures", "transformers_version", "torch_dtype", "dtype", "use_cache")
ATTENTION_NAMES = ("self_attn", "attn", "attention", "self_attention")
# rank and alpha of the paper
LORA_DEFAULTS = {"rank": 64, "alpha": 128, "dropout": 0.05, "targets": ("q_proj", "k_proj", "v_proj", "o_proj")}


def build_causal_lm(config: LanguageConfig) -> nn.Module:
    """The language model with first weights; with `config.lora` its own weights are frozen and low-rank ones added.

    Raises:
        RecipeError: transformers or peft is missing, or the architecture is not part of transformers.
    """
    try:
        from transformers import AutoConfig, AutoModelForCausalLM
    except ImportError as error:
        raise RecipeError("This decoder is a language model of Hugging Face, for which transformers is needed: "
                          "pip install 'slicer-uvlm[hf]'.") from error
    values = dict(config.causal_lm)
    try:
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**values), dtype=torch.float32,
                                                 trust_remote_code=False)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RecipeError(f"The language model '{values.get('model_type')}' cannot be built: {error}.") from error
    hidden, vocabulary = model.config.hidden_size, model.config.vocab_size + len(SPECIALS)
    if (hidden, vocabulary) != (config.width, config.vocabulary):
        raise RecipeError(f"The language model has width {hidden} and {vocabulary} tokens, UVLM's six included; "
                          f"language.width is {config.width} and language.vocabulary {config.vocabulary}.")
    return model if config.lora is None else _with_lora(model, config.lora)


def _with_lora(model: nn.Module, lora: Mapping[str, Any]) -> nn.Module:
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise RecipeError("LoRA needs peft, which is not installed: pip install 'slicer-uvlm[hf]'.") from error
    try:
        settings = LoraConfig(r=lora["rank"], lora_alpha=lora["alpha"], lora_dropout=lora["dropout"], bias="none",
                              target_modules=list(lora["targets"]))
        model.requires_grad_(False)
        return inject_adapter_in_model(settings, model)
    except ValueError as error:  # no module of these names
        raise RecipeError(f"LoRA cannot be added to this language model: {error}") from error


def decoder_layers(model: nn.Module) -> nn.ModuleList:
    """The layers of a causal language model, first to last."""
    count = model.config.num_hidden_layers
    for module in model.modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return module
    raise RecipeError(f"The language model '{model.config.model_type}' has no list of {count} layers; "
                      "features cannot be injected into it.")


def attention_output(layer: nn.Module) -> nn.Module:
    """The part of a layer whose output is added to the residual stream as the attention's result.

    Raises:
        RecipeError: the layer has none under the names that models use.
    """
    if hasattr(layer, "pre_feedforward_layernorm"):  # Gemma normalises what it adds
        return layer.post_attention_layernorm
    for name in ATTENTION_NAMES:
        if hasattr(layer, name):
            return getattr(layer, name)
    raise RecipeError(f"A layer {type(layer).__name__} has no attention named {', '.join(ATTENTION_NAMES)}; "
                      "features cannot be injected into it. Use a model such as Qwen, Llama, Mistral or GPT-2.")


def language_entries(folder: str | Path, lora: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Entries of `LanguageConfig` for the language model in a folder.

    Raises:
        RecipeError: no such model, one that needs code of its own, or a quantised one.
    """
    path = Path(folder) / "config.json"
    try:
        values = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise RecipeError(f"{path} cannot be read: {error}. Give the folder of a causal language model.") from error
    for name, reason in (("auto_map", "needs code of its own, which is never executed"),
                         ("quantization_config", "is quantised, which is not supported")):
        if name in values:
            raise RecipeError(f"The language model in {folder} {reason}.")
    missing = [name for name in ("model_type", "hidden_size", "vocab_size", "num_hidden_layers")
               if name not in values and not {"n_embd", "n_layer"} & set(values)]
    if missing:
        raise RecipeError(f"{path} lacks {', '.join(missing)}: it is not the configuration of a language model.")
    width = values.get("hidden_size", values.get("n_embd"))
    return {"backend": "huggingface", "causal_lm": {name: value for name, value in values.items()
                                                    if name not in NOT_KEPT},
            "lora": None if lora is None else {**LORA_DEFAULTS, **lora}, "width": width,
            "layers": values.get("num_hidden_layers", values.get("n_layer")),
            "n_heads": math.gcd(width // 2, 8), "vocabulary": values["vocab_size"] + len(SPECIALS)}
