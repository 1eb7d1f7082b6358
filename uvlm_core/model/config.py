"""The shape of a model as plain data: what each part is built from, and the presets `paper`, `base` and `demo`.

Stages are numbered from 0 (finest, full resolution) to n - 1 (deepest). Sizes and strides are (z, y, x).
The switches `rope`, `vision_mask`, `align`, `pool`, `head` and `fusion` cover the released U-VLM code too, so that
its checkpoints load into the same modules (`uvlm_core.model.reference`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from uvlm_core.errors import RecipeError
from uvlm_core.labels import findings as all_findings
from uvlm_core.labels import labels as all_labels
from uvlm_core.report.cues import LEVELS
from uvlm_core.volumes.grid import GridSpec

Triple = tuple[int, int, int]


@dataclass(frozen=True)
class EncoderConfig:
    """Residual encoder: one entry per stage in `features`, `blocks`, `strides` and `kernels`.

    `norm` of encoder and segmenter is "instance" or "fixed" (`uvlm_core.model.fixed_norm`).
    """

    features: tuple[int, ...]
    blocks: tuple[int, ...]
    strides: tuple[Triple, ...]
    kernels: tuple[Triple, ...]
    in_channels: int = 1
    conv_bias: bool = True
    norm_eps: float = 1e-5
    norm: str = "instance"

    def __post_init__(self) -> None:
        _freeze(self, features=tuple(self.features), blocks=tuple(self.blocks),
                strides=_triples(self.strides), kernels=_triples(self.kernels))
        _one_of("encoder.norm", self.norm, ("instance", "fixed"))
        count = len(self.features)
        for name in ("blocks", "strides", "kernels"):
            _require(len(getattr(self, name)) == count,
                     f"encoder.{name} needs one entry per stage ({count}); found {len(getattr(self, name))}.")
        _require(count >= 2, f"The encoder needs at least 2 stages; found {count}.")
        for name in ("features", "blocks"):
            _require(min(getattr(self, name)) >= 1, f"encoder.{name} must be positive; found {getattr(self, name)}.")

    @property
    def n_stages(self) -> int:
        """Number of stages."""
        return len(self.features)

    def total_stride(self, stage: int = -1) -> Triple:
        """(z, y, x) input voxels per voxel of `stage`."""
        last = range(self.n_stages)[stage]
        total = [1, 1, 1]
        for stride in self.strides[: last + 1]:
            total = [so_far * step for so_far, step in zip(total, stride, strict=True)]
        return tuple(total)


@dataclass(frozen=True)
class SegmenterConfig:
    """U-Net decoder: `convs` counts the convolutions per level, deepest first; `fusion` joins skip and upsampled."""

    convs: tuple[int, ...]
    fusion: str = "concat"

    def __post_init__(self) -> None:
        _freeze(self, convs=tuple(self.convs))
        _one_of("segmenter.fusion", self.fusion, ("concat", "add"))


@dataclass(frozen=True)
class HeadConfig:
    """One head of the released code: `classes` logits from `queries` learned queries (unused when `head` is gap)."""

    classes: int
    queries: int
    dropout: float = 0.0


@dataclass(frozen=True)
class ClassifierConfig:
    """Finding probabilities.

    `head` is "findings" (one query per finding over the tokens of the injected stages), or, as in the released code,
    "class_query" or "gap" over the deepest stage with the heads of `heads`. `stage` is the stage whose grid the
    tokens of "findings" lie on. `mask_evidence` adds what the segmentation says about each finding's mask,
    `part_evidence` to that how sure it is of the mask's surest part. `token_dropout` is the chance that a training
    step hides from a finding what the tokens say: a head that knows few cases by heart would not learn to heed the
    evidence.
    """

    head: str = "findings"
    stage: int = -1
    width: int = 128
    n_heads: int = 4
    dropout: float = 0.0
    mask_evidence: bool = True
    part_evidence: bool = False  # on in the presets; a bundle from before it has none
    token_dropout: float = 0.0
    heads: tuple[HeadConfig, ...] = ()

    def __post_init__(self) -> None:
        _freeze(self, heads=tuple(_build(HeadConfig, head, "classifier.heads") for head in self.heads))
        _one_of("classifier.head", self.head, ("findings", "class_query", "gap"))
        _require(self.width % self.n_heads == 0,
                 f"classifier.width ({self.width}) must be a multiple of classifier.n_heads ({self.n_heads}).")
        _require(0 <= self.token_dropout < 1,
                 f"classifier.token_dropout is a chance below 1; found {self.token_dropout}.")
        _require(self.mask_evidence or not self.part_evidence,
                 "classifier.part_evidence is a part of classifier.mask_evidence, which is off.")
        _require(self.head == "findings" or len(self.heads) > 0,
                 f"classifier.head '{self.head}' needs at least one entry in classifier.heads.")


@dataclass(frozen=True)
class InjectionConfig:
    """How encoder stages become vision tokens and where they enter the language layers.

    `stages` are the stages that are projected, finest first; the deepest feeds the first group of language layers.
    `source` is the stage whose grid and tokens stand in the sequence. `multi_layer` off leaves only those.
    `align`: "grid" brings every stage to the source stage's grid; "zero_pad" appends zeros (released code).
    `pool`: "mean" or "mean_max" (native, over the cells of the source grid), "adaptive" or "patch_embed" (released
    code: to `pool_sizes`, or with strided convolutions of `patch_kernels`; None leaves a stage as it is).
    """

    stages: tuple[int, ...]
    source: int
    layers_per_stage: int = 2
    multi_layer: bool = True
    gate: bool = False
    align: str = "grid"
    pool: str = "mean"
    positions: bool = True
    pool_sizes: tuple[Triple | None, ...] = ()
    patch_kernels: tuple[Triple | None, ...] = ()

    def __post_init__(self) -> None:
        _freeze(self, stages=tuple(self.stages), pool_sizes=_triples(self.pool_sizes),
                patch_kernels=_triples(self.patch_kernels))
        _one_of("injection.align", self.align, ("grid", "zero_pad"))
        _one_of("injection.pool", self.pool, ("mean", "mean_max", "adaptive", "patch_embed"))
        _require(len(self.stages) > 0 and list(self.stages) == sorted(set(self.stages)),
                 f"injection.stages must be different stages in rising order; found {self.stages}.")
        native = self.pool in ("mean", "mean_max")
        _require((self.align == "grid") == native,
                 f"injection.align '{self.align}' does not go with injection.pool '{self.pool}': "
                 "grid takes mean or mean_max, zero_pad takes adaptive or patch_embed.")
        for name in ("pool_sizes",) * (self.pool == "adaptive") + ("patch_kernels",) * (self.pool == "patch_embed"):
            _require(len(getattr(self, name)) == len(self.stages),
                     f"injection.{name} needs one entry per injected stage ({len(self.stages)}).")


@dataclass(frozen=True)
class LanguageConfig:
    """Decoder language model.

    `rope` "rotation" or "reference" (the released code's tables, which are not a rotation); `vision_mask` "exact"
    (start, vision and end tokens see each other) or "reference" (that block shifted by one token).
    `cues` is the level of the words that steer the report (`uvlm_core.report.cues`): "none" leaves the decoder alone.
    `backend` "own" is built from these entries; "huggingface" from `causal_lm`, the plain configuration of a causal
    language model of transformers (then `width` and `vocabulary` are its own, see `uvlm_core.model.hf_language`), and
    with `lora` (rank, alpha, dropout, targets) trained by low-rank additions only.
    """

    vocabulary: int
    width: int = 512
    n_heads: int = 8
    ffn: int = 2048
    layers: int = 8
    dropout: float = 0.0
    tied: bool = True
    rope: str = "rotation"
    vision_mask: str = "exact"
    vision_start_id: int = 0
    vision_end_id: int = 1
    cues: str = "measurements"
    backend: str = "own"
    causal_lm: dict[str, Any] | None = None
    lora: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        _one_of("language.backend", self.backend, ("own", "huggingface"))
        _require((self.backend == "huggingface") == (self.causal_lm is not None),
                 "language.causal_lm is the configuration of a language model for language.backend 'huggingface'.")
        _require(self.causal_lm is None or "model_type" in self.causal_lm, "language.causal_lm lacks model_type.")
        _require(self.lora is None or set(self.lora) == {"rank", "alpha", "dropout", "targets"},
                 f"language.lora has rank, alpha, dropout and targets; found {sorted(self.lora or ())}.")
        _require(self.lora is None or self.backend == "huggingface", "language.lora needs the backend 'huggingface'.")
        _one_of("language.rope", self.rope, ("rotation", "reference"))
        _one_of("language.cues", self.cues, LEVELS)
        _one_of("language.vision_mask", self.vision_mask, ("exact", "reference"))
        _require(self.width % (2 * self.n_heads) == 0,
                 f"language.width ({self.width}) must be a multiple of 2 x language.n_heads ({self.n_heads}), "
                 "because rotary positions turn pairs of channels.")
        for name in ("vision_start_id", "vision_end_id"):
            _require(0 <= getattr(self, name) < self.vocabulary,
                     f"language.{name} ({getattr(self, name)}) must lie inside the vocabulary ({self.vocabulary}).")


@dataclass(frozen=True)
class ModelConfig:
    """A whole model. Parts that are None are not built.

    `labels` are the segmentation channels in order (index 0 is background), `findings` the classifier's outputs.
    """

    name: str
    grid: GridSpec
    encoder: EncoderConfig
    segmenter: SegmenterConfig | None = None
    classifier: ClassifierConfig | None = None
    injection: InjectionConfig | None = None
    language: LanguageConfig | None = None
    labels: tuple[str, ...] = field(default_factory=lambda: default_labels())
    findings: tuple[str, ...] = field(default_factory=lambda: default_findings())

    def __post_init__(self) -> None:
        _freeze(self, labels=tuple(self.labels), findings=tuple(self.findings))
        stages = self.encoder.n_stages
        if self.segmenter is not None:
            _require(len(self.segmenter.convs) == stages - 1,
                     f"segmenter.convs needs one entry per decoder level ({stages - 1}); "
                     f"found {len(self.segmenter.convs)}.")
        if self.injection is not None:
            _require(self.injection.stages[0] >= 0 and self.injection.stages[-1] < stages,
                     f"injection.stages must lie in 0..{stages - 1}; found {self.injection.stages}.")
            _require(0 <= self.injection.source < stages,
                     f"injection.source must lie in 0..{stages - 1}; found {self.injection.source}.")
            _require(self.injection.align == "zero_pad" or self.injection.source in self.injection.stages,
                     f"injection.source ({self.injection.source}) must be one of injection.stages "
                     f"{self.injection.stages}.")
        _require(self.language is None or self.injection is not None, "A language decoder needs an injection part.")
        if self.classifier is not None and self.classifier.head == "findings":
            _require(self.injection is not None, "The head 'findings' reads the injected stages: injection is missing.")
            _require(-stages <= self.classifier.stage < stages,
                     f"classifier.stage must lie in {-stages}..{stages - 1}; found {self.classifier.stage}.")
            _require(not self.classifier.mask_evidence or self.segmenter is not None,
                     "classifier.mask_evidence needs a segmenter.")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `from_dict` is the inverse."""
        return asdict(self)

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> ModelConfig:
        """Builds a config and checks it.

        Raises:
            RecipeError: an entry is unknown, missing, or has a value that cannot be built; it is named.
        """
        return _build(ModelConfig, values, "")

    def with_vocabulary(self, vocabulary: int, vision_start_id: int, vision_end_id: int) -> ModelConfig:
        """The same config for a tokenizer with that many entries and those special tokens."""
        _require(self.language is not None, f"The model '{self.name}' has no language decoder.")
        language = replace(self.language, vocabulary=vocabulary, vision_start_id=vision_start_id,
                           vision_end_id=vision_end_id)
        return replace(self, language=language)


def default_labels() -> tuple[str, ...]:
    """Background and the labels of `Resources/Labels`, in the order of their ids."""
    return ("background", *(label.name for label in all_labels()))


def default_findings() -> tuple[str, ...]:
    """The finding names of `Resources/Labels`."""
    return tuple(finding.name for finding in all_findings())


def preset(name: str, vocabulary: int = 1000) -> ModelConfig:
    """The configuration `paper`, `base` or `demo`, for a tokenizer with `vocabulary` entries.

    Raises:
        RecipeError: there is no preset of that name.
    """
    if name not in _PRESETS:
        raise RecipeError(f"There is no model preset '{name}'. Choose one of: {', '.join(sorted(_PRESETS))}.")
    return _PRESETS[name](vocabulary)


def _paper(vocabulary: int) -> ModelConfig:
    encoder = _doubling_encoder((32, 64, 128, 256, 320, 320), (1, 3, 4, 6, 6, 6))
    return ModelConfig(
        name="paper",
        grid=GridSpec(spacing=(1.5, 1.0, 1.0), multiple=32, max_shape=(192, 256, 256)),
        encoder=encoder,
        segmenter=SegmenterConfig(convs=(1, 1, 1, 1, 1)),
        classifier=ClassifierConfig(width=320, n_heads=4, part_evidence=True),
        injection=InjectionConfig(stages=(2, 3, 4, 5), source=5),
        language=LanguageConfig(vocabulary=vocabulary, width=512, n_heads=8, ffn=2048, layers=8),
    )


def _base(vocabulary: int) -> ModelConfig:
    encoder = _doubling_encoder((24, 48, 96, 192, 256), (1, 2, 3, 4, 4))
    return ModelConfig(
        name="base",
        grid=GridSpec(spacing=(2.0, 2.0, 2.0), multiple=16),
        encoder=encoder,
        segmenter=SegmenterConfig(convs=(1, 1, 1, 1)),
        classifier=ClassifierConfig(width=256, n_heads=8, part_evidence=True),
        injection=InjectionConfig(stages=(1, 2, 3, 4), source=4, pool="mean_max"),
        language=LanguageConfig(vocabulary=vocabulary, width=384, n_heads=6, ffn=1536, layers=8),
    )


def _demo(vocabulary: int) -> ModelConfig:
    encoder = _doubling_encoder((16, 32, 64, 128, 128), (1, 1, 2, 2, 2))
    return ModelConfig(
        name="demo",
        grid=GridSpec(),
        encoder=encoder,
        segmenter=SegmenterConfig(convs=(1, 1, 1, 1), fusion="add"),
        classifier=ClassifierConfig(stage=3, width=128, n_heads=4, part_evidence=True),
        injection=InjectionConfig(stages=(1, 2, 3, 4), source=4, pool="mean_max"),
        language=LanguageConfig(vocabulary=vocabulary, width=128, n_heads=4, ffn=512, layers=8),
    )


_PRESETS = {"paper": _paper, "base": _base, "demo": _demo}


def _doubling_encoder(features: tuple[int, ...], blocks: tuple[int, ...]) -> EncoderConfig:
    """Stride 1 in the first stage, 2 in the others; 3 x 3 x 3 kernels."""
    count = len(features)
    return EncoderConfig(features=features, blocks=blocks, kernels=((3, 3, 3),) * count,
                         strides=((1, 1, 1), *((2, 2, 2),) * (count - 1)))


_PARTS = {"grid": GridSpec, "encoder": EncoderConfig, "segmenter": SegmenterConfig, "classifier": ClassifierConfig,
          "injection": InjectionConfig, "language": LanguageConfig}


def _build(kind: type, values: Any, path: str) -> Any:
    """`kind(**values)` with unknown, missing and ill-typed entries named by their path."""
    if isinstance(values, kind):
        return values
    where = path or "the model configuration"
    if not isinstance(values, Mapping):
        raise RecipeError(f"{where} must be a table of entries; found {type(values).__name__}.")
    known = {entry.name for entry in fields(kind)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise RecipeError(f"Unknown entry {', '.join(unknown)} in {where}. Known are: {', '.join(sorted(known))}.")
    arguments = {}
    for name, value in values.items():
        if kind is ModelConfig and name in _PARTS and value is not None:
            value = _build(_PARTS[name], value, name)
        elif kind is GridSpec and isinstance(value, list):
            value = tuple(tuple(row) if isinstance(row, list) else row for row in value)
        arguments[name] = value
    try:
        return kind(**arguments)
    except (TypeError, ValueError) as error:
        raise RecipeError(f"{where} cannot be used: {error}") from error


def _triples(values: Any) -> tuple[Triple | None, ...]:
    """Every entry as (z, y, x); a single number counts for all three axes, None stays."""
    rows = []
    for value in values:
        row = value if value is None else (value,) * 3 if isinstance(value, int) else tuple(value)
        _require(row is None or (len(row) == 3 and min(row) >= 1),
                 f"Sizes, kernels and strides need three positive numbers (z, y, x); found {value}.")
        rows.append(row)
    return tuple(rows)


def _freeze(target: Any, **values: Any) -> None:
    for name, value in values.items():
        object.__setattr__(target, name, value)


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    _require(value in allowed, f"{name} must be one of {', '.join(allowed)}; found '{value}'.")


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise RecipeError(message)
