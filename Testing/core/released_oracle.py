"""A second, slow description of the released networks: plain tensor operations on their own names, one per line.

It shares no code with `uvlm_core.model`, so that configurations without a fixture can be compared too.
"""

from __future__ import annotations

import math

import torch
from torch.nn import functional

LLM = "llm_report_gen.llm_model"


class Released:
    """The released network for constructor arguments and a state under its own names."""

    def __init__(self, arguments: dict, state: dict[str, torch.Tensor]):
        self.a = {**arguments, **arguments["encoder"]}
        self.s = state

    def linear(self, x, name):
        return functional.linear(x, self.s[f"{name}.weight"], self.s.get(f"{name}.bias"))

    def layer_norm(self, x, name, eps=1e-5):
        mean, variance = x.mean(-1, keepdim=True), x.var(-1, unbiased=False, keepdim=True)
        return (x - mean) / (variance + eps).sqrt() * self.s[f"{name}.weight"] + self.s[f"{name}.bias"]

    def conv_norm(self, x, name, stride=(1, 1, 1)):
        weight = self.s[f"{name}.conv.weight"]
        x = functional.conv3d(x, weight, self.s.get(f"{name}.conv.bias"), stride, [k // 2 for k in weight.shape[2:]])
        mean = x.mean((2, 3, 4), keepdim=True)
        variance = x.var((2, 3, 4), unbiased=False, keepdim=True)
        scale = self.s[f"{name}.norm.weight"][None, :, None, None, None]
        return (x - mean) / (variance + 1e-5).sqrt() * scale + self.s[f"{name}.norm.bias"][None, :, None, None, None]

    def encode(self, image):
        x = functional.leaky_relu(self.conv_norm(image, "encoder.stem.convs.0"), 0.01)
        stages, channels = [], self.a["features_per_stage"][0]
        for stage, count in enumerate(self.a["n_blocks_per_stage"]):
            for block in range(count):
                name = f"encoder.stages.{stage}.blocks.{block}"
                stride = self.a["strides"][stage] if block == 0 else [1, 1, 1]
                y = functional.leaky_relu(self.conv_norm(x, f"{name}.conv1", stride), 0.01)
                y = self.conv_norm(y, f"{name}.conv2")
                pooled = stride != [1, 1, 1]
                skip = functional.avg_pool3d(x, stride) if pooled else x
                if self.a["features_per_stage"][stage] != channels:
                    skip = self.conv_norm(skip, f"{name}.skip.{int(pooled)}")
                channels = self.a["features_per_stage"][stage]
                x = functional.leaky_relu(y + skip, 0.01)
            stages.append(x)
        return stages

    def segment(self, stages):
        x, levels = stages[-1], []
        for level, count in enumerate(self.a["n_conv_per_stage_decoder"]):
            name = f"decoder.transpconvs.{level}"
            x = functional.conv_transpose3d(x, self.s[f"{name}.weight"], self.s[f"{name}.bias"],
                                            self.a["strides"][-1 - level])
            skip = stages[-2 - level]
            x = torch.cat((x, skip), 1) if self.a["skip_fusion_mode"] == "concat" else x + skip
            for number in range(count):
                x = functional.leaky_relu(self.conv_norm(x, f"decoder.stages.{level}.convs.{number}"), 0.01)
            name = f"decoder.seg_layers.{level}"
            levels.insert(0, functional.conv3d(x, self.s[f"{name}.weight"], self.s[f"{name}.bias"]))
        return levels

    def classify(self, stages):
        logits = []
        for head, queries in enumerate(self.a["cls_query_num_list"]):
            name = f"cls_head_list.{head}.pooling"
            if not self.a["use_cross_attention"]:
                logits.append(self.linear(stages[-1].mean((2, 3, 4)), f"{name}.3"))
                continue
            tokens = stages[-1].flatten(2).transpose(1, 2)  # (B, N, C)
            width = tokens.shape[2]
            weight = self.s[f"{name}.cross_attention.in_proj_weight"]
            bias = self.s[f"{name}.cross_attention.in_proj_bias"]
            q = functional.linear(self.s[f"{name}.class_query"], weight[:width], bias[:width])
            q = q.expand(len(tokens), -1, -1)
            k = functional.linear(tokens, weight[width : 2 * width], bias[width : 2 * width])
            v = functional.linear(tokens, weight[2 * width :], bias[2 * width :])
            mixed = self.attend(q, k, v, 4, None)
            mixed = self.layer_norm(self.linear(mixed, f"{name}.cross_attention.out_proj"), f"{name}.norm")
            assert mixed.shape[1] == queries
            logits.append(self.linear(mixed.flatten(1), f"{name}.classifier"))
        return logits

    @staticmethod
    def attend(q, k, v, heads, allowed, turn=lambda x: x):
        def split(x):
            return x.reshape(x.shape[0], x.shape[1], heads, -1).transpose(1, 2)

        q, k, v = turn(split(q)), turn(split(k)), split(v)
        scores = q @ k.transpose(2, 3) / math.sqrt(q.shape[-1])
        if allowed is not None:
            scores = scores.masked_fill(~allowed, -torch.inf)
        return (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)

    def vision(self, stages):
        """(main tokens, injected ones deepest first)."""
        n = len(stages)
        source = self.a["visual_token_length_source_stage"]
        source = source + n if source < 0 else source
        used = [s for s in self.a.get("use_stages") or range(n) if s >= self.a.get("deepstack_skip_stages", 0)]

        def project(tokens, index):
            x = self.layer_norm(tokens, f"pool_norm_list.{index}")
            x = functional.gelu(self.linear(x, f"vision_projection_list.{index}.0"))
            x = self.linear(x, f"vision_projection_list.{index}.2")
            return self.layer_norm(x, f"vision_norm_list.{index}", 1e-6)

        if not self.a["use_deepstack"]:
            tokens = stages[source].flatten(2).transpose(1, 2)
            return project(tokens, used.index(source) if source in used else 0), []
        rows = {}
        for index, stage in enumerate(used):
            x = stages[stage]
            if self.a.get("pool_output_size_list") is not None:
                size = self.a["pool_output_size_list"][stage]
            else:
                size = None if stage == used[-1] else self.a.get("pool_output_size")
            if size is not None and self.a.get("use_adaptive_pool", True):
                x = functional.adaptive_avg_pool3d(x, size)
            elif size is not None:
                kernel = self.a["patch_kernel_sizes"][stage]
                pad = [-extent % step for extent, step in zip(x.shape[2:], kernel, strict=True)]
                x = functional.pad(x, (0, pad[2], 0, pad[1], 0, pad[0]))
                name = f"pool_embed_list.{index}.proj"
                x = functional.conv3d(x, self.s[f"{name}.weight"], self.s[f"{name}.bias"], kernel)
            rows[stage] = project(x.flatten(2).transpose(1, 2), index)
        main = rows[source if source in rows else used[-1]]
        injected = []
        for stage in reversed(used):
            row = torch.zeros_like(main)
            count = min(row.shape[1], rows[stage].shape[1])
            row[:, :count] = rows[stage][:, :count]
            injected.append(row)
        return main, injected

    def text(self, main, injected, ids, mask, start_id, end_id):
        """Logits of every position, (B, N + 2 + T, V)."""
        table = self.s[f"{LLM}.token_embedding.weight"]
        batch, n = main.shape[:2]
        special = [table[token].expand(batch, 1, -1) for token in (start_id, end_id)]
        x = torch.cat((special[0], main, special[1], table[ids]), 1)
        length = x.shape[1]
        i, j = torch.arange(length)[:, None], torch.arange(length)[None]
        allowed = ((j <= i) | ((i < n) & (j < n)))[None, None].repeat(batch, 1, 1, 1)
        allowed[:, :, :, n + 2 :] &= mask.bool()[:, None, None]
        for layer in range(self.layers()):
            x = self.layer(x, layer, allowed, injected, n)
        head = table if self.a["use_weight_tying"] else self.s[f"{LLM}.lm_head.weight"]
        return functional.linear(self.layer_norm(x, f"{LLM}.ln_f"), head)

    def layers(self):
        per_stage = self.a["layers_per_stage"]
        if not self.a["use_deepstack"]:
            return per_stage
        return (self.a["n_stages"] - self.a.get("deepstack_skip_stages", 0)) * per_stage

    def layer(self, x, number, allowed, injected, n):
        name, heads = f"{LLM}.layers.{number}", self.a["num_heads"]
        y = self.layer_norm(x, f"{name}.self_attn_norm")
        q, k, v = (self.linear(y, f"{name}.{letter}_proj") for letter in "qkv")
        x = x + self.linear(self.attend(q, k, v, heads, allowed, self.turn), f"{name}.out_proj")
        group = number // self.a["layers_per_stage"]
        if group < len(injected):
            added = injected[group]
            if self.a["use_gate"]:
                gate = self.linear(functional.gelu(self.linear(x[:, 1 : n + 1], f"{name}.gate_proj.0")),
                                   f"{name}.gate_proj.2")
                added = added / (1 + (-gate).exp())
            x = torch.cat((x[:, :1], x[:, 1 : n + 1] + added, x[:, n + 1 :]), 1)
        y = self.layer_norm(x, f"{name}.ffn_norm")
        return x + self.linear(functional.gelu(self.linear(y, f"{name}.ffn.0")), f"{name}.ffn.2")

    @staticmethod
    def turn(x):
        """The released positions: angles of concatenated halves on neighbouring channels."""
        width = x.shape[-1]
        out = torch.empty_like(x)
        place = torch.arange(x.shape[2], dtype=torch.float32)
        for pair in range(width // 2):
            even, odd = 2 * pair, 2 * pair + 1
            a, b = (place * 10000 ** (-2 * (channel % (width // 2)) / width) for channel in (even, odd))
            out[..., even] = x[..., even] * a.cos() - x[..., odd] * a.sin()
            out[..., odd] = x[..., even] * b.sin() + x[..., odd] * b.cos()
        return out
