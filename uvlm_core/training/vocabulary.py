"""The tokenizer of a training run, learned from the run's own reports and kept beside its weights."""

from __future__ import annotations

import os
from pathlib import Path

from uvlm_core.errors import RecipeError
from uvlm_core.model.tokenizer import Tokenizer, train_tokenizer
from uvlm_core.report.cues import write_cues
from uvlm_core.training import processes
from uvlm_core.training.cue_facts import cues_of_planted
from uvlm_core.training.prepare import GridCase

TOKENIZER = "tokenizer.json"
WORDINGS = 4  # of each case; rare wordings beyond that are spelled from smaller tokens


def run_tokenizer(cases: list[GridCase], size: int, out: Path) -> Tokenizer:
    """The tokenizer in `out`, learned from the reports and cues of `cases` where there is none yet.

    Raises:
        RecipeError: no case has a report, or the kept tokenizer has more than `size` tokens.
    """
    path = out / TOKENIZER
    if processes.is_main() and not path.exists():
        texts = [case.report(wording) for case in cases if case.has_report for wording in range(WORDINGS)]
        if not texts:
            raise RecipeError("None of the training cases has a report; the report stage needs some.")
        texts += [write_cues(cues_of_planted(case.planted), case.imaged, "measurements")
                  for case in cases if case.has_report]
        beside = path.with_name(path.name + ".writing")
        beside.write_text(train_tokenizer(texts, size).to_json(), "utf-8")
        os.replace(beside, path)
    processes.wait()
    tokenizer = Tokenizer.from_file(path)
    if tokenizer.size > size:
        raise RecipeError(f"{path} has {tokenizer.size} tokens, the recipe's tokenizer_size is {size}; "
                          "set it to at least that, or start a new run folder.")
    return tokenizer
