"""Reference mode: the released U-VLM code's arguments and tensor names, in terms of this model.

Facts from the repository of arXiv 2603.00479, commit 5d7fde9: constructor arguments of `ResEncoderUNet` and `UVLM`,
their defaults, and the names under which they save tensors. Every convolution, norm and tied head is saved there two
to four times; the additional names are called aliases here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from uvlm_core.errors import BundleError, RecipeError
from uvlm_core.model.config import (
    ClassifierConfig,
    EncoderConfig,
    HeadConfig,
    InjectionConfig,
    LanguageConfig,
    ModelConfig,
    SegmenterConfig,
)
from uvlm_core.model.uvlm import UVLM
from uvlm_core.volumes.grid import GridSpec

# arguments that change nothing in the network's function, or that are read elsewhere
_IGNORED = {
    "kind", "conv_op", "norm_op", "nonlin", "image_shape", "seed", "n_unique_tensors", "state_dict_keys", "n_params",
    "tokenizer", "tokenizer_path", "report_max_length", "use_vision_aware_mask", "generation_temperature",
    "generation_top_p", "generation_top_k", "device", "only_cls", "enable_report_gen", "deep_supervision", "block",
    "return_skips", "encoder",
}
_ENCODER = {"n_stages", "features_per_stage", "kernel_sizes", "strides", "n_blocks_per_stage", "conv_bias",
            "norm_op_kwargs", "nonlin_kwargs", "in_channels", "input_channels", "dropout_op", "dropout_op_kwargs",
            "stem_channels"}
_SEGMENTATION = {"num_classes", "n_conv_per_stage_decoder", "skip_fusion_mode"}
_REPORT = {"llm_embed_dim", "num_heads", "ffn_dim", "dropout", "use_weight_tying", "cls_head_num_classes_list",
           "cls_drop_out_list", "cls_query_num_list", "use_cross_attention", "patch_kernel_sizes", "mode",
           "use_deepstack", "use_gate", "visual_token_length_source_stage", "layers_per_stage", "use_stages",
           "deepstack_skip_stages", "pool_output_size", "pool_output_size_list", "use_adaptive_pool"}


def reference_config(arguments: Mapping[str, Any], vocabulary: int = 387, vision_start_id: int = 384,
                     vision_end_id: int = 385) -> ModelConfig:
    """The released code's constructor arguments as a ModelConfig.

    Args:
        arguments: with `kind` "ResEncoderUNet" or "UVLM"; the encoder's arguments at the top or under "encoder".
        vocabulary: number of tokens with the vision tokens that the released code adds to its tokenizer.

    Raises:
        RecipeError: an argument is unknown, missing or not supported.
    """
    values = {**arguments, **arguments.get("encoder", {})}
    kind = values.get("kind", "UVLM")
    if kind not in ("UVLM", "ResEncoderUNet"):
        raise RecipeError(f"The kind of a reference network is UVLM or ResEncoderUNet; found '{kind}'.")
    unknown = sorted(set(values) - _IGNORED - _ENCODER - (_REPORT if kind == "UVLM" else _SEGMENTATION))
    if unknown:
        raise RecipeError(f"Unknown argument {', '.join(unknown)} of the reference network {kind}.")
    try:
        encoder = _encoder(values)
        if kind == "ResEncoderUNet":
            return _segmentation_config(values, encoder)
        return _report_config(values, encoder, (vocabulary, vision_start_id, vision_end_id))
    except KeyError as error:
        raise RecipeError(f"The reference network's configuration lacks {error.args[0]}.") from error


def _encoder(values: Mapping[str, Any]) -> EncoderConfig:
    count = values["n_stages"]
    norm, activation = values.get("norm_op_kwargs") or {}, values.get("nonlin_kwargs") or {}
    unsupported = [
        name for name, wrong in (
            ("conv_op", values.get("conv_op", "Conv3d").split(".")[-1] != "Conv3d"),
            ("norm_op", values.get("norm_op", "InstanceNorm3d").split(".")[-1] != "InstanceNorm3d"),
            ("nonlin", values.get("nonlin", "LeakyReLU").split(".")[-1] != "LeakyReLU"),
            ("dropout_op", values.get("dropout_op") is not None),
            ("norm_op_kwargs", not norm.get("affine", True) or norm.get("track_running_stats", False)),
            ("nonlin_kwargs", activation.get("negative_slope", 0.01) != 0.01),
            ("stem_channels", values.get("stem_channels") not in (None, values["features_per_stage"][0])),
        ) if wrong
    ]
    if unsupported:
        raise RecipeError(f"The reference network uses {', '.join(unsupported)} in a way that is not supported.")
    return EncoderConfig(
        features=values["features_per_stage"], blocks=_per_entry(values["n_blocks_per_stage"], count),
        strides=_per_entry(values["strides"], count), kernels=_per_entry(values.get("kernel_sizes") or 3, count),
        in_channels=values.get("in_channels", values.get("input_channels", 1)),
        conv_bias=values.get("conv_bias", True), norm_eps=norm.get("eps", 1e-5),
    )


def _segmentation_config(values: Mapping[str, Any], encoder: EncoderConfig) -> ModelConfig:
    convs = _per_entry(values["n_conv_per_stage_decoder"], encoder.n_stages - 1)
    labels = ("background", *(f"class_{number}" for number in range(1, values["num_classes"])))
    return ModelConfig(name="reference", grid=GridSpec(), encoder=encoder, labels=labels, findings=(),
                       segmenter=SegmenterConfig(convs=convs, fusion=values.get("skip_fusion_mode", "add")))


def _report_config(values: Mapping[str, Any], encoder: EncoderConfig, tokens: tuple[int, int, int]) -> ModelConfig:
    mode = values.get("mode", "both")
    if mode not in ("only_cls", "only_report", "both"):
        raise RecipeError(f"mode is only_cls, only_report or both; found '{mode}'.")
    classifier = injection = language = None
    if mode != "only_report":
        heads = [HeadConfig(*row) for row in zip(values.get("cls_head_num_classes_list", (1, 13)),
                                                 values.get("cls_query_num_list", (2, 16)),
                                                 values.get("cls_drop_out_list", (0.0, 0.0)), strict=False)]
        classifier = ClassifierConfig(head="class_query" if values.get("use_cross_attention", True) else "gap",
                                      heads=heads, mask_evidence=False)
    if mode != "only_cls":
        injection = _injection(values, encoder)
        layers = injection.layers_per_stage
        if injection.multi_layer:
            layers *= encoder.n_stages - values.get("deepstack_skip_stages", 0)
        vocabulary, vision_start_id, vision_end_id = tokens
        language = LanguageConfig(
            vocabulary=vocabulary, width=values.get("llm_embed_dim", 512), n_heads=values.get("num_heads", 8),
            ffn=values.get("ffn_dim", 2048), layers=layers, dropout=values.get("dropout", 0.0),
            tied=values.get("use_weight_tying", True), rope="reference", vision_mask="reference",
            vision_start_id=vision_start_id, vision_end_id=vision_end_id, cues="none",
        )
    return ModelConfig(name="reference", grid=GridSpec(), encoder=encoder, classifier=classifier,
                       injection=injection, language=language, labels=("background",), findings=())


def _injection(values: Mapping[str, Any], encoder: EncoderConfig) -> InjectionConfig:
    count = encoder.n_stages
    source = values.get("visual_token_length_source_stage", -1)
    source = min(max(source + count if source < 0 else source, 0), count - 1)
    stages = [stage for stage in values.get("use_stages") or range(count)
              if stage >= values.get("deepstack_skip_stages", 0)]
    sizes = values.get("pool_output_size_list")
    if sizes is not None:
        pool_sizes = [sizes[stage] if stage < len(sizes) else None for stage in stages]
    else:  # the deepest stage stays as it is
        pool_sizes = [values.get("pool_output_size")] * (len(stages) - 1) + [None]
    adaptive = values.get("use_adaptive_pool", True)
    kernels = () if adaptive else [None if size is None else values["patch_kernel_sizes"][stage]
                                   for stage, size in zip(stages, pool_sizes, strict=True)]
    return InjectionConfig(
        stages=stages, source=source, layers_per_stage=values.get("layers_per_stage", 1),
        multi_layer=values.get("use_deepstack", False), align="zero_pad",
        gate=values.get("use_gate", False) and values.get("use_deepstack", False),
        pool="adaptive" if adaptive else "patch_embed", positions=False, pool_sizes=pool_sizes, patch_kernels=kernels,
    )


def _per_entry(value: Any, count: int) -> Any:
    return [value] * count if isinstance(value, int) else value


def rope_length(arguments: Mapping[str, Any]) -> int:
    """Longest sequence that the released code accepts; this model has no such limit."""
    size = arguments.get("pool_output_size")
    buffer = 512 if size is None else max(512, size[0] * size[1] * size[2] + 128)
    return arguments.get("report_max_length", 8192) + buffer


@dataclass(frozen=True)
class ReferenceTensor:
    """Where a tensor of the released code lives here: parameter `name`, rows part / 3 of it if `part` is given."""

    name: str
    part: int | None = None

    def of(self, tensor: Tensor) -> Tensor:
        """The rows of this model's (fused) tensor that correspond to it."""
        return tensor if self.part is None else tensor.chunk(3)[self.part]


