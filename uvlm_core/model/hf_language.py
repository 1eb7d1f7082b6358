"""Any causal language model of Hugging Face transformers as the decoder, in full or with low-rank additions (LoRA).

It reads the same sequence as `LanguageDecoder`, [vision start] vision tokens [vision end] text, under the same mask,
and receives the same injected features at the same places: each layer of a group adds its stage at the vision positions
to the residual stream, after the attention. Generation uses the model's own cache.

UVLM's six special tokens come first in the vocabulary and have rows of their own; token t of the language model has the
id 6 + t (`tokenizer.shifted_tokenizer`). So the language model's embeddings stay as they are.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from uvlm_core.errors import RecipeError
from uvlm_core.model.config import LanguageConfig
from uvlm_core.model.hf_model import attention_output, build_causal_lm, decoder_layers
from uvlm_core.model.injection import VisionTokens
from uvlm_core.model.language import attention_mask, positions
from uvlm_core.model.tokenizer import SPECIALS


@dataclass
class HuggingFaceState:
    """Where a generation of B samples stands; the first `n_layers` layers receive features; `seen` (B, cached) False
    for padding, None if there is none."""

    cache: Any
    n_vision: int
    n_layers: int
    next_positions: Tensor
    seen: Tensor | None


class HuggingFaceDecoder(nn.Module):
    """The interface of `LanguageDecoder` around a causal language model."""

    def __init__(self, config: LanguageConfig, layers_per_group: int):
        super().__init__()
        self.config, self.layers_per_group = config, layers_per_group
        self.causal_lm = build_causal_lm(config)
        self.special_embedding = nn.Embedding(len(SPECIALS), config.width)
        nn.init.normal_(self.special_embedding.weight, std=0.02)
        self.vision_gain = nn.Parameter(torch.tensor(0.02))  # vision tokens as large as embeddings, at first
        self._cache_name = "cache" if "cache" in inspect.signature(self.causal_lm.forward).parameters else (
            "past_key_values")
        self._injected: list[Tensor] = []  # of the running call
        self.causal_lm.get_output_embeddings().register_forward_hook(self._add_special_logits)
        for index, layer in enumerate(decoder_layers(self.causal_lm)):
            attention_output(layer).register_forward_hook(
                lambda module, args, output, index=index: self._inject(index, output))

    @property
    def token_embedding(self) -> nn.Embedding:
        """The language model's own embedding, without the special tokens."""
        return self.causal_lm.get_input_embeddings()

    def keep_activations(self, kept: bool) -> None:
        """Whether training keeps what the layers compute for the way back; if not, they run twice.

        The attributes are those that transformers' own switch sets, which has another name in every version.
        """
        for module in self.causal_lm.modules():
            if hasattr(module, "gradient_checkpointing"):
                module.gradient_checkpointing = not kept
                module._gradient_checkpointing_func = partial(checkpoint, use_reentrant=False)

    def forward(self, vision: VisionTokens, text_ids: Tensor, text_mask: Tensor | None = None,
                every_position: bool = False) -> Tensor:
        """Teacher forcing; arguments and result as those of `LanguageDecoder.forward`."""
        keep = 0 if every_position else text_ids.shape[1]
        return self._read(vision, text_ids, text_mask, None, keep).logits

    @torch.inference_mode()
    def prefill(self, vision: VisionTokens, prompt_ids: Tensor, prompt_mask: Tensor | None = None, capacity: int = 0,
                want_attention: bool = False) -> tuple[Tensor, Tensor | None, HuggingFaceState]:
        """Reads vision tokens and prompts; arguments and result as those of `LanguageDecoder.prefill`."""
        from transformers import DynamicCache

        cache = DynamicCache()
        output = self._read(vision, prompt_ids, prompt_mask, cache, prompt_ids.shape[1], want_attention)
        place = positions(vision, prompt_ids.shape[1]).expand(len(prompt_ids), -1)
        count = torch.full((len(prompt_ids),), prompt_ids.shape[1], device=prompt_ids.device)
        if prompt_mask is not None:
            count = prompt_mask.bool().sum(1)
        sample = torch.arange(len(prompt_ids), device=prompt_ids.device)
        following = place[sample, len(vision) + 1 + count, None] + 1
        injected = self.layers_per_group * len(vision.injected)
        state = HuggingFaceState(cache, len(vision), injected, following,
                                 self._seen(vision, place.shape[1], prompt_mask))
        return output.logits[sample, count - 1], self._to_vision(output, state), state

    @torch.inference_mode()
    def step(self, state: HuggingFaceState, token_ids: Tensor,
             want_attention: bool = False) -> tuple[Tensor, Tensor | None]:
        """One more token per sample; arguments and result as those of `LanguageDecoder.step`."""
        x = self._embed_text(token_ids[:, None])
        allowed = None
        if state.seen is not None:
            state.seen = functional.pad(state.seen, (0, 1), value=True)
            allowed = state.seen[:, None, None]
        self._injected = []
        output = self._run(x, allowed, state.next_positions, state.cache, 1, want_attention)
        state.next_positions = state.next_positions + 1
        return output.logits[:, -1], self._to_vision(output, state)

    def _read(self, vision: VisionTokens, text_ids: Tensor, text_mask: Tensor | None, cache: Any, keep: int,
              want_attention: bool = False) -> Any:
        x = self.embed(vision, text_ids)
        allowed = attention_mask(x.shape[1], len(vision), self.config.vision_mask, x.device)[None, None]
        seen = self._seen(vision, x.shape[1], text_mask)
        allowed = allowed if seen is None else allowed & seen[:, None, None]
        allowed = allowed | torch.eye(x.shape[1], dtype=torch.bool, device=x.device)  # padding rows see something
        self._injected = [row * self.vision_gain for row in vision.injected]  # kept: checkpointed layers run again
        place = positions(vision, text_ids.shape[1]).expand(len(x), -1)
        return self._run(x, allowed.expand(len(x), -1, -1, -1), place, cache, keep, want_attention)

    def _run(self, x: Tensor, allowed: Tensor | None, place: Tensor, cache: Any, keep: int, want_attention: bool):
        kind = "sdpa" if self.causal_lm._supports_sdpa and not want_attention else "eager"
        self.causal_lm.set_attn_implementation(kind)
        if allowed is not None and kind == "eager":  # it adds its mask
            allowed = torch.zeros_like(allowed, dtype=x.dtype).masked_fill(~allowed, torch.finfo(x.dtype).min)
        return self.causal_lm(inputs_embeds=x, attention_mask=allowed, position_ids=place, use_cache=cache is not None,
                              logits_to_keep=keep, output_attentions=want_attention, return_dict=True,
                              **{self._cache_name: cache})

    def embed(self, vision: VisionTokens, text_ids: Tensor) -> Tensor:
        """(B, N + 2 + T, E): start token, vision tokens, end token, text."""
        batch = text_ids.shape[0]
        main = vision.main if vision.mask is None else vision.main * vision.mask[..., None]
        start, end = (self.special_embedding.weight[number].expand(batch, 1, -1)
                      for number in (self.config.vision_start_id, self.config.vision_end_id))
        text = self._embed_text(text_ids)
        return torch.cat((start.to(text.dtype), (main * self.vision_gain).to(text.dtype), end.to(text.dtype), text), 1)

    def _embed_text(self, ids: Tensor) -> Tensor:
        own = self.token_embedding((ids - len(SPECIALS)).clamp_min(0))
        special = self.special_embedding(ids.clamp_max(len(SPECIALS) - 1))
        return torch.where((ids < len(SPECIALS))[..., None], special.to(own.dtype), own)

    def _inject(self, index: int, output: Any) -> Any:
        group = index // self.layers_per_group
        if group >= len(self._injected):
            return None
        mixed = output[0] if isinstance(output, tuple) else output
        injected = self._injected[group]
        mixed = mixed + functional.pad(injected, (0, 0, 1, mixed.shape[1] - 1 - injected.shape[1])).to(mixed.dtype)
        return (mixed, *output[1:]) if isinstance(output, tuple) else mixed

    def _add_special_logits(self, head: nn.Module, args: tuple, logits: Tensor) -> Tensor:
        special = functional.linear(args[0], self.special_embedding.weight.to(args[0].dtype))
        return torch.cat((special.to(logits.dtype), logits), -1)

    def _seen(self, vision: VisionTokens, length: int, text_mask: Tensor | None) -> Tensor | None:
        if vision.mask is None and text_mask is None:
            return None
        seen = torch.ones(vision.main.shape[0], length, dtype=torch.bool, device=vision.main.device)
        if vision.mask is not None:
            seen[:, 1 : 1 + len(vision)] = vision.mask
        if text_mask is not None:
            seen[:, len(vision) + 2 :] = text_mask.bool()
        return seen

    def _to_vision(self, output: Any, state: HuggingFaceState) -> Tensor | None:
        """(B, layers, N) attention of the last position to the vision tokens, in the layers that receive features."""
        if not output.attentions:
            return None
        rows = output.attentions[: state.n_layers or None]
        return torch.stack([row[:, :, -1, 1 : 1 + state.n_vision].float().mean(1) for row in rows], 1)

    def load_pretrained(self, folder: str | Path) -> None:
        """Loads the language model's weights from a folder with safetensors; nothing is downloaded or executed.

        Raises:
            RecipeError: the folder has no such weights, or they are of another configuration.
        """
        from transformers import AutoModelForCausalLM

        try:
            loaded = AutoModelForCausalLM.from_pretrained(str(folder), local_files_only=True, use_safetensors=True,
                                                          trust_remote_code=False, dtype=torch.float32)
        except (OSError, ValueError) as error:
            raise RecipeError(f"{folder} holds no language model that can be used: {error}. Expected are config.json, "
                              "tokenizer.json and *.safetensors of a causal language model of transformers.") from error
        own = self.causal_lm.state_dict()
        with torch.no_grad():
            for name, value in loaded.state_dict().items():
                module, _, entry = name.rpartition(".")
                target = own.get(name, own.get(f"{module}.base_layer.{entry}"))  # the second where LoRA sits
                if target is None or target.shape != value.shape:
                    raise RecipeError(f"{folder} has {name} of shape {tuple(value.shape)}, which is not in the model. "
                                      "Its config.json is of another model.")
                target.copy_(value)
            self.vision_gain.fill_(float(self.token_embedding.weight.float().std()))
