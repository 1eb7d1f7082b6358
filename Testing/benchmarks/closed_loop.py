"""The whole circle: a model meets scans of a new kind, its reports are corrected and kept, it is fine-tuned, measured.

    python Testing/benchmarks/closed_loop.py --bundle Resources/Models/demo --out loop     about an hour, two cores
    python Testing/benchmarks/closed_loop.py --bundle Resources/Models/demo --out loop --quick     does it run at all?

The new kind are phantoms of a low-dose scanner with a sharp kernel (`uvlm_core.phantom.scanner.low_dose`), which no
model that comes with UVLM has seen. Reports are generated, corrected, signed and kept in UVLMReport
(`correcting_reader`); the kept cases are imported, split and trained on by the commands of UVLMTrain's steps, in its
own child process. Before and after are measured on other phantoms of both kinds, through the pipeline that users run.

Writes OUT/closed_loop.json. Every step that is done is kept: the same command goes on after a stop.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from correcting_reader import ROOT, CorrectingReader  # first: it puts the checkout on the path
from UVLMTrainLib import Recipes

from uvlm_core.evaluation.cases import summary
from uvlm_core.files import replace_text
from uvlm_core.model.bundle import BundleInfo, read_info
from uvlm_core.phantom.case import PhantomCase
from uvlm_core.phantom.generator import make_phantom

KEPT_SEEDS, HELD_OUT_SEEDS = 970000, 980000  # of no recipe, threshold or published figure
KINDS = {"new": "low_dose", "old": "usual"}  # -> scanner
FIGURES = ("organ_dice", "lesion_dice_10mm", "finding_macro_f1", "text_macro_f1")
ALLOWED_LOSS = 0.01
RESAMPLINGS = 100
QUICK = {"cases": 3, "held_out": 2, "measured": 2, "steps": 3, "shape": (48, 64, 64), "phantoms": 2}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--bundle", type=Path, required=True, help="model that is corrected and fine-tuned")
    options.add_argument("--out", type=Path, required=True, help="folder for everything")
    options.add_argument("--recipe", default="finetune-corrections", help="name or file")
    options.add_argument("--cases", type=int, default=30, help="corrected cases that are kept")
    options.add_argument("--held-out", type=int, default=40, help="phantoms of each kind for before and after")
    options.add_argument("--measured", type=int, default=40, help="phantoms for the new bundle's own model card")
    options.add_argument("--quick", action="store_true", help="few and small cases, a few steps; figures mean nothing")
    given = options.parse_args()
    given.steps, given.phantoms, given.shape = None, None, None
    if given.quick:
        vars(given).update(QUICK)
    loop = Loop(given)
    loop.keep()
    loop.train()
    loop.export()
    loop.measure("before", given.bundle)
    loop.measure("after", loop.better)
    loop.write()


class Loop:
    """The steps in their order; `minutes` are of this call, a step that was done already takes none."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.given, self.out = given, given.out.absolute()
        self.kept, self.table = self.out / "kept", self.out / "cases.csv"
        self.run, self.better = self.out / "run", self.out / "better"
        self.minutes: dict[str, float] = {}
        self.sha256 = hashlib.sha256((given.bundle / "model.safetensors").read_bytes()).hexdigest()
        self.out.mkdir(parents=True, exist_ok=True)
        mark = self.out / "bundle.sha256"
        if mark.exists() and mark.read_text("utf-8") != self.sha256:
            raise SystemExit(f"{self.out} was begun with another bundle. Choose a new folder.")
        replace_text(mark, self.sha256)

    def keep(self) -> None:
        """Has reports of the new kind generated, corrects and keeps them."""
        seeds = [seed for seed in range(KEPT_SEEDS, KEPT_SEEDS + self.given.cases)
                 if not list(self.kept.glob(f"*-phantom_{seed}-*/case.json"))]
        if seeds:
            self._timed("correct", lambda: self._keep(seeds))

    def _keep(self, seeds: Sequence[int]) -> None:
        reader = CorrectingReader(self.given.bundle)
        try:
            for seed in seeds:
                reader.keep(self._phantom(seed, "new"), self.kept)
                print(f"kept {seed}", flush=True)
        finally:
            reader.close()

    def train(self) -> None:
        """Imports and splits the kept cases, fine-tunes with the recipe."""
        if not self.table.exists():
            self._command("dataset", "import", "kept-cases", self.kept, "-o", self.table)
            self._command("dataset", "split", self.table, "--validation", "0.2", "--test", "0")
        recipe, _ = Recipes.planned(Recipes.read(self.given.recipe), str(self.table), str(self.given.bundle.absolute()))
        plan = self.out / "plan.json"
        replace_text(plan, json.dumps(self._shortened(recipe), indent=1) + "\n")
        self._timed("train", lambda: self._command("train", plan, "-o", self.run))

    def export(self) -> None:
        """Compares, and makes the new bundle; also of a run that is refused, so that its figures are seen."""
        if (self.better / "bundle.json").exists():
            return
        more = ["--even-if-worse"] if self.given.quick else []
        self._timed("export", lambda: self._export(more))

    def _export(self, more: Sequence[str]) -> None:
        command = ["export", self.run, "-o", self.better, "--cases", str(self.given.measured)]
        try:
            self._command(*command, *more)
        except subprocess.CalledProcessError:
            if not self._comparison()["refused"]:
                raise
            self._command(*command, "--even-if-worse")

    def measure(self, name: str, bundle: Path) -> None:
        """Rows of both kinds of held-out phantoms; those that are there are kept."""
        self._timed(f"measure {name}", lambda: [self._measure(name, kind, bundle) for kind in KINDS])

    def _measure(self, name: str, kind: str, bundle: Path) -> None:
        from uvlm_core.evaluation.phantom_cases import ready_bundle, study_row

        ready, folder = None, self.out / name / kind
        folder.mkdir(parents=True, exist_ok=True)
        for seed in self._held_out():
            if not (folder / f"{seed}.json").exists():
                ready = ready or ready_bundle(bundle)
                replace_text(folder / f"{seed}.json", json.dumps(study_row(self._phantom(seed, kind), ready)))

    def write(self) -> None:
        """closed_loop.json: figures before and after, what rose, what fell by more than a point."""
        infos = {"before": read_info(self.given.bundle), "after": read_info(self.better)}
        rows = {kind: {name: [json.loads((self.out / name / kind / f"{seed}.json").read_text("utf-8"))
                              for seed in self._held_out()] for name in infos} for kind in KINDS}
        figures = {kind: compared(found, infos) for kind, found in rows.items()}
        compare = self._comparison()
        result = {
            "bundle_sha256": self.sha256, "recipe": json.loads((self.out / "plan.json").read_text("utf-8")),
            "kept": self.given.cases, "held_out": self.given.held_out, "cores": os.cpu_count(), "minutes": self.minutes,
            "better": [name for name in FIGURES if figures["new"][name]["change"] > 0],
            "worse": [name for name in FIGURES if figures["new"][name]["change"] <= 0],
            "forgotten": [name for name in FIGURES if figures["old"][name]["change"] < -ALLOWED_LOSS],
            "figures": figures, "comparison": compare, "quick": self.given.quick}
        replace_text(self.out / "closed_loop.json", json.dumps(result, indent=1) + "\n")
        print(json.dumps({name: result[name] for name in ("figures", "better", "worse", "forgotten", "minutes")},
                         indent=1))
        print("refused:", compare["refused"])

    # ---- how it is done

    def _phantom(self, seed: int, kind: str) -> PhantomCase:
        size = {} if self.given.shape is None else {"shape": self.given.shape}
        return make_phantom(seed, scanner=KINDS[kind], **size)

    def _held_out(self) -> range:
        return range(HELD_OUT_SEEDS, HELD_OUT_SEEDS + self.given.held_out)

    def _shortened(self, recipe: dict) -> dict:
        """The recipe with few steps and phantoms of --quick."""
        if self.given.quick:
            for stage in recipe["stages"]:
                stage["steps"], stage["patch"] = self.given.steps, [32, 48, 48] if stage.get("patch") else None
            for source in recipe["data"]:
                if source["kind"] == "phantoms":
                    source |= {"count": self.given.phantoms, "shape": list(self.given.shape)}
        return recipe

    def _comparison(self) -> dict:
        return json.loads((self.run / "comparison.json").read_text("utf-8"))

    def _command(self, *arguments) -> None:
        """A command of `uvlm`, as the panel of UVLMTrain starts it."""
        self.run.mkdir(parents=True, exist_ok=True)
        child = ROOT / "UVLMTrain" / "UVLMTrainLib" / "RunChild.py"
        subprocess.run([sys.executable, str(child), str(ROOT), str(self.run), *map(str, arguments)], check=True)

    def _timed(self, name: str, work: Callable[[], object]) -> None:
        begin = time.perf_counter()
        work()
        self.minutes[name] = round((time.perf_counter() - begin) / 60, 1)
        print(f"{name}: {self.minutes[name]} minutes", flush=True)


def compared(rows: dict[str, list[dict]], infos: dict[str, BundleInfo]) -> dict[str, dict]:
    """figure -> before, after, change, and the middle 90 % of the change over cases drawn again and again.

    Args:
        rows: "before" and "after", of the same cases in the same order.
    """
    def figures(which: Sequence[int]) -> dict[str, np.ndarray]:
        found = {name: summary([rows[name][number] for number in which], info.assessed, info.thresholds)
                 for name, info in infos.items()}
        return {name: np.array([found[name].get(figure, np.nan) for figure in FIGURES]) for name in found}

    cases = len(rows["before"])
    told, rng = figures(range(cases)), np.random.default_rng(0)
    drawn = [figures(rng.integers(0, cases, cases)) for _ in range(RESAMPLINGS)]
    low, high = np.nanpercentile([row["after"] - row["before"] for row in drawn], [5, 95], axis=0)
    return {figure: {"before": round(float(told["before"][number]), 4), "after": round(float(told["after"][number]), 4),
                     "change": round(float(told["after"][number] - told["before"][number]), 4),
                     "change_90_percent": [round(float(low[number]), 4), round(float(high[number]), 4)]}
            for number, figure in enumerate(FIGURES)}


if __name__ == "__main__":
    main()
