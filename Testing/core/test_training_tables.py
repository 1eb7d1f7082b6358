"""Case tables in training: one store for two sources, cases that cannot be used, and one training per run folder."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest
from dataset_folders import REPORT, mask, scan
from test_datasets_prepare import MODEL, SPEC, STAGES, source

from uvlm_core.datasets.preparing import prepare_table
from uvlm_core.datasets.table import Case, read_table, write_table
from uvlm_core.errors import Cancelled, CaseError, RecipeError
from uvlm_core.training.comparison import held_out_results
from uvlm_core.training.prepare import prepare
from uvlm_core.training.run import train_command
from uvlm_core.training.run_lock import LOCK


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Two scans with a liver and a text; the second is held out."""
    folder = tmp_path_factory.mktemp("table")
    rows = []
    for number, split in enumerate(("train", "validation")):
        scan(folder / f"s{number}.nii.gz", shift=number)
        mask(folder / f"m{number}.nii.gz", "liver")
        rows.append(Case(f"s{number}", f"s{number}.nii.gz", masks={"liver": [f"m{number}.nii.gz"]}, report=REPORT,
                         findings={"Consolidation": 1}, split=split))
    return write_table(folder / "cases.csv", rows)


def test_stages_of_two_sources_may_share_a_store_up_to_the_figures_of_held_out_cases(table, tmp_path):
    """As in `paper-chest`: masks from one table, texts from another, of the same scans."""
    store = str(tmp_path / "store")
    prepare_table(table, tmp_path / "store", SPEC)
    data = [{**source(table, store=store), "name": name} for name in ("masks", "texts")]
    stages = [{**STAGES[0], "sources": ["masks"]}, {**STAGES[2], "sources": ["texts"]}]
    recipe = tmp_path / "two.json"
    recipe.write_text(json.dumps({"name": "two", "preset": "demo", "seed": 1, "model": MODEL, "data": data,
                                  "stages": stages}))
    train_command(recipe, tmp_path / "run")
    found = held_out_results(tmp_path / "run")
    assert set(found["after"]) == {"masks", "texts"}
    looked_at = {path.name for path in (tmp_path / "run" / "held_out").iterdir() if path.is_dir()}
    assert looked_at >= {"masks_s1", "texts_s1"}


def interrupted(asked: int):
    """A `cancel` that ends everything at once when it is asked so often."""
    def cancel() -> bool:
        nonlocal asked
        asked -= 1
        if not asked:
            raise KeyboardInterrupt
        return False

    return cancel


def test_cases_that_were_trained_on_judge_no_model_after_their_table_was_split_anew(table, tmp_path):
    copied = write_table(table.with_name("again.csv"), read_table(table).cases)
    recipe, run = tmp_path / "one.json", tmp_path / "run"
    stages = [{**STAGES[0], "steps": 2, "checkpoint_every": 1}, STAGES[0]]
    recipe.write_text(json.dumps({"name": "one", "preset": "demo", "seed": 1, "model": MODEL,
                                  "data": [source(copied)], "stages": stages}))

    def split(**names):
        write_table(copied, [replace(case, split=names[case.case_id]) for case in read_table(copied).cases])

    split(s0="validation", s1="train")
    with pytest.raises(KeyboardInterrupt):
        train_command(recipe, run, stage=1, cancel=interrupted(asked=3))  # before its first step has an effect
    split(s0="train", s1="validation")
    asked = iter([False] * 2 + [True])  # two cases, the first step
    with pytest.raises(Cancelled, match="step 1 of 2"):
        train_command(recipe, run, stage=1, cancel=lambda: next(asked))
    split(s0="validation", s1="train")
    words = r"Held out are set_s0, which this run was trained on.*used_cases\.json.*new run folder"
    for stage in (1, 2):
        with pytest.raises(RecipeError, match=words):
            train_command(recipe, run, stage=stage)
    split(s0="train", s1="validation")
    train_command(recipe, run)
    assert held_out_results(run)["after"]
    split(s0="validation", s1="train")
    with pytest.raises(RecipeError, match=words):
        held_out_results(run)
    for path in run.glob("stage*/used_cases.json"):
        path.unlink()  # as a run of an earlier version
    assert held_out_results(run)["after"]


def test_a_case_that_cannot_be_used_is_left_out_where_the_source_says_so(table, tmp_path, capsys):
    (tmp_path / "broken.nii.gz").write_bytes((table.parent / "s0.nii.gz").read_bytes()[:2000])
    rows = [Case("broken", str(tmp_path / "broken.nii.gz")), Case("whole", str(table.parent / "s0.nii.gz"))]
    both = write_table(tmp_path / "both.csv", rows)
    with pytest.raises(Exception, match="broken"):
        prepare([source(both)], SPEC, tmp_path / "stop", None)
    cases = prepare([source(both, on_error="skip")], SPEC, tmp_path / "skip", None)
    assert [case.name for case in cases] == ["set_whole"] and "set_broken is left out" in capsys.readouterr().err
    none = write_table(tmp_path / "none.csv", rows[:1])
    with pytest.raises(CaseError, match="No case of the source 'set' can be used"):
        prepare([source(none, on_error="skip")], SPEC, tmp_path / "none", None)


HOLD = """
import sys
from pathlib import Path
from uvlm_core.training.run_lock import only_training
with only_training(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_two_trainings_in_one_folder_are_refused_until_the_first_has_ended(table, tmp_path):
    recipe = tmp_path / "one.json"
    recipe.write_text(json.dumps({"name": "one", "preset": "demo", "seed": 1, "model": MODEL,
                                  "data": [source(table)], "stages": STAGES[:1]}))
    run = tmp_path / "run"
    run.mkdir()
    with subprocess.Popen([sys.executable, "-c", HOLD, str(run)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(RecipeError, match="Another process trains in"):
            train_command(recipe, run)
        assert not (run / "recipe.json").exists() and (run / LOCK).exists()
        other.kill()
    assert train_command(recipe, run).exists()
