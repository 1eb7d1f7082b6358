"""Checkpoints of the released code: read without running anything that stands in them."""

from __future__ import annotations

import os
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch

from uvlm_core.errors import BundleError
from uvlm_core.model.reference_checkpoint import load_reference_checkpoint


def save(path: Path, content) -> Path:
    torch.save(content, path)
    return path


def test_weights_and_settings_of_a_trainer_checkpoint(tmp_path):
    base = torch.arange(24.0).reshape(4, 6)
    weights = OrderedDict({"encoder.a": base, "encoder.alias": base, "turned": base.t(), "part": base[1:3, 2:],
                           "half": base.half(), "brain": base.bfloat16(), "scalar": torch.tensor(7),
                           "flags": torch.tensor([True, False]), "parameter": torch.nn.Parameter(base + 1)})
    arguments = {"n_stages": 4, "strides": [[1, 2, 2]]}
    content = {"network_weights": weights, "current_epoch": 12, "_best_ema": np.float64(0.5),
               "init_args": {"configuration": "3d", "network_arch_init_kwargs": arguments},
               "optimizer_state": {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 1e-4}]},
               "path": Path("a/b")}
    found, rest = load_reference_checkpoint(save(tmp_path / "checkpoint_best.pth", content))
    assert found.keys() == weights.keys()
    assert all(torch.equal(found[name], weights[name]) and found[name].dtype == weights[name].dtype for name in weights)
    assert rest["current_epoch"] == 12 and rest["init_args"]["network_arch_init_kwargs"]["strides"] == [[1, 2, 2]]
    assert rest["path"] is None  # an object is not rebuilt


@pytest.mark.parametrize("wrap", [lambda w: w, lambda w: {"state_dict": w}, lambda w: {"model": w}])
def test_bare_and_wrapped_weights(tmp_path, wrap):
    found, _ = load_reference_checkpoint(save(tmp_path / "a.pth", wrap({"x.weight": torch.ones(2)})))
    assert found["x.weight"].tolist() == [1, 1]


class Trap:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    path = save(tmp_path / "trap.pth", {"network_weights": {"x": torch.ones(1)}, "trap": Trap(tmp_path / "sprung")})
    found, rest = load_reference_checkpoint(path)
    assert found["x"].item() == 1 and rest["trap"] is None
    assert not (tmp_path / "sprung").exists()


def test_what_is_not_a_checkpoint_is_explained(tmp_path):
    (tmp_path / "text.pth").write_text("hello")
    with pytest.raises(BundleError, match="zip archive"):
        load_reference_checkpoint(tmp_path / "text.pth")
    with pytest.raises(BundleError, match="cannot be read"):
        load_reference_checkpoint(tmp_path / "absent.pth")
    with pytest.raises(BundleError, match="no tensors"):
        load_reference_checkpoint(save(tmp_path / "empty.pth", {"epoch": 3}))
    with pytest.raises(BundleError, match="holds a list"):
        load_reference_checkpoint(save(tmp_path / "list.pth", [torch.ones(1)]))
    whole = save(tmp_path / "cut.pth", {"x": torch.ones(1000)}).read_bytes()
    (tmp_path / "cut.pth").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BundleError):
        load_reference_checkpoint(tmp_path / "cut.pth")


# A checkpoint as a pickle program: {"network_weights": {"x": a tensor}, "b": SETTINGS}
STORAGE = b"ctorch\nFloatStorage\n"
HEAD = (b"\x80\x02}q\xfeX\x0f\0\0\0network_weights}X\x01\0\0\0xctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storage"
        + STORAGE + b"X\x01\0\0\x000X\x03\0\0\0cpuK\x04tQK\0K\x02\x85K\x01\x85tRssX\x01\0\0\0b")
# forty lists, each of which holds the one before twice; and the same as tuples
LISTS = b"]q\0" + b"".join(b"0](h%ch%ceq%c" % (i - 1, i - 1, i) for i in range(1, 40))
TUPLES = b")q\0" + b"".join(b"0(h%ch%ctq%c" % (i - 1, i - 1, i) for i in range(1, 40))


def archive(path: Path, program: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a/data.pkl", program)
        file.writestr("a/data/0", bytes(16))
    return path


@pytest.mark.parametrize(("program", "words"), [
    (HEAD + LISTS + b"s.", "1000000 values"), (HEAD + b"h\xfes.", "100 deep"),  # the second holds itself
    (HEAD + b"(" * 5000 + b"t" * 5000 + b"s.", "100 deep"),
    (HEAD.replace(STORAGE, b"X\x01\0\0\0a") + b"Ns.", "no attribute 'name'"),
], ids=["exploding", "in itself", "deep", "no storage"])
def test_hostile_checkpoints_are_refused_at_once(tmp_path, program, words):
    assert load_reference_checkpoint(archive(tmp_path / "good.pth", HEAD + b"Ns."))[0]["x"].tolist() == [0, 0]
    with pytest.raises(BundleError, match=f"is damaged or holds more.*{words}.*use another checkpoint"):
        load_reference_checkpoint(archive(tmp_path / "a.pth", program))


@pytest.mark.parametrize("key", [LISTS, TUPLES], ids=["lists", "tuples"])
def test_keys_that_would_take_forever_are_not_looked_at(tmp_path, key):
    _, rest = load_reference_checkpoint(archive(tmp_path / "a.pth", HEAD + b"}" + key + b"Nss."))
    assert list(rest["b"].values()) == [None]


def test_damaged_compression_is_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.pth", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a/data.pkl", (HEAD + b"Ns.") * 3)
    content = bytearray((tmp_path / "a.pth").read_bytes())
    begin = content.find(b"a/data.pkl") + len(b"a/data.pkl")
    content[begin : begin + 6] = b"\xff" * 6
    (tmp_path / "a.pth").write_bytes(content)
    with pytest.raises(BundleError, match="is damaged"):
        load_reference_checkpoint(tmp_path / "a.pth")
