"""From a table to the model's grid and into training: resumable, verified, with partial labels and real texts."""

from __future__ import annotations

import json

import numpy as np
import pytest
from dataset_folders import REPORT, mask, phantom, phantoms, scan

from uvlm_core.datasets.importing import import_dataset
from uvlm_core.datasets.preparing import prepare_table
from uvlm_core.datasets.space import estimate
from uvlm_core.datasets.splitting import split_table
from uvlm_core.datasets.storage import has_blosc, stored_array
from uvlm_core.datasets.table import Case, read_table, write_table
from uvlm_core.errors import Cancelled, CaseError, RecipeError
from uvlm_core.labels import IGNORE, REST, label_named
from uvlm_core.model.config import preset
from uvlm_core.training.prepare import prepare
from uvlm_core.training.run import train_command
from uvlm_core.volumes.grid import GridSpec

SPEC = GridSpec(spacing=(6.0, 6.0, 6.0))
MODEL = {"encoder": {"features": [4, 4, 8, 8, 8], "blocks": [1, 1, 1, 1, 1]}, "classifier": {"width": 16, "n_heads": 2},
         "language": {"width": 32, "ffn": 32, "n_heads": 2}, "grid": {"spacing": [6.0, 6.0, 6.0]}}
STAGES = [{"kind": "segmentation", "steps": 2, "patch": [32, 32, 32], "validate_every": 2, "precision": "fp32"},
          {"kind": "classification", "steps": 2, "segmentation_weight": 1.0, "validate_every": 2, "precision": "fp32"},
          {"kind": "report", "steps": 2, "batch": 2, "freeze_encoder": True, "validate_every": 2, "precision": "fp32"}]


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """Whole label maps, two organs only, a text only in one table; one case is held out, one is for the test."""
    folder = tmp_path_factory.mktemp("mixed")
    import_dataset("phantoms", phantoms(folder / "ph"), folder / "ph.csv")
    whole = read_table(folder / "ph.csv").cases
    scan(folder / "own" / "organ.nii.gz", shift=1)
    mask(folder / "own" / "liver.nii.gz", "liver")
    mask(folder / "own" / "heart.nii.gz", "heart")
    scan(folder / "own" / "text.nii.gz", shift=2)
    own = [Case("organ", "organ.nii.gz", root="own", masks={"liver": ["liver.nii.gz"], "heart": ["heart.nii.gz"]}),
           Case("text", "text.nii.gz", root="own", report=REPORT, findings={"Consolidation": 1, "Emphysema": 0}),
           Case("held", "text.nii.gz", root="own", report=REPORT, findings={"Consolidation": 1}, split="validation",
                masks={"liver": ["liver.nii.gz"]}),
           Case("tested", "absent.nii.gz", split="test")]
    return write_table(folder / "cases.csv", [*whole, *own])


def source(table, **more):
    return {"name": "set", "kind": "table", "path": str(table), **more}


def test_every_case_becomes_a_grid_case_that_says_what_is_known(mixed, tmp_path):
    cases = {case.name: case for case in prepare([source(mixed)], SPEC, tmp_path, None)}
    assert set(cases) == {f"set_{name}" for name in ("phantom_20", "phantom_21", "organ", "text", "held")}
    whole, organ, text, held = (cases[f"set_{name}"] for name in ("phantom_20", "organ", "text", "held"))
    assert whole.known.all() and not (np.asarray(whole.target) >= REST).any()
    assert np.flatnonzero(organ.known).tolist() == [label_named("heart").id, label_named("liver").id]  # not background
    assert set(np.unique(organ.target)) == {0, 7, 10, REST}  # 0 is outside of the scan
    assert not text.has_masks and (np.asarray(text.target) == IGNORE).all() and not text.known.any()
    assert text.report(0) == text.report(5) == REPORT and text.has_report and not organ.has_report
    assert held.held_out and not text.held_out
    assert text.present["Consolidation"] == 1 and np.isnan(text.present["Lung nodule"])


