"""A recipe: everything that decides what a training run does, as one JSON file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from uvlm_core.errors import RecipeError
from uvlm_core.resources import resource
from uvlm_core.training.recipe_check import (
    check_entries,
    check_labels,
    check_language_model,
    check_sources,
    check_stage_sources,
)

KINDS = ("segmentation", "classification", "report")
PARTS = ("encoder", "segmenter", "classifier", "injection", "language")


@dataclass(frozen=True)
class StageRecipe:
    """One training stage.

    `kind` is segmentation, classification or report; `patch` is (Z, Y, X) voxels of the model grid, None takes whole
    cases; `sources` names the data sources to train on, None takes all; `accumulate` batches make one optimizer step,
    whose cases all processes share; `checkpointing` computes the activations of encoder and segmenter twice instead
    of keeping them; `encoder_rate` multiplies `rate` for encoder and segmenter; `segmentation_weight` keeps the
    segmentation loss in stage 2; `rare_voxels` is how much more a voxel of a rare label counts in the cross-entropy
    of the masks (0: all alike, which ends with masks that are not too large); `absent_voxels` makes a false mask of a
    label that is not there cost as much as so many voxels too many of one that is (0: only its voxels count); `draw`
    gives the odds with which a patch is drawn around a label (default 3 for a lesion, 1 for an organ); `plant` gives
    the chance with which a synthetic lesion of a label is drawn into a patch that has room for one; `fixed_norms`
    measures the norms of encoder and segmenter on so many whole cases and keeps them from then on (0: leaves the
    norms as they are), after which patches and whole scans are seen alike; `recombined` is the share of report
    batches that practise text on recombined findings without an image (1: no image at all, a warm-up that needs no
    trained encoder); `ema` is the decay of the averaged weights that validation and the bundle use; `patience` ends
    the stage after so many validations without a better score (0: never); `keep_best` also validates before the first
    step and ends with the best weights instead of the last; `optimizer` is adamw or sgd (momentum 0.99, Nesterov, as
    nnU-Net); `trained_parts` names the parts of the model that may change (encoder, segmenter, classifier, injection,
    language), None is all that the stage needs.
    """

    kind: str
    steps: int
    batch: int = 1
    accumulate: int = 1
    rate: float = 1e-3
    warm_up: int = 50
    schedule: str = "cosine"
    weight_decay: float = 0.01
    clip: float = 12.0
    ema: float = 0.995
    precision: str = "auto"
    patch: tuple[int, int, int] | None = None
    sources: tuple[str, ...] | None = None
    freeze_encoder: bool = False
    encoder_rate: float = 1.0
    segmentation_weight: float = 0.0
    rare_voxels: float = 0.5
    absent_voxels: float = 0.0
    draw: dict = field(default_factory=dict)
    plant: dict = field(default_factory=dict)
    fixed_norms: int = 0
    augment: bool = True
    mirror: float = 0.0
    label_smoothing: float = 0.0
    wordings: int = 8
    cue_dropout: float = 0.1
    recombined: float = 0.0
    validate_every: int = 250
    checkpoint_every: int = 50
    patience: int = 0
    checkpointing: bool = False
    keep_best: bool = False
    optimizer: str = "adamw"
    trained_parts: tuple[str, ...] | None = None

    def __post_init__(self):
        if self.kind not in KINDS:
            raise RecipeError(f"A stage's kind is one of {', '.join(KINDS)}; found '{self.kind}'.")
        for name in ("steps", "batch", "accumulate", "checkpoint_every", "validate_every"):
            if getattr(self, name) < 1:
                raise RecipeError(f"'{name}' of the {self.kind} stage must be at least 1; found {getattr(self, name)}.")
        for name, known in (("schedule", ("poly", "cosine", "constant")), ("precision", ("auto", "bf16", "fp32"))):
            if getattr(self, name) not in known:
                raise RecipeError(f"'{name}' of the {self.kind} stage is one of {', '.join(known)}; "
                                  f"found '{getattr(self, name)}'.")
        if self.optimizer not in ("adamw", "sgd"):
            raise RecipeError(f"'optimizer' of the {self.kind} stage is adamw or sgd; found '{self.optimizer}'.")
        if unknown := sorted(set(self.trained_parts or ()) - set(PARTS)):
            raise RecipeError(f"'trained_parts' of the {self.kind} stage are of {', '.join(PARTS)}; "
                              f"found {', '.join(unknown)}.")
        if self.trained_parts is not None:
            object.__setattr__(self, "trained_parts", tuple(self.trained_parts))
        if self.sources is not None:
            object.__setattr__(self, "sources", tuple(self.sources))
        if self.patch is not None:
            object.__setattr__(self, "patch", tuple(int(size) for size in self.patch))

    @property
    def draws_by_weight(self) -> bool:
        """Whether a source's weight decides how often its cases are drawn; else all cases are drawn alike."""
        return self.kind == "segmentation" or (self.kind == "classification" and not self.freeze_encoder)


