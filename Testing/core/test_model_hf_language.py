"""Causal language models of Hugging Face as the decoder: tiny ones with random weights, nothing is downloaded."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from test_training_run import RECIPE
from untrained_bundle import TEXT, small_config

from uvlm_core.errors import RecipeError
from uvlm_core.model.bundle import BundleInfo, load_bundle, save_bundle
from uvlm_core.model.config import LanguageConfig, ModelConfig
from uvlm_core.model.generate import generate, generate_batch
from uvlm_core.model.hf_language import HuggingFaceDecoder
from uvlm_core.model.hf_model import attention_output, decoder_layers, language_entries
from uvlm_core.model.injection import VisionTokens
from uvlm_core.model.tokenizer import ANSWER, END, PROMPT, Tokenizer, shifted_tokenizer
from uvlm_core.model.uvlm import UVLM
from uvlm_core.training.comparison import held_out_results
from uvlm_core.training.recipe import Recipe
from uvlm_core.training.run import build_model, train_command

transformers = pytest.importorskip("transformers")
pytest.importorskip("peft")
COMMON = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 4, "num_attention_heads": 4,
          "num_key_value_heads": 2, "vocab_size": 300, "head_dim": 8, "bos_token_id": 0, "eos_token_id": 1,
          "pad_token_id": 0}
LLAMA, QWEN, GEMMA = ({"model_type": kind, **COMMON} for kind in ("llama", "qwen3", "gemma2"))
GPT2 = {"model_type": "gpt2", "n_embd": 32, "n_layer": 4, "n_head": 4, "n_positions": 128, "vocab_size": 300,
        "bos_token_id": 0, "eos_token_id": 1}
TIED = {**LLAMA, "tie_word_embeddings": True}  # as small Qwen3 and Llama 3.2 have it
LORA = {"rank": 4, "alpha": 8, "dropout": 0.0, "targets": ["q_proj", "v_proj"]}


def decoder(values: dict, lora: dict | None = None, seed: int = 0) -> HuggingFaceDecoder:
    torch.manual_seed(seed)
    config = LanguageConfig(vocabulary=306, width=32, n_heads=4, layers=4, vision_start_id=4, vision_end_id=5,
                            backend="huggingface", causal_lm=values, lora=lora)
    made = HuggingFaceDecoder(config, layers_per_group=2).eval()
    made.vision_gain.data.fill_(0.5)
    return made


def vision(batch: int = 1, count: int = 5, groups: int = 2, seed: int = 1, mask=None) -> VisionTokens:
    torch.manual_seed(seed)
    return VisionTokens(torch.randn(batch, count, 32), [torch.randn(batch, count, 32) for _ in range(groups)],
                        torch.tensor([[1, 1, count]] * batch), mask)


@pytest.mark.parametrize("values", [LLAMA, QWEN, GEMMA, GPT2], ids=lambda values: values["model_type"])
@torch.inference_mode()
def test_decoding_with_the_cache_equals_reading_everything_at_once(values):
    language, seen = decoder(values), vision()
    ids = torch.tensor([[PROMPT, 40, 50, ANSWER, 60, 70, 80, END]])
    whole = language(seen, ids)
    assert whole.shape == (1, 8, 306)
    logits, attention, state = language.prefill(seen, ids[:, :4], want_attention=True)
    assert attention.shape == (1, 4, 5) and 0 < attention.sum() < 4
    rows = [logits] + [language.step(state, ids[:, place])[0] for place in range(4, 8)]
    assert torch.allclose(torch.stack(rows, 1), whole[:, 3:], atol=1e-4)


@pytest.mark.parametrize(("values", "lora"), [(LLAMA, None), (LLAMA, LORA), (GPT2, None)], ids=("full", "lora", "gpt2"))
def test_gradients_are_the_same_where_layers_run_twice_for_less_memory(values, lora):
    ids, found = torch.tensor([[PROMPT, 40, 50, ANSWER, 60, 70, 80, END]]), []
    for kept in (True, False):
        language, seen, runs = decoder(values, lora).train(), vision(), []
        for row in seen.injected:
            row.requires_grad_()
        language.keep_activations(kept)
        inner = attention_output(decoder_layers(language.causal_lm)[0])
        hook = inner.register_forward_pre_hook(lambda *_, runs=runs: runs.append(1))
        language(seen, ids, every_position=True).float().logsumexp(-1).sum().backward()
        hook.remove()
        own = [value.grad for value in language.parameters() if value.grad is not None]
        found.append((len(runs), [*own, *(row.grad for row in seen.injected)]))
    (once, kept), (twice, again) = found
    assert (once, twice) == (1, 2) and len(kept) == len(again) > 4
    assert all(torch.allclose(one, other, atol=1e-6) for one, other in zip(kept, again, strict=True))


@torch.inference_mode()
def test_features_enter_after_the_attention_of_their_layers():
    """Against Llama's layers written out: residual + attention + feature, then the feed-forward."""
    language, seen = decoder(LLAMA), vision()
    ids = torch.tensor([[PROMPT, 40, ANSWER, 60]])
    model = language.causal_lm.model
    x = language.embed(seen, ids)
    length = x.shape[1]
    place = torch.arange(length)[None]
    rotary = model.rotary_emb(x, place)
    block = (torch.arange(length) < 7)
    mask = (torch.tril(torch.ones(length, length, dtype=torch.bool)) | (block[:, None] & block[None]))[None, None]
    for index, layer in enumerate(decoder_layers(language.causal_lm)):
        group = seen.injected[index // 2] * language.vision_gain
        language._injected = []  # the hooks stay out of this
        attended, _ = layer.self_attn(layer.input_layernorm(x), position_embeddings=rotary, attention_mask=mask)
        x = x + attended
        x[:, 1:6] += group
        x = x + layer.mlp(layer.post_attention_layernorm(x))
    hidden = model.norm(x)[:, -4:]
    own = hidden @ language.causal_lm.lm_head.weight.T
    special = hidden @ language.special_embedding.weight.T
    assert torch.allclose(language(seen, ids), torch.cat((special, own), -1), atol=1e-4)


@pytest.mark.parametrize("values", [LLAMA, GEMMA, GPT2], ids=lambda values: values["model_type"])
@torch.inference_mode()
def test_only_the_layers_of_a_group_receive_its_stage(values):
    language, ids = decoder(values), torch.tensor([[PROMPT, 40, ANSWER]])
    both, first, none = (vision(groups=groups) for groups in (2, 1, 0))
    results = [language(seen, ids) for seen in (both, first, none)]
    assert not torch.allclose(results[0], results[1], atol=1e-4)
    assert not torch.allclose(results[1], results[2], atol=1e-4)
    assert torch.equal(results[2], language(none, ids))  # nothing is left over from the call before


@torch.inference_mode()
def test_padding_changes_nothing():
    language = decoder(QWEN)
    short, long = vision(count=3), vision(count=5, seed=2)
    padded = VisionTokens(*(torch.cat((torch.nn.functional.pad(a, (0, 0, 0, 2)), b)) for a, b in
                            ((short.main, long.main),)),
                          [torch.cat((torch.nn.functional.pad(a, (0, 0, 0, 2)), b))
                           for a, b in zip(short.injected, long.injected, strict=True)],
                          torch.cat((short.grids, long.grids)), torch.tensor([[True] * 3 + [False] * 2, [True] * 5]))
    ids = torch.tensor([[PROMPT, 40, ANSWER, 0], [PROMPT, 50, 60, ANSWER]])
    logits, _, _ = language.prefill(padded, ids, torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]]))
    alone, _, _ = language.prefill(short, ids[:1, :3])
    assert torch.allclose(logits[:1], alone, atol=1e-4)


