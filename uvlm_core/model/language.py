"""The language decoder: a pre-norm transformer over [vision start] vision tokens [vision end] text.

Vision features are added to the vision positions in every layer of their group, after the attention (U-VLM,
section 3.3). Only those positions change, so decoding with cached keys and values needs no injection.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from uvlm_core.model.config import LanguageConfig
from uvlm_core.model.injection import VisionTokens


def rotary_tables(positions: Tensor, head_width: int, kind: str = "rotation") -> tuple[Tensor, Tensor]:
    """Cosines and sines of rotary positions, base 10000, for neighbouring pairs of channels.

    Args:
        positions: (...,) token positions.
        kind: "rotation" gives both channels of a pair the same angle (Su et al., RoFormer); "reference" gives them
            the released code's angles, which differ, so that it is no rotation.

    Returns:
        two float32 tensors (..., head_width); the sines of even channels are negative already.
    """
    half = head_width // 2
    rates = 10000.0 ** (-torch.arange(half, device=positions.device, dtype=torch.float32) * 2 / head_width)
    rates = torch.cat((rates, rates)) if kind == "reference" else rates.repeat_interleave(2)
    angle = positions[..., None].float() * rates
    sign = torch.ones(head_width, device=positions.device)
    sign[::2] = -1
    return angle.cos(), angle.sin() * sign


def apply_rotary(x: Tensor, tables: tuple[Tensor, Tensor]) -> Tensor:
    """x (B, heads, L, D) with tables that broadcast to it; pairs are channels 2i and 2i + 1."""
    cosine, sine = tables
    swapped = x.unflatten(-1, (-1, 2)).flip(-1).flatten(-2)
    return (x * cosine + swapped * sine).to(x.dtype)


def attention_mask(length: int, n_vision: int, kind: str = "exact", device: torch.device | None = None) -> Tensor:
    """(length, length) bool, True where query (row) may see key (column).

    "exact": the vision block with its start and end tokens (positions 0 .. n_vision + 1) sees itself, everything
    after it is causal. "reference": the block is the first n_vision positions, as in the released code.
    """
    block = n_vision + 2 if kind == "exact" else n_vision
    place = torch.arange(length, device=device)
    causal = place[None] <= place[:, None]
    return causal | ((place[None] < block) & (place[:, None] < block))


@dataclass
class LayerCache:
    """Keys and values of one layer, (B, heads, capacity, D); the first `length` of them are filled."""

    keys: Tensor
    values: Tensor
    length: int = 0

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Adds (B, heads, n, D) and gives everything so far."""
        end = self.length + keys.shape[2]
        if end > self.keys.shape[2]:
            self._grow(end)
        self.keys[:, :, self.length : end] = keys
        self.values[:, :, self.length : end] = values
        self.length = end
        return self.keys[:, :, :end], self.values[:, :, :end]

    def _grow(self, needed: int) -> None:
        more = max(needed, 2 * self.keys.shape[2]) - self.keys.shape[2]
        self.keys = functional.pad(self.keys, (0, 0, 0, more))
        self.values = functional.pad(self.values, (0, 0, 0, more))


class Attention(nn.Module):
    """Multi-head self-attention with rotary positions and one fused projection for query, key and value."""

    def __init__(self, config: LanguageConfig):
        super().__init__()
        self.n_heads, self.dropout = config.n_heads, config.dropout
        self.qkv = nn.Linear(config.width, 3 * config.width)
        self.out = nn.Linear(config.width, config.width)

    def forward(self, x: Tensor, tables: tuple[Tensor, Tensor], mask: Tensor | None, cache: LayerCache | None,
                want_weights: bool = False) -> tuple[Tensor, Tensor | None]:
        """x (B, L, E) -> (B, L, E) and, if wanted, the weights of the last query (B, heads, keys) in float32."""
        batch, length, width = x.shape
        qkv = self.qkv(x).view(batch, length, 3, self.n_heads, width // self.n_heads).permute(2, 0, 3, 1, 4)
        query, key, value = apply_rotary(qkv[0], tables), apply_rotary(qkv[1], tables), qkv[2]
        if cache is not None:
            key, value = cache.append(key, value)
        weights = None
        if want_weights:
            scores = (query[:, :, -1:].float() @ key.float().transpose(2, 3)) * query.shape[-1] ** -0.5
            last = scores if mask is None else scores.masked_fill(~mask[:, :, -1:], -torch.inf)
            weights = last[:, :, 0].softmax(-1)
        dropout = self.dropout if self.training else 0.0
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout)
        return self.out(mixed.transpose(1, 2).reshape(batch, length, width)), weights