# this model's name -> the released code's name; the first pattern that matches a whole name counts
_NAMES = [
    (r"encoder\.stem\.(conv|norm)\.(\w+)", r"encoder.stem.convs.0.\1.\2"),
    (r"encoder\.stages\.(\d+)\.(\d+)\.(conv[12])\.(conv|norm)\.(\w+)", r"encoder.stages.\1.blocks.\2.\3.\4.\5"),
    (r"encoder\.stages\.(\d+)\.(\d+)\.project\.(conv|norm)\.(\w+)", r"encoder.stages.\1.blocks.\2.skip.{skip}.\3.\4"),
    (r"segmenter\.upsample\.(\d+)\.(\w+)", r"decoder.transpconvs.\1.\2"),
    (r"segmenter\.levels\.(\d+)\.(\d+)\.(conv|norm)\.(\w+)", r"decoder.stages.\1.convs.\2.\3.\4"),
    (r"segmenter\.classify\.(\d+)\.(\w+)", r"decoder.seg_layers.\1.\2"),
    (r"classifier\.heads\.(\d+)\.attention\.(.+)", r"cls_head_list.\1.pooling.cross_attention.\2"),
    (r"classifier\.heads\.(\d+)\.classifier\.(\w+)", r"cls_head_list.\1.pooling.{linear}.\2"),
    (r"classifier\.heads\.(\d+)\.(.+)", r"cls_head_list.\1.pooling.\2"),
    (r"injection\.patch_embeds\.(\d+)\.(\w+)", r"pool_embed_list.\1.proj.\2"),
    (r"injection\.pool_norms\.(\d+)\.(\w+)", r"pool_norm_list.\1.\2"),
    (r"injection\.projections\.(\d+)\.(.+)", r"vision_projection_list.\1.\2"),
    (r"injection\.vision_norms\.(\d+)\.(\w+)", r"vision_norm_list.\1.\2"),
    (r"language\.token_embedding\.weight", r"{llm}.token_embedding.weight"),
    (r"language\.head\.weight", r"{llm}.lm_head.weight"),
    (r"language\.final_norm\.(\w+)", r"{llm}.ln_f.\1"),
    (r"language\.layers\.(\d+)\.attention_norm\.(\w+)", r"{llm}.layers.\1.self_attn_norm.\2"),
    (r"language\.layers\.(\d+)\.attention\.qkv\.(\w+)", r"{llm}.layers.\1.{qkv}_proj.\2"),
    (r"language\.layers\.(\d+)\.attention\.out\.(\w+)", r"{llm}.layers.\1.out_proj.\2"),
    (r"language\.layers\.(\d+)\.gate\.(.+)", r"{llm}.layers.\1.gate_proj.\2"),
    (r"language\.layers\.(\d+)\.(ffn|ffn_norm)\.(.+)", r"{llm}.layers.\1.\2.\3"),
]
_LLM = "llm_report_gen.llm_model"