def test_a_changed_row_is_made_anew(tmp_path):
    scan(tmp_path / "a.nii.gz")
    for report in (REPORT, "Lungs: Clear."):
        table = write_table(tmp_path / "cases.csv", [Case("a", "a.nii.gz", report=report)])
        case, = prepare([source(table)], SPEC, tmp_path / "run" / "cases", None)
        assert case.text == report


def test_folds_and_splits_choose_the_rows(mixed, tmp_path):
    rows = read_table(mixed).cases
    for number, case in enumerate(rows):
        case.fold = number % 2
    table = write_table(mixed.with_name("folds.csv"), rows)
    from uvlm_core.training.table_source import table_jobs

    def chosen(**more):
        return {(name, job["held_out"]) for name, job, _ in table_jobs(source(table, **more), None, SPEC)}

    assert chosen(fold=0) == {("set_phantom_20", True), ("set_phantom_21", False), ("set_organ", True),
                              ("set_text", False), ("set_held", True)}
    assert chosen(split="validation") == {("set_held", False)}
    assert chosen(split="test", held_out=True) == {("set_tested", True)}
    with pytest.raises(CaseError, match="No row"):
        chosen(split="train")


@pytest.mark.parametrize("stored", [False, True])
def test_stages_train_on_a_table(mixed, stored, tmp_path):
    recipe = {"name": "tables", "preset": "demo", "seed": 1, "tokenizer_size": 600, "model": MODEL,
              "stages": STAGES if stored else STAGES[2:], "data": [source(mixed)]}
    if stored:
        done = prepare_table(mixed, tmp_path / "store", SPEC)
        assert done.made == 5 and [problem.case_id for problem in done.problems] == ["tested"]
        recipe["data"][0]["store"] = str(tmp_path / "store")
    (tmp_path / "recipe.json").write_text(json.dumps(recipe), "utf-8")
    weights = train_command(tmp_path / "recipe.json", tmp_path / "run")
    assert weights.exists() and len(list((tmp_path / "run" / "cases").glob("set_*"))) == (0 if stored else 5)
    figures = json.loads((weights.parent / "figures.json").read_text("utf-8"))
    assert np.isfinite(figures["answer_loss"])


def test_stages_without_what_they_need_say_so(mixed, tmp_path):
    rows = {case.case_id: case for case in read_table(mixed).cases}
    for names, stage, words in ((["text"], STAGES[0], "has masks"), (["organ"], STAGES[2], "has a report"),
                                (["text"], {**STAGES[2], "recombined": 0.5}, "real reports only")):
        table = write_table(mixed.with_name("some.csv"), [rows[name] for name in names])
        recipe = {"name": "x", "preset": "demo", "seed": 1, "tokenizer_size": 600, "model": MODEL, "stages": [stage],
                  "data": [source(table)]}
        path = tmp_path / "recipe.json"
        path.write_text(json.dumps(recipe), "utf-8")
        with pytest.raises(RecipeError, match=words):
            train_command(path, tmp_path / f"run {words}")


def test_a_store_is_resumed_verified_and_tied_to_its_grid(mixed, tmp_path):
    store = tmp_path / "store"
    stop = iter([False, False, True])
    with pytest.raises(Cancelled):
        prepare_table(mixed, store, SPEC, cancel=lambda: next(stop))
    done = prepare_table(mixed, store, SPEC)
    assert (done.made, done.kept, len(done.problems)) == (3, 2, 1)
    assert not list((store / "cases").glob(".*"))
    image = stored_array(store / "cases" / "text", "image")
    assert image.dtype == np.int16 and set(image.shape) and min(image.shape) % 16 == 0
    # a changed scan is made again, an unchanged one is not
    scan(mixed.parent / "own" / "organ.nii.gz", shift=9)
    assert prepare_table(mixed, store, SPEC).made == 1
    # a damaged array is noticed when asked to
    path = next((store / "cases" / "text").glob("image.*"))
    path.write_bytes(path.read_bytes()[:-200])
    assert prepare_table(mixed, store, SPEC).made == 0
    assert prepare_table(mixed, store, SPEC, verify=True).made == 1
    with pytest.raises(CaseError, match="another grid"):
        prepare_table(mixed, store, GridSpec(spacing=(3.0, 3.0, 3.0)))
    with pytest.raises(CaseError, match="something else"):
        prepare_table(mixed, mixed.parent, SPEC)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"schema": "uvlm-store/2", "grid": {}, "packed": true}'])
