"""Bundles: what was saved comes back, and nothing else is let in."""

from __future__ import annotations

import json

import pytest
import torch

from uvlm_core.errors import BundleError
from uvlm_core.model.bundle import MANIFEST, BundleInfo, load_bundle, read_info, save_bundle, verify_bundle
from uvlm_core.model.config import preset
from uvlm_core.model.tokenizer import train_tokenizer
from uvlm_core.model.uvlm import UVLM

INFO = BundleInfo(name="test", version="1", licence="Apache-2.0", intended_use="Research use only.", config={},
                  thresholds={"Lung nodule": 0.4}, assessed=["Lung nodule"], training_data="none")


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    tokenizer = train_tokenizer(["No nodule."], 300)
    return UVLM(preset("demo", 400).with_vocabulary(400, 4, 5)), tokenizer


@pytest.fixture
def folder(tmp_path, model):
    save_bundle(tmp_path / "b", model[0], model[1].to_json(), "# Card\n", INFO)
    return tmp_path / "b"


def test_round_trip(folder, model):
    bundle = load_bundle(folder)
    assert bundle.info.thresholds == {"Lung nodule": 0.4} and bundle.model.config == model[0].config
    state, loaded = model[0].state_dict(), bundle.model.state_dict()
    assert state.keys() == loaded.keys()
    assert all(torch.allclose(state[name].float(), loaded[name].float(), atol=2e-3) for name in state)
    assert bundle.tokenizer.encode("No nodule.") == model[1].encode("No nodule.")
    assert sum(path.stat().st_size for path in folder.iterdir()) < 15e6
    assert not folder.with_name("b.writing").exists()


def test_saving_again_replaces_the_old_one_completely(folder, model):
    (folder / "stray.txt").write_text("x")
    save_bundle(folder, model[0], model[1].to_json(), "# New\n", INFO)
    assert sorted(path.name for path in folder.iterdir()) == [
        "MODEL_CARD.md", "bundle.json", "model.safetensors", "tokenizer.json"]


def change(folder, **values):
    manifest = json.loads((folder / "bundle.json").read_text())
    (folder / "bundle.json").write_text(json.dumps({**manifest, **values}))


def test_altered_weights_are_refused(folder):
    data = bytearray((folder / "model.safetensors").read_bytes())
    data[-100] ^= 1
    (folder / "model.safetensors").write_bytes(data)
    with pytest.raises(BundleError, match="changed after"):
        load_bundle(folder)


def test_truncated_weights_are_refused(folder):
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[:1000])
    with pytest.raises(BundleError, match="1000 bytes"):
        verify_bundle(folder)


def test_missing_and_linked_files_are_refused(folder, tmp_path):
    card = folder / "MODEL_CARD.md"
    (tmp_path / "elsewhere.md").write_text(card.read_text())
    card.unlink()
    with pytest.raises(BundleError, match=r"MODEL_CARD\.md is missing"):
        verify_bundle(folder)
    card.symlink_to(tmp_path / "elsewhere.md")
    with pytest.raises(BundleError, match="not a plain file"):
        verify_bundle(folder)


def test_foreign_and_unknown_entries_are_named(folder):
    change(folder, colour="green")
    with pytest.raises(BundleError, match="colour"):
        read_info(folder)
    (folder / "bundle.json").write_text("{\"format\": \"MONAI\"}")
    with pytest.raises(BundleError, match="MONAI"):
        read_info(folder)
    (folder / "bundle.json").write_text("{")
    with pytest.raises(BundleError, match="damaged"):
        read_info(folder)


def test_files_outside_the_bundle_are_refused(folder):
    change(folder, files={"../../secret": {"sha256": "0", "bytes": 1}})
    with pytest.raises(BundleError, match="lists the files"):
        verify_bundle(folder)


def test_a_configuration_for_other_weights_is_refused(folder):
    config = read_info(folder).config
    config["encoder"]["features"][0] = 24
    change(folder, config=config)
    with pytest.raises(BundleError, match="instead of"):
        load_bundle(folder)


def test_a_pickle_is_never_opened(tmp_path):
    path = tmp_path / "checkpoint_best.pth"
    path.write_bytes(b"cos\nsystem\n(S'touch owned'\ntR.")
    with pytest.raises(BundleError, match="not opened"):
        load_bundle(path)
    with pytest.raises(BundleError, match=r"no bundle\.json"):
        load_bundle(tmp_path)


def test_weights_that_are_not_numbers_are_not_saved(tmp_path, model):
    broken = UVLM(model[0].config)
    with torch.no_grad():
        next(broken.parameters())[0] = float("nan")
    with pytest.raises(BundleError, match="not finite"):
        save_bundle(tmp_path / "c", broken, model[1].to_json(), "", INFO)


@pytest.mark.parametrize("entry", [
    {"files": []}, {"files": {"model.safetensors": 5}}, {"config": None}, {"thresholds": None}, {"figures": None},
    {"thresholds": {"Lung nodule": "high"}}, {"thresholds": {"Lung nodule": 1.5}}, {"assessed": "all"},
    {"licence": None}, {"size_limit": "0.9"}, {"size_limit": 1.5}, {"part_limits": {"lung_nodule": -1}}])
def test_entries_of_another_type_are_refused_by_name(entry, model_folder, tmp_path):
    values = json.loads((model_folder / MANIFEST).read_text("utf-8"))
    (tmp_path / MANIFEST).write_text(json.dumps({**values, **entry}), "utf-8")
    with pytest.raises(BundleError, match=next(iter(entry))):
        read_info(tmp_path)