class DecoderLayer(nn.Module):
    """Attention, injection at the vision positions, feed-forward; each on a residual stream."""

    def __init__(self, config: LanguageConfig, gate: bool):
        super().__init__()
        width = config.width
        self.attention_norm = nn.LayerNorm(width)
        self.attention = Attention(config)
        self.gate = None
        if gate:
            self.gate = nn.Sequential(nn.Linear(width, width // 4), nn.GELU(), nn.Linear(width // 4, width))
        self.ffn_norm = nn.LayerNorm(width)
        self.ffn = nn.Sequential(nn.Linear(width, config.ffn), nn.GELU(), nn.Linear(config.ffn, width))
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, tables: tuple[Tensor, Tensor], mask: Tensor | None, injected: Tensor | None = None,
                cache: LayerCache | None = None, want_weights: bool = False) -> tuple[Tensor, Tensor | None]:
        """x (B, L, E); `injected` (B, N, E) is added at positions 1 .. N."""
        mixed, weights = self.attention(self.attention_norm(x), tables, mask, cache, want_weights)
        x = x + self.dropout(mixed)
        if injected is not None:
            x = self._inject(x, injected)
        return x + self.dropout(self.ffn(self.ffn_norm(x))), weights

    def _inject(self, x: Tensor, injected: Tensor) -> Tensor:
        count = injected.shape[1]
        if self.gate is not None:
            injected = injected * self.gate(x[:, 1 : 1 + count]).sigmoid()
        return x + functional.pad(injected, (0, 0, 1, x.shape[1] - 1 - count)).to(x.dtype)


@dataclass
class DecoderState:
    """Where a generation of B samples stands.

    `caches` one per layer; `n_vision` vision tokens (padding included) precede the text; `next_positions` (B, 1) of
    the next token; `seen` (B, 1, 1, cached) False for padding, None if there is none.
    """

    caches: list[LayerCache]
    n_vision: int
    next_positions: Tensor
    seen: Tensor | None


class LanguageDecoder(nn.Module):
    """Reads vision tokens and text, gives next-token logits."""

    def __init__(self, config: LanguageConfig, layers_per_group: int, gate: bool):
        super().__init__()
        self.config = config
        self.layers_per_group = layers_per_group
        self.token_embedding = nn.Embedding(config.vocabulary, config.width)
        self.layers = nn.ModuleList(DecoderLayer(config, gate) for _ in range(config.layers))
        self.final_norm = nn.LayerNorm(config.width)
        self.head = None if config.tied else nn.Linear(config.width, config.vocabulary, bias=False)
        self.dropout = nn.Dropout(config.dropout)
        self.apply(initialize_language)

    def forward(self, vision: VisionTokens, text_ids: Tensor, text_mask: Tensor | None = None,
                every_position: bool = False) -> Tensor:
        """Teacher forcing.

        Args:
            vision: tokens of B samples; padded ones are neither seen nor counted as positions.
            text_ids: (B, T) prompt and answer, right padded.
            text_mask: (B, T), non-zero for real tokens.
            every_position: also give the logits of the vision block.

        Returns:
            (B, T, V); logits[:, t] predicts text_ids[:, t + 1]. With `every_position` (B, N + 2 + T, V).
        """
        x = self.embed(vision, text_ids)
        tables = self._tables(positions(vision, text_ids.shape[1]))
        mask = self._mask(vision, x.shape[1], text_mask)
        for index, layer in enumerate(self.layers):
            x, _ = layer(x, tables, mask, self.injected_at(index, vision))
        return self.logits(x if every_position else x[:, len(vision) + 2 :])

    @torch.inference_mode()
    def prefill(self, vision: VisionTokens, prompt_ids: Tensor, prompt_mask: Tensor | None = None,
                capacity: int = 0, want_attention: bool = False) -> tuple[Tensor, Tensor | None, DecoderState]:
        """Fills the cache with vision tokens and prompts.

        Args:
            vision: tokens of B samples.
            prompt_ids: (B, P), right padded.
            prompt_mask: (B, P), non-zero for real tokens.
            capacity: text tokens to make room for; more are taken when needed.
            want_attention: also give the last prompt token's attention; prompts must then be of one length.

        Returns:
            logits (B, V) of the first new token; attention (B, layers, N) or None; the state for `step`.
        """
        x = self.embed(vision, prompt_ids)
        length = x.shape[1]
        place = positions(vision, prompt_ids.shape[1]).expand(len(x), -1)
        tables, mask = self._tables(place), self._mask(vision, length, prompt_mask)
        caches = [self._empty_cache(x, length + capacity) for _ in self.layers]
        rows = []
        for index, (layer, cache) in enumerate(zip(self.layers, caches, strict=True)):
            x, weights = layer(x, tables, mask, self.injected_at(index, vision), cache, want_attention)
            rows.append(weights)
        seen = self._seen(vision, length, prompt_mask)
        last = torch.full((len(x),), length - 1, device=x.device)
        if prompt_mask is not None:
            last = len(vision) + 1 + prompt_mask.bool().sum(1)
        sample = torch.arange(len(x), device=x.device)
        state = DecoderState(caches, len(vision), place[sample, last, None] + 1,
                             None if seen is None else seen[:, None, None])
        return self.logits(x[sample, last]), _to_vision(rows, state), state

    @torch.inference_mode()
    def step(self, state: DecoderState, token_ids: Tensor,
             want_attention: bool = False) -> tuple[Tensor, Tensor | None]:
        """One more token per sample.

        Args:
            state: of `prefill`; moves on by one token.
            token_ids: (B,) the tokens chosen last.
            want_attention: also give the attention of these tokens to the vision tokens.

        Returns:
            logits (B, V) of the tokens after them; attention (B, layers, N), mean over heads, or None.
        """
        x = self.token_embedding(token_ids[:, None])
        tables = self._tables(state.next_positions)
        if state.seen is not None:
            state.seen = functional.pad(state.seen, (0, 1), value=True)
        rows = []
        for layer, cache in zip(self.layers, state.caches, strict=True):
            x, weights = layer(x, tables, state.seen, None, cache, want_attention)
            rows.append(weights)
        state.next_positions = state.next_positions + 1
        return self.logits(x[:, -1]), _to_vision(rows, state)

    def embed(self, vision: VisionTokens, text_ids: Tensor) -> Tensor:
        """(B, N + 2 + T, E): start token, vision tokens, end token, text."""
        batch = text_ids.shape[0]
        start = self.token_embedding.weight[self.config.vision_start_id].expand(batch, 1, -1)
        end = self.token_embedding.weight[self.config.vision_end_id].expand(batch, 1, -1)
        main = vision.main if vision.mask is None else vision.main * vision.mask[..., None]
        text = self.token_embedding(text_ids)
        return self.dropout(torch.cat((start, main.to(start.dtype), end, text), 1))

    def logits(self, x: Tensor) -> Tensor:
        """Final norm and (tied) head: (..., E) -> (..., V)."""
        weight = self.token_embedding.weight if self.head is None else self.head.weight
        return functional.linear(self.final_norm(x), weight)

    def injected_at(self, layer: int, vision: VisionTokens) -> Tensor | None:
        """The stage that this layer receives, deepest stage in the first group; None if there is none."""
        group = layer // self.layers_per_group
        return vision.injected[group] if group < len(vision.injected) else None

    def _tables(self, place: Tensor) -> tuple[Tensor, Tensor]:
        tables = rotary_tables(place, self.config.width // self.config.n_heads, self.config.rope)
        return tuple(table[:, None] for table in tables)  # (B or 1, 1, L, D)

    def _mask(self, vision: VisionTokens, length: int, text_mask: Tensor | None) -> Tensor:
        allowed = attention_mask(length, len(vision), self.config.vision_mask, vision.main.device)[None, None]
        seen = self._seen(vision, length, text_mask)
        return allowed if seen is None else allowed & seen[:, None, None]

    def _seen(self, vision: VisionTokens, length: int, text_mask: Tensor | None) -> Tensor | None:
        """(B, length) False for padding tokens; None if there are none."""
        if vision.mask is None and text_mask is None:
            return None
        seen = torch.ones(vision.main.shape[0], length, dtype=torch.bool, device=vision.main.device)
        if vision.mask is not None:
            seen[:, 1 : 1 + len(vision)] = vision.mask
        if text_mask is not None:
            seen[:, len(vision) + 2 :] = text_mask.bool()
        return seen

    def _empty_cache(self, x: Tensor, capacity: int) -> LayerCache:
        heads = self.config.n_heads
        shape = (x.shape[0], heads, capacity, x.shape[2] // heads)
        dtype = torch.get_autocast_dtype(x.device.type) if torch.is_autocast_enabled(x.device.type) else x.dtype
        return LayerCache(x.new_empty(shape, dtype=dtype), x.new_empty(shape, dtype=dtype))


def _to_vision(rows: list[Tensor | None], state: DecoderState) -> Tensor | None:
    """Per-layer weights (B, heads, keys) -> (B, layers, N) on the vision tokens, mean over heads."""
    if rows[0] is None:
        return None
    return torch.stack([row[:, :, 1 : 1 + state.n_vision].mean(1) for row in rows], 1)


def positions(vision: VisionTokens, n_text: int) -> Tensor:
    """(B or 1, N + 2 + n_text) positions; padding vision tokens do not count, so text follows the real ones."""
    length = len(vision) + 2 + n_text
    place = torch.arange(length, device=vision.main.device)[None]
    if vision.mask is None:
        return place
    padding = (~vision.mask).sum(1, keepdim=True)
    return torch.where(place > len(vision), place - padding, place)


def initialize_language(module: nn.Module) -> None:
    """Normal(0, 0.02) weights and zero biases, as GPT-2 and the released code; for `Module.apply`."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
