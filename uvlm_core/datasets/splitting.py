"""Splits by patient: seeded, stratified over findings and sources, what is split already stays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from uvlm_core.datasets.problems import first_of
from uvlm_core.datasets.table import SPLITS, Case, moved, read_table, write_table
from uvlm_core.errors import CaseError


def split_table(path: str | Path, out: str | Path | None = None, validation: float = 0.1, test: float = 0.1,
                folds: int = 0, seed: int = 0, again: bool = False,
                notify: Callable[[str], None] = lambda text: None) -> list[Case]:
    """Fills the columns `split` and `fold` of a table; rows that have them keep them unless `again`.

    A part that was asked for and would stay empty, as where a data set comes with train and test only, gets its share
    of the patients in train.

    Args:
        out: another table, in any folder: its roots lead to the same files; None writes into the same one.
        validation, test: shares of the patients.
        folds: number of folds over the patients that are not in the test split; 0 leaves the column alone.
        seed: the same table and seed give the same split.
        again: splits everything anew, also what the data set came with.
        notify: called with one sentence for each part that was taken from train, or could not be.

    Raises:
        CaseError: shares that do not fit, or a patient who is in two splits or folds already.
    """
    if not (0 <= validation < 1 and 0 <= test < 1 and validation + test < 1):
        raise CaseError(f"The shares of validation and test lie between 0 and 1, together below 1; found "
                        f"{validation:g} and {test:g}.")
    if seed < 0:
        raise CaseError(f"The seed is 0 or more; found {seed}.")
    if folds == 1 or folds < 0:
        raise CaseError(f"The number of folds is 0 (none) or at least 2; found {folds}.")
    table = read_table(path)
    cases = table.cases if out is None else [moved(case, table, Path(out)) for case in table.cases]
    if again:
        for case in cases:
            case.split, case.fold = "", None if folds else case.fold
    shares = {"train": 1 - validation - test, "validation": validation, "test": test}
    shares = {name: share for name, share in shares.items() if share > 0}
    _assign(cases, "split", shares, seed)
    _fill_from_train(cases, shares, seed, notify)
    if folds:
        rest = [case for case in cases if case.split != "test"]
        _assign(rest, "fold", dict.fromkeys(range(folds), 1 / folds), seed)
    write_table(out or path, cases)
    return cases


def _fill_from_train(cases: Sequence[Case], shares: dict[str, float], seed: int, notify: Callable) -> None:
    """Gives each part without a case at least one patient of train; train keeps one, and test is never taken from."""
    empty = [name for name in shares if not any(case.split == name for case in cases)]
    pool = [case for case in cases if case.split == "train"]
    patients = len({case.patient for case in pool})
    lacking = [name for name in empty if name != "train"]
    filled = lacking[:max(patients - 1, 0)]
    for name in lacking[len(filled):]:
        notify(f"No case is left for {name}: train has {_patients(patients)}, too few to take one.")
    if not filled:
        return
    whole = sum(shares[name] for name in ("train", *filled))
    wanted = {name: max(1, round(patients * shares[name] / whole)) for name in filled}
    while sum(wanted.values()) >= patients:
        wanted[max(wanted, key=wanted.get)] -= 1
    for case in pool:
        case.split = ""
    kept = patients - sum(wanted.values())
    _assign(pool, "split", {name: number / patients for name, number in {"train": kept, **wanted}.items()}, seed)
    for name, number in wanted.items():
        notify(f"No case was left for {name}; it got {number} of the {_patients(patients)} of train.")


def _patients(number: int) -> str:
    return f"{number} patient" if number == 1 else f"{number} patients"


def patients_in_two(cases: Sequence[Case], column: str = "split") -> dict[str, list]:
    """Patient -> the different splits (or folds) of the patient's rows, where there are several."""
    found: dict[str, set] = {}
    for case in cases:
        if getattr(case, column) not in ("", None):
            found.setdefault(case.patient, set()).add(getattr(case, column))
    return {patient: sorted(values) for patient, values in found.items() if len(values) > 1}


def _assign(cases: Sequence[Case], column: str, shares: dict, seed: int) -> None:
    """Gives every patient without a value one of `shares`, so that each finding and source is shared out alike."""
    if twice := patients_in_two(cases, column):
        raise CaseError(f"Patients are in more than one {column}: {first_of(list(twice))}. Correct the column, or "
                        "split everything anew with --again.")
    patients: dict[str, list[Case]] = {}
    for case in cases:
        patients.setdefault(case.patient, []).append(case)
    traits = {patient: _traits(rows) for patient, rows in patients.items()}
    total = Counter(trait for rows in traits.values() for trait in rows)
    room = {value: Counter({trait: share * count for trait, count in total.items()}) for value, share in shares.items()}
    given = {}
    for patient, rows in patients.items():
        value = next((getattr(case, column) for case in rows if getattr(case, column) not in ("", None)), None)
        if value is not None:
            given[patient] = value
            _take(room, value, traits[patient])
    order = np.random.default_rng((seed, len(shares))).permutation(sorted(set(patients) - set(given)))
    places = _places(shares, len(patients), Counter(given.values()))
    # who has the rarest trait is placed first, as long as every part still has room for it
    for patient in sorted(order, key=lambda name: min(total[trait] for trait in traits[name])):
        rarest = sorted(traits[patient], key=lambda trait: (total[trait], trait))
        free = [value for value in room if places[value] > 0] or list(room)
        given[str(patient)] = max(free, key=lambda value: [room[value][trait] for trait in rarest])
        places[given[str(patient)]] -= 1
        _take(room, given[str(patient)], traits[patient])
    for patient, rows in patients.items():
        for case in rows:
            setattr(case, column, given[patient])


def _places(shares: dict, patients: int, given: Counter) -> dict:
    """How many patients each part still takes: whole numbers nearest to the shares, of those with too little first."""
    exact = {value: share * patients for value, share in shares.items()}
    places = {value: int(number) for value, number in exact.items()}
    for value in sorted(exact, key=lambda value: places[value] - exact[value])[: patients - sum(places.values())]:
        places[value] += 1
    return {value: number - given[value] for value, number in places.items()}


def _traits(rows: list[Case]) -> set[str]:
    """What has to be shared out: the patient as such, the source, findings that are present, kinds of knowledge."""
    found = {"patient", *(f"source {case.source}" for case in rows)}
    found |= {name for case in rows for name, value in case.findings.items() if value}
    found |= {"masks" for case in rows if case.has_masks} | {"report" for case in rows if case.report}
    return found


def _take(room: dict, value, traits: set[str]) -> None:
    if value in room:
        room[value].subtract(dict.fromkeys(traits, 1))


def counts(cases: Sequence[Case]) -> list[tuple[str, int, int]]:
    """(split, patients, scans) of a table, in the order train, validation, test, none."""
    rows = []
    for name in (*SPLITS, ""):
        own = [case for case in cases if case.split == name]
        if own:
            rows.append((name or "no split", len({case.patient for case in own}), len(own)))
    return rows
