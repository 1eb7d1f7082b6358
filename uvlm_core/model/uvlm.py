"""The whole model: one encoder pass, then masks, finding probabilities and report text from the same features."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from uvlm_core.errors import RecipeError
from uvlm_core.model.classifier import FindingClassifier, PooledHeads
from uvlm_core.model.config import ModelConfig
from uvlm_core.model.encoder import ResidualEncoder, initialize_convolutions
from uvlm_core.model.fixed_norm import use_fixed_norms
from uvlm_core.model.injection import Injection, StageTokens, VisionTokens
from uvlm_core.model.language import LanguageDecoder
from uvlm_core.model.segmenter import Segmenter


class UVLM(nn.Module):
    """Encoder, segmenter, classifier, injection and language decoder; parts that the config leaves out are None.

    Typical use::

        features = model.encode(image)                        # once
        seg_logits = model.segment(features)                  # (B, labels, Z, Y, X)
        finding_logits = model.classify(features, seg_logits) # (B, F)
        vision = model.vision(features)                       # VisionTokens
        text_logits = model.language(vision, text_ids)        # (B, T, V)
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        channels = config.encoder.features[-1]
        self.encoder = ResidualEncoder(config.encoder)
        self.segmenter = self.classifier = self.injection = self.language = None
        if config.segmenter is not None:
            self.segmenter = Segmenter(config.encoder, config.segmenter, len(config.labels))
        if config.classifier is not None:
            native = config.classifier.head == "findings"
            self.classifier = FindingClassifier(config) if native else PooledHeads(channels, config.classifier)
        if config.language is not None:
            self.injection = Injection(config.encoder, config.injection, config.language.width, config.grid.spacing)
            self.language = _decoder(config)
        self.apply(initialize_convolutions)
        if config.encoder.norm == "fixed":
            use_fixed_norms(self)

    def keep_activations(self, kept: bool) -> None:
        """Whether training keeps what encoder, segmenter and a language model of Hugging Face compute for the way back;
        if not, it is computed twice, which takes a third more time and a fraction of the memory."""
        for part in (self.encoder, self.segmenter):
            if part is not None:
                part.checkpointing = not kept
        if hasattr(self.language, "keep_activations"):
            self.language.keep_activations(kept)

    def encode(self, image: Tensor) -> list[Tensor]:
        """(B, 1, Z, Y, X) network values -> features of every stage, finest first."""
        return self.encoder(image)

    def segment(self, features: list[Tensor], deep_supervision: bool = False) -> Tensor | list[Tensor]:
        """Label logits (B, labels, Z, Y, X); with deep supervision the list of all levels, full resolution first."""
        return self._part("segmenter")(features, deep_supervision)

    def classify(self, features: list[Tensor], masks: Tensor | None = None) -> Tensor:
        """Finding logits (B, F).

        Args:
            features: of `encode`.
            masks: label logits of `segment` where they are at hand already; made here if the head needs them.
        """
        head = self._part("classifier")
        if isinstance(head, PooledHeads):
            return head(features[-1])
        evidence = None
        if head.config.mask_evidence:
            if masks is None:
                with torch.no_grad():
                    masks = self.segment(features)
            evidence = head.evidence(masks)
        return head(head.pool(features), evidence)

    def classify_cached(self, tokens: StageTokens, evidence: Tensor | None) -> Tensor:
        """Finding logits (B, F) from cached `classifier.pool(features)` and `classifier.evidence(masks)`."""
        return self._part("classifier")(tokens, evidence)

    def vision(self, features: list[Tensor]) -> VisionTokens:
        """Vision tokens for the language decoder from the features of `encode`."""
        return self._part("injection")(features)

    def vision_tokens_to_cache(self, features: list[Tensor]) -> StageTokens:
        """What `vision` computes before its first learned layer; the input of `vision_from_cached`."""
        return self._part("injection").stage_tokens(features)

    def vision_from_cached(self, tokens: StageTokens) -> VisionTokens:
        """Vision tokens from cached stage tokens of one or (see `collate_stage_tokens`) several cases."""
        return self._part("injection").project(tokens)

    def forward(self, image: Tensor) -> tuple[Tensor | None, Tensor | None, VisionTokens | None]:
        """Masks, finding logits and vision tokens of one image from one encoder pass; None for missing parts."""
        features = self.encode(image)
        masks = None if self.segmenter is None else self.segment(features)
        found = None if self.classifier is None else self.classify(features, masks)
        return masks, found, None if self.injection is None else self.vision(features)

    def _part(self, name: str) -> nn.Module:
        part = getattr(self, name)
        if part is None:
            raise RecipeError(f"The model '{self.config.name}' was built without a {name}.")
        return part


def _decoder(config: ModelConfig) -> nn.Module:
    layers = config.injection.layers_per_stage
    if config.language.backend == "own":
        return LanguageDecoder(config.language, layers, config.injection.gate)
    from uvlm_core.model.hf_language import HuggingFaceDecoder

    if config.injection.gate:
        raise RecipeError("injection.gate belongs to UVLM's own decoder; switch it off for a language model of "
                          "Hugging Face.")
    return HuggingFaceDecoder(config.language, layers)