@dataclass(frozen=True)
class Recipe:
    """A whole run: model preset, data sources and stages in order.

    `data` is a list of sources, each ``{"kind": "phantoms", "count", "first_seed", ...}``,
    ``{"kind": "real", "image", "labels", ...}`` or ``{"kind": "table", "path"}``; see `training.prepare`.
    `language_model` puts a causal language model of Hugging Face in the place of the decoder: ``{"folder": PATH}``,
    with ``"lora": {"rank", "alpha", "dropout", "targets"}`` (all optional) trained by low-rank additions.
    `bundle` starts from a finished model: the folder of a bundle, or "demo" for the one that comes with UVLM. Its
    configuration and tokenizer then stand in the place of `preset`, `model` and `tokenizer_size`.
    """

    name: str
    preset: str
    seed: int
    data: list[dict]
    stages: list[StageRecipe]
    model: dict = field(default_factory=dict)
    tokenizer_size: int = 1000
    licence: str = "Apache-2.0"
    description: str = ""
    language_model: dict | None = None
    bundle: str | None = None

    def to_dict(self) -> dict:
        """The recipe as plain JSON values; `Recipe.from_dict` is the way back."""
        return asdict(self)

    def numbers(self, stage: int | None) -> list[int]:
        """Numbers of all stages, from 1, or only of `stage`. Raises RecipeError where there is no such stage."""
        if stage is not None and not 1 <= stage <= len(self.stages):
            raise RecipeError(f"The recipe has stages 1 to {len(self.stages)}; found {stage}.")
        return [number for number in range(1, len(self.stages) + 1) if stage in (None, number)]

    @staticmethod
    def from_dict(values: dict) -> Recipe:
        """Raises RecipeError that names an unknown or missing entry."""
        values = dict(check_entries(values, Recipe, "the recipe"))
        missing = [name for name in ("name", "preset", "seed", "data", "stages") if name not in values]
        if missing:
            raise RecipeError(f"The recipe lacks {', '.join(missing)}.")
        if not values["data"] or not values["stages"]:
            raise RecipeError(f"The recipe has {len(values['data'])} data sources and {len(values['stages'])} stages; "
                              "it needs at least one of each.")
        check_sources(values["data"])
        if values.get("language_model") is not None:
            check_language_model(values["language_model"])
        stages = []
        for number, row in enumerate(values["stages"], 1):
            where = f"stage {number} ({row.get('kind', 'of no kind')})"
            check_labels(check_entries(row, StageRecipe, where), where)
            if missing := [name for name in ("kind", "steps") if name not in row]:
                raise RecipeError(f"Stage {number} lacks {', '.join(missing)}.")
            stages.append(StageRecipe(**row))
        check_stage_sources(stages, values["data"])
        return Recipe(**{**values, "stages": stages})


def load_recipe(name_or_path: str | Path) -> Recipe:
    """A recipe of `Resources/Recipes` by its name, or a JSON file by its path."""
    path = Path(name_or_path)
    if path.suffix != ".json":
        try:
            path = resource("Recipes", f"{name_or_path}.json")
        except FileNotFoundError as error:
            names = sorted(entry.stem for entry in resource("Recipes").glob("*.json"))
            raise RecipeError(f"No recipe is named '{name_or_path}'; there are {', '.join(names)}, "
                              "or give the path of a .json file.") from error
    try:
        return Recipe.from_dict(json.loads(path.read_text("utf-8")))
    except FileNotFoundError as error:
        raise RecipeError(f"There is no recipe at {path}.") from error
    except (json.JSONDecodeError, TypeError) as error:
        raise RecipeError(f"{path} is not a recipe: {error}") from error
