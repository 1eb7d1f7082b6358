"""Finding probabilities: one query per finding looks at the tokens of the injected stages.

`PooledHeads` holds the two heads of the released code, so that its checkpoints load.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from uvlm_core.model.config import ClassifierConfig, HeadConfig, ModelConfig
from uvlm_core.model.injection import StageTokens, align_to_grid, sinusoids, token_mask, token_positions
from uvlm_core.model.mask_evidence import evidence_size, mask_evidence
from uvlm_core.model.part_evidence import N_PART_EVIDENCE

# Evidence comes in ml and in shares of one. An optimizer moves a weight by about its rate in a step, so small numbers
# would never get the large weights that they need.
EVIDENCE_SCALE = (3.0, 10.0, 10.0, 10.0, 10.0, 20.0, 3.0)


class FindingClassifier(nn.Module):
    """Cross-attention pooling with one query per finding, and what the masks say, to one logit per finding."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.model_config = config
        head, count = config.classifier, len(config.findings)
        self.config = head
        self.stage = range(config.encoder.n_stages)[head.stage]
        channels = sum(config.encoder.features[stage] for stage in config.injection.stages) * 2
        step = config.encoder.total_stride(self.stage)
        self.step = [cell * size for cell, size in zip(step, config.grid.spacing, strict=True)]
        self.token_norm = nn.LayerNorm(channels)
        self.token_projection = nn.Linear(channels, head.width)
        self.query = nn.Parameter(torch.empty(count, head.width))
        self.attention = CrossAttention(head.width, head.n_heads)
        self.norm = nn.LayerNorm(head.width)
        self.ffn = nn.Sequential(nn.Linear(head.width, 2 * head.width), nn.GELU(),
                                 nn.Linear(2 * head.width, head.width))
        self.dropout = nn.Dropout(head.dropout)
        self.final_norm = nn.LayerNorm(head.width)
        self.weight = nn.Parameter(torch.zeros(count, head.width + evidence_size(head)))
        self.bias = nn.Parameter(torch.zeros(count))
        nn.init.normal_(self.query, std=0.02)
        nn.init.normal_(self.weight, std=0.02)

    def pool(self, features: list[Tensor]) -> StageTokens:
        """All injected stages on the classifier's own grid, means and maxima in one (B, N, channels) tensor.

        Needs no learned parameter of this head, so that it can be cached per case.
        """
        grid = tuple(features[self.stage].shape[2:])
        rows = [align_to_grid(features[stage], grid, with_maximum=True)
                for stage in self.model_config.injection.stages]
        grids = torch.tensor([grid] * len(features[0]), device=features[0].device)
        return StageTokens([torch.cat(rows, 2)], grids)

    def evidence(self, seg_logits: Tensor) -> Tensor:
        """(B, F, E) from the segmentation; see `mask_evidence`."""
        return mask_evidence(seg_logits, self.model_config)

    def forward(self, tokens: StageTokens, evidence: Tensor | None = None) -> Tensor:
        """(B, F) logits from `pool`'s tokens and `evidence` (needed when config.mask_evidence is on)."""
        x = tokens.stages[0]
        mask = token_mask(tokens.grids, x.shape[1])
        place = sinusoids(token_positions(tokens.grids, x.shape[1], self.step), self.config.width, 2 * max(self.step))
        x = self.token_projection(self.token_norm(x.float())) + place
        query = self.query.expand(len(x), -1, -1)
        query = query + self.dropout(self.attention(query, x, mask))
        query = query + self.dropout(self.ffn(self.norm(query)))
        answer = self.final_norm(query).float()
        if self.training and self.config.token_dropout:
            answer = answer * (torch.rand_like(answer[..., :1]) >= self.config.token_dropout)
        if self.config.mask_evidence:
            scale = evidence.new_tensor(EVIDENCE_SCALE[: evidence.shape[2]]).float()
            answer = torch.cat((answer, evidence.float() * scale), 2)
        return (answer * self.weight).sum(2) + self.bias


def with_part_evidence(tensors: dict[str, Tensor], config: ModelConfig) -> dict[str, Tensor]:
    """Weights of a model whose classifier did not know `part_evidence`, for one that does: it starts with no weight."""
    head, name = config.classifier, "classifier.weight"
    if head is None or not head.part_evidence or name not in tensors:
        return tensors
    missing = head.width + evidence_size(head) - tensors[name].shape[1]
    if missing != N_PART_EVIDENCE:
        return tensors
    return {**tensors, name: functional.pad(tensors[name], (0, missing))}


class CrossAttention(nn.Module):
    """Queries (B, Q, C) read tokens (B, N, C); padding tokens are not seen."""

    def __init__(self, width: int, n_heads: int):
        super().__init__()
        self.n_heads = n_heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def forward(self, query: Tensor, tokens: Tensor, mask: Tensor | None) -> Tensor:
        """(B, Q, C), (B, N, C), (B, N) or None -> (B, Q, C)."""
        heads = self.query(query).unflatten(2, (self.n_heads, -1)).transpose(1, 2)
        key, value = self.key_value(tokens).unflatten(2, (2, self.n_heads, -1)).permute(2, 0, 3, 1, 4)
        seen = None if mask is None else mask[:, None, None]
        mixed = functional.scaled_dot_product_attention(heads, key, value, attn_mask=seen)
        return self.out(mixed.transpose(1, 2).flatten(2))


class QueryHead(nn.Module):
    """The released code's cross-attention pooling over the deepest stage: no position, no residual."""

    def __init__(self, channels: int, config: HeadConfig):
        super().__init__()
        self.class_query = nn.Parameter(torch.empty(config.queries, channels))
        self.attention = nn.MultiheadAttention(channels, 4, dropout=config.dropout)
        self.norm = nn.LayerNorm(channels)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(config.queries * channels, config.classes)
        nn.init.xavier_uniform_(self.class_query)
        nn.init.xavier_uniform_(self.classifier.weight)

    def forward(self, feature: Tensor) -> Tensor:
        """(B, C, z, y, x) -> (B, classes)."""
        tokens = feature.flatten(2).permute(2, 0, 1)  # (N, B, C)
        query = self.class_query[:, None].expand(-1, tokens.shape[1], -1)
        mixed, _ = self.attention(query, tokens, tokens, need_weights=False)
        return self.classifier(self.dropout(self.norm(mixed)).transpose(0, 1).flatten(1))


class GapHead(nn.Module):
    """The released code's global average pooling and linear layer."""

    def __init__(self, channels: int, config: HeadConfig):
        super().__init__()
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(channels, config.classes)

    def forward(self, feature: Tensor) -> Tensor:
        """(B, C, z, y, x) -> (B, classes)."""
        return self.classifier(self.dropout(feature.mean((2, 3, 4))))


class PooledHeads(nn.Module):
    """One head per task over the deepest stage; their logits stand side by side."""

    def __init__(self, channels: int, config: ClassifierConfig):
        super().__init__()
        kind = {"class_query": QueryHead, "gap": GapHead}[config.head]
        self.heads = nn.ModuleList(kind(channels, head) for head in config.heads)

    def forward(self, feature: Tensor) -> Tensor:
        """(B, C, z, y, x) -> (B, sum of classes)."""
        return torch.cat([head(feature) for head in self.heads], 1)