def reference_names(model: UVLM, known_only: bool = False) -> dict[str, ReferenceTensor]:
    """Every tensor that the released code has, under its own name (aliases left out).

    `known_only` leaves out parts that the released code does not know.

    Raises:
        RecipeError: the model has such a part.
    """
    gap = model.config.classifier is not None and model.config.classifier.head == "gap"
    names = {}
    for ours, _ in model.named_parameters():
        pattern, theirs = next(((p, t) for p, t in _NAMES if re.fullmatch(p, ours)), (None, None))
        if pattern is None and known_only:
            continue
        if pattern is None:
            raise RecipeError(f"The released code has no counterpart of '{ours}': only reference mode is comparable.")
        words = {"llm": _LLM, "linear": "3" if gap else "classifier"}
        match = re.fullmatch(pattern, ours)
        if "{skip}" in theirs:  # the skip's average pool, where there is one, is entry 0
            words["skip"] = int(model.config.encoder.strides[int(match[1])] != (1, 1, 1) and match[2] == "0")
        theirs = match.expand(theirs)
        for part, letter in enumerate("qkv") if "{qkv}" in theirs else ((None, ""),):
            names[theirs.format(**words, qkv=letter)] = ReferenceTensor(ours, part)
    return names


def reference_aliases(model: UVLM, known_only: bool = False) -> dict[str, str]:
    """The additional names under which the released code saves tensors, each with the name that counts."""
    aliases = {}
    names = reference_names(model, known_only)
    for name in names:
        match = re.fullmatch(r"((?:encoder|decoder)\..+)\.(conv|norm)\.(weight|bias)", name)
        copies = [] if match is None else [f"{match[1]}.all_modules.{('conv', 'norm').index(match[2])}.{match[3]}"]
        if model.segmenter is not None and name.startswith("encoder."):
            copies += [f"decoder.{copy}" for copy in (name, *copies)]
        aliases.update(dict.fromkeys(copies, name))
    if model.language is not None and model.language.head is None:
        aliases[f"{_LLM}.lm_head.weight"] = f"{_LLM}.token_embedding.weight"
    return aliases