def small_model(lora: dict | None = None, causal_lm: dict = LLAMA) -> UVLM:
    torch.manual_seed(3)
    entries = {"backend": "huggingface", "causal_lm": causal_lm, "lora": lora, "width": 32, "n_heads": 4, "layers": 4,
               "vocabulary": 306, "vision_start_id": 4, "vision_end_id": 5}
    values = small_config().to_dict()
    values["grid"]["spacing"] = (6.0, 6.0, 6.0)
    return UVLM(ModelConfig.from_dict({**values, "language": {**values["language"], **entries}})).eval()


def write_bundle(folder: Path, model: UVLM) -> Path:
    model.half().float()  # what is stored in 16 bit
    info = BundleInfo(name="t", version="0", licence="Apache-2.0", intended_use="tests", config={}, thresholds={},
                      assessed=[], training_data="none")
    save_bundle(folder, model, shifted_tokenizer(language_tokenizer()), "# t\n", info)
    return folder


@pytest.mark.parametrize(("lora", "causal_lm"), [(None, LLAMA), (LORA, LLAMA), (None, TIED)],
                         ids=["full", "lora", "tied"])
def test_a_bundle_gives_back_the_same_text(tmp_path, lora, causal_lm):
    model = small_model(lora, causal_lm)
    for name, value in model.language.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(value, std=0.3)  # zero at first: would hide that it was lost
    write_bundle(tmp_path / "bundle", model)
    assert sorted(path.name for path in (tmp_path / "bundle").iterdir()) == [
        "MODEL_CARD.md", "bundle.json", "model.safetensors", "tokenizer.json"]
    loaded = load_bundle(tmp_path / "bundle").model
    features = [torch.randn(1, channels, *(32 // 2**stage,) * 3) for stage, channels in enumerate((8, 8, 16, 16, 16))]
    with torch.inference_mode():
        texts = []
        for made in (model, loaded):
            rows = list(generate(made, made.vision(features), [PROMPT, 40, ANSWER], 12, want_attention=True))
            assert rows[0].attention.shape == (2, 8)  # four layers in groups of two; 2 x 2 x 2 tokens
            texts.append([row.id for row in rows])
            assert generate_batch(made, made.vision(features), [[PROMPT, 40, ANSWER]], 12) == [texts[-1]]
    assert texts[0] == texts[1]


def test_training_goes_on_from_a_bundle_with_tied_embeddings(tmp_path):
    bundle = write_bundle(tmp_path / "bundle", small_model(causal_lm=TIED))
    stage = {"kind": "report", "steps": 1, "warm_up": 0, "freeze_encoder": True, "precision": "fp32", "ema": 0.0}
    train, held = ({**row, "count": 1} for row in RECIPE["data"])
    (tmp_path / "r.json").write_text(json.dumps({**RECIPE, "model": {}, "stages": [stage], "data": [train, held]}))
    weights = load_file(train_command(tmp_path / "r.json", tmp_path / "run", start=bundle))
    name = "language.causal_lm.model.embed_tokens.weight"
    assert torch.equal(weights[name], weights["language.causal_lm.lm_head.weight"])
    assert not torch.equal(weights[name], load_file(bundle / "model.safetensors")[name].float())
    found = held_out_results(tmp_path / "run")
    assert found["before"]["held"]["answer_probability"] < found["after"]["held"]["answer_probability"]


def language_tokenizer() -> str:
    from tokenizers import Tokenizer as Backend
    from tokenizers import decoders, models, pre_tokenizers, trainers

    backend = Backend(models.BPE())
    backend.pre_tokenizer, backend.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    backend.train_from_iterator([TEXT], trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<|endoftext|>", "<|im_start|>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return backend.to_str()


def test_a_shifted_tokenizer_gives_the_same_tokens_six_later():
    from tokenizers import Tokenizer as Backend

    before = Backend.from_str(language_tokenizer())
    after = Tokenizer.from_json(shifted_tokenizer(language_tokenizer()))
    ids = after.encode(TEXT)
    assert [number - 6 for number in ids] == before.encode(TEXT).ids
    assert after.decode([PROMPT, *ids, END]) == TEXT and after.size == before.get_vocab_size() + 6


@pytest.fixture
def language_folder(tmp_path):
    """A language model as it lies on a disk."""
    folder = tmp_path / "language"
    torch.manual_seed(9)
    transformers.AutoModelForCausalLM.from_config(transformers.AutoConfig.for_model(**LLAMA)).save_pretrained(folder)
    (folder / "tokenizer.json").write_text(language_tokenizer())
    return folder


@pytest.mark.parametrize("lora", [None, LORA], ids=["full", "lora"])
def test_a_recipe_trains_it_on_injected_features(tmp_path, language_folder, lora):
    stage = {"kind": "report", "steps": 3, "rate": 0.01, "warm_up": 0, "batch": 2, "freeze_encoder": True,
             "precision": "fp32", "ema": 0.0}
    language_model = {"folder": str(language_folder), **({} if lora is None else {"lora": lora})}
    values = {**RECIPE, "model": {**RECIPE["model"], "language": {"cues": "probabilities"}}, "stages": [stage],
              "language_model": language_model}
    (tmp_path / "r.json").write_text(json.dumps(values))
    first = build_model(Recipe.from_dict(values)).state_dict()
    weights = load_file(train_command(tmp_path / "r.json", tmp_path / "run"))
    stored = load_file(language_folder / "model.safetensors")
    query = "model.layers.0.self_attn.q_proj"
    base = f"language.causal_lm.{query}.{'base_layer.' if lora else ''}weight"
    assert torch.equal(first[base], stored[f"{query}.weight"])  # the weights on the disk are where it starts
    moved = {name for name in weights if not torch.equal(weights[name], first[name])}
    wanted = {"language.special_embedding.weight", "language.vision_gain"}  # four layers: the two deepest stages
    assert wanted | {f"injection.projections.{stage}.0.weight" for stage in (2, 3)} <= moved
    if lora:
        assert not [name for name in moved if "causal_lm" in name and "lora_" not in name]
        assert [name for name in moved if "lora_B" in name]
    else:
        assert base in moved
    lines = [json.loads(line) for line in (tmp_path / "run/stage1-report/metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["loss"] < lines[0]["loss"]


def test_what_cannot_be_used_is_refused_by_name(tmp_path, language_folder):
    config = json.loads((language_folder / "config.json").read_text())
    for change, words in (({"auto_map": {"AutoModel": "own.py"}}, "code of its own"),
                          ({"quantization_config": {}}, "quantised")):
        (language_folder / "config.json").write_text(json.dumps({**config, **change}))
        with pytest.raises(RecipeError, match=words):
            language_entries(language_folder)
    with pytest.raises(RecipeError, match="cannot be read"):
        language_entries(tmp_path)
    with pytest.raises(RecipeError, match="no_such_kind"):
        decoder({**LLAMA, "model_type": "no_such_kind"})
    with pytest.raises(RecipeError, match="width"):
        decoder({**LLAMA, "hidden_size": 64})
    with pytest.raises(RecipeError, match="LoRA"):
        decoder(LLAMA, {**LORA, "targets": ["nothing"]})
    with pytest.raises(RecipeError, match="gate"):
        config = small_model().config
        UVLM(replace(config, injection=replace(config.injection, gate=True)))