def test_a_store_with_a_damaged_manifest(content, mixed, tmp_path):
    (tmp_path / "store.json").write_text(content, "utf-8")
    with pytest.raises(CaseError, match=r"damaged|schema"):
        prepare_table(mixed, tmp_path, SPEC)


def test_several_processes_make_the_same_store(mixed, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    prepare_table(mixed, one, SPEC)
    assert prepare_table(mixed, two, SPEC, jobs=2).made == 5
    for folder in (one / "cases").iterdir():
        for name in ("image", "target"):
            assert np.array_equal(stored_array(folder, name), stored_array(two / "cases" / folder.name, name))


def test_without_blosc_arrays_are_plain(mixed, tmp_path, monkeypatch):
    monkeypatch.setattr("uvlm_core.datasets.preparing.has_blosc", lambda: False)
    prepare_table(mixed, tmp_path / "store", SPEC)
    assert (tmp_path / "store" / "cases" / "text" / "image.npy").exists()
    cases = prepare([source(mixed, store=str(tmp_path / "store"))], SPEC, tmp_path / "run", None)
    assert {case.name for case in cases} == {f"set_{name}" for name in (
        "phantom_20", "phantom_21", "organ", "text", "held")}


def test_cases_that_are_not_in_the_store(mixed, tmp_path):
    with pytest.raises(CaseError, match="no store"):
        prepare([source(mixed, store=str(tmp_path / "absent"))], SPEC, tmp_path, None)
    prepare_table(mixed, tmp_path / "store", SPEC)
    table = write_table(mixed.with_name("more.csv"), [*read_table(mixed).cases, Case("new", "own/text.nii.gz")])
    with pytest.raises(CaseError, match="new is not in the store"):
        prepare([source(table, store=str(tmp_path / "store"))], SPEC, tmp_path, None)
    assert len(prepare([source(table, store=str(tmp_path / "store"), on_error="skip")], SPEC, tmp_path, None)) == 5


def test_one_case_in_two_sources_is_refused(mixed, tmp_path):
    with pytest.raises(CaseError, match="Two data sources"):
        prepare([source(mixed), source(mixed)], SPEC, tmp_path, None)


def test_the_estimate_holds(mixed, tmp_path):
    split_table(mixed, mixed.with_name("split.csv"))
    needed = estimate(read_table(mixed), tmp_path / "not" / "there", SPEC, has_blosc())
    prepare_table(mixed, tmp_path / "store", SPEC)
    used = sum(path.stat().st_size for path in (tmp_path / "store").rglob("*") if path.is_file())
    assert used < needed.most and needed.likely < needed.most and needed.fits and "free" in str(needed)
    assert phantom().volume.shape == (48, 64, 64)


def test_the_disk_is_looked_at_for_what_the_store_does_not_have_yet(mixed, tmp_path, monkeypatch, capsys):
    from uvlm_core.datasets.commands import prepare as command

    monkeypatch.setattr("uvlm_core.datasets.space.free_bytes", lambda folder: 1000)
    store = tmp_path / "store"
    store.mkdir()  # as a file dialog makes it
    with pytest.raises(CaseError, match="will not fit"):
        command(mixed, store)
    assert list(store.iterdir()) == []
    rows = [case for case in read_table(mixed).cases if case.case_id != "tested"]
    table = write_table(mixed.with_name("there.csv"), rows)
    prepare_table(table, store, preset("demo").grid)
    command(table, store)
    assert "0 cases prepared, 5 were there" in capsys.readouterr().out
    table = write_table(mixed.with_name("there.csv"), [*rows, Case("new", "own/text.nii.gz")])
    with pytest.raises(CaseError, match="will not fit"):
        command(table, store)
    assert "1 case needs" in (told := capsys.readouterr().out) and "5 more are prepared" in told