def load_reference_state(model: UVLM, state: Mapping[str, Tensor]) -> None:
    """Loads the released code's tensors, with or without aliases, strictly.

    Args:
        state: tensors under the released code's names, optionally with the prefixes of DDP or torch.compile.

    Raises:
        BundleError: tensors are missing, unknown, of the wrong shape, or differ from their alias; they are named.
    """
    names, aliases = reference_names(model), reference_aliases(model)
    parameters = dict(model.named_parameters())
    found: dict[str, Tensor] = {}
    problems = []
    for key, tensor in state.items():
        plain = ".".join(word for word in key.split(".") if word not in ("module", "_orig_mod"))
        name = aliases.get(plain, plain)
        if name not in names:
            problems.append(f"unknown {key}")
        elif name in found and not torch.equal(found[name], tensor):
            problems.append(f"{key} differs from {name}")
        elif tensor.shape != (wanted := names[name].of(parameters[names[name].name]).shape):
            problems.append(f"{key} has shape {tuple(tensor.shape)}, expected {tuple(wanted)}")
        else:
            found[name] = tensor
    problems += [f"missing {name}" for name in names if name not in found]
    if problems:
        shown = "; ".join(problems[:12]) + ("" if len(problems) <= 12 else f"; and {len(problems) - 12} more")
        raise BundleError(f"The weights do not fit this network: {shown}.")
    with torch.no_grad():
        for name, target in names.items():
            target.of(parameters[target.name]).copy_(found[name])


def reference_state(model: UVLM) -> dict[str, Tensor]:
    """This model's tensors under the released code's names, without aliases."""
    parameters = dict(model.named_parameters())
    return {name: target.of(parameters[target.name]).detach() for name, target in reference_names(model).items()}
