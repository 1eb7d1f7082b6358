"""The loop: a killed run ends with the same weights as one that was never killed."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from uvlm_core.errors import Cancelled, RecipeError
from uvlm_core.training.loop import StageTask, fit
from uvlm_core.training.loss_plot import plot_run
from uvlm_core.training.recipe import Recipe, StageRecipe, load_recipe
from uvlm_core.training.run_log import RunLog, read_metrics
from uvlm_core.training.schedule import parameter_groups, rate_factor

RECIPE = StageRecipe(kind="segmentation", steps=23, rate=0.02, warm_up=3, ema=0.9, checkpoint_every=5, accumulate=2,
                     precision="fp32", validate_every=10)


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.encoder = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Dropout(0.2))
        self.head = nn.Linear(16, 1)

    def forward(self, x):
        return self.head(self.encoder(x))


def task() -> StageTask:
    def loss(model, part):
        x = torch.randn(16, 6, generator=torch.Generator().manual_seed(part.number))
        return (model(x)[:, 0] - x.prod(1)).square().mean(), {"inputs": 16}

    return StageTask(loss, lambda model: {"score": float(-model(torch.ones(1, 6)).abs())})


def weights(model: nn.Module) -> list[torch.Tensor]:
    return [value.clone() for value in model.state_dict().values()]


@pytest.mark.parametrize("killed_after", [1, 4, 5, 11, 22])
def test_killed_and_resumed_equals_never_killed(tmp_path, killed_after):
    whole = Network()
    fit(whole, task(), RECIPE, tmp_path / "whole", seed=3, quiet=True)

    class Kill(BaseException):
        pass

    def killing() -> StageTask:
        inner = task()

        def loss(model, part):
            if part.number >= killed_after * RECIPE.accumulate:
                raise Kill  # as abrupt as a signal: nothing may be saved after this
            return inner.loss(model, part)

        return StageTask(loss, inner.validate)

    with pytest.raises(Kill):
        fit(Network(), killing(), RECIPE, tmp_path / "killed", seed=3, quiet=True)
    resumed = Network()
    fit(resumed, task(), RECIPE, tmp_path / "killed", seed=3, quiet=True)
    assert all(torch.equal(a, b) for a, b in zip(weights(whole), weights(resumed), strict=True))

    def rows(name):
        lines = [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        return [{key: value for key, value in row.items() if key != "seconds"} for row in lines]

    assert rows("whole") == rows("killed")
    assert [row["step"] for row in rows("killed")] == list(range(1, 24))


def test_cancel_saves_and_goes_on(tmp_path):
    asked = iter([False, False, True])
    with pytest.raises(Cancelled, match="step 3 of 23"):
        fit(Network(), task(), RECIPE, tmp_path, seed=3, cancel=lambda: next(asked), quiet=True)
    fit(Network(), task(), RECIPE, tmp_path, seed=3, quiet=True)


def test_another_recipe_does_not_resume_a_foreign_run(tmp_path):
    fit(Network(), task(), RECIPE, tmp_path, seed=3, quiet=True)
    with pytest.raises(RecipeError, match="another recipe"):
        fit(Network(), task(), replace(RECIPE, rate=0.5), tmp_path, seed=3, quiet=True)


def test_patience_ends_a_stage_early(tmp_path):
    stuck = StageTask(task().loss, lambda model: {"score": 0.0})
    recipe = replace(RECIPE, steps=100, validate_every=5, patience=2)
    fit(Network(), stuck, recipe, tmp_path, seed=3, quiet=True)
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 15


def test_the_best_weights_forget_no_source(tmp_path):
    """The scores rise all the time, but from step 20 on the phantoms pay for it."""
    figures = iter([{"score": score, "source_new_dice": new, "source_old_dice": old}
                    for score, new, old in ((1.0, 0.3, 0.70), (1.1, 0.4, 0.695), (1.2, 0.5, 0.68), (1.3, 0.6, 0.68))])
    scripted = StageTask(task().loss, lambda model: next(figures))
    best = fit(Network(), scripted, replace(RECIPE, keep_best=True), tmp_path, seed=3, quiet=True)
    assert best["score"] == 1.1


def test_few_corrections_are_not_outvoted(monkeypatch):
    import numpy as np

    from uvlm_core.training import segmentation

    def overlap(predicted, case):
        return {"liver": case.overlap, "liver_lesion": [0, 10]}

    cases = [SimpleNamespace(source="corrections", overlap=[5, 10])]
    cases += [SimpleNamespace(source="phantoms", overlap=[9, 10]) for _ in range(9)]
    monkeypatch.setattr(segmentation, "overlaps", overlap)
    monkeypatch.setattr(segmentation, "predict_labels", lambda model, case: None)
    figures = segmentation.validate_segmentation(None, cases)
    assert np.isclose(figures["score"], (0.5 + 0.9) / 2) and np.isclose(figures["organ_dice"], 0.86)
    assert figures["source_corrections_organ_dice"] == 0.5 and figures["source_phantoms_lesion_dice"] == 0
    assert not any(name.startswith("source_") for name in segmentation.validate_segmentation(None, cases[1:]))


def test_a_diverging_loss_says_what_to_do(tmp_path):
    broken = StageTask(lambda model, part: (model(torch.ones(1, 6)).sum() * float("nan"), {}))
    with pytest.raises(RecipeError, match="Lower 'rate'"):
        fit(Network(), broken, RECIPE, tmp_path, seed=3, quiet=True)


def test_a_gradient_that_is_not_finite_never_reaches_the_weights(tmp_path):
    def loss(model, part):
        value = model(torch.ones(1, 6)).sum()
        if part.number == 3:
            value.register_hook(lambda gradient: gradient * float("nan"))
        return value * 1.0, {}

    network = Network()
    with pytest.raises(RecipeError, match=r"gradient of step 2 is nan .* larger 'patch'"):
        fit(network, StageTask(loss), RECIPE, tmp_path, seed=3, quiet=True)
    assert all(torch.isfinite(weight).all() for weight in network.parameters())


def test_norms_and_biases_are_not_decayed_and_the_encoder_has_its_own_rate():
    groups = parameter_groups(Network(), 1.0, 0.1, 0.5)
    for group in groups:
        for parameter in group["params"]:
            assert group["weight_decay"] == (0.1 if parameter.ndim > 1 else 0.0)
    assert sorted({group["rate"] for group in groups}) == [0.5, 1.0]


@pytest.mark.parametrize("schedule", ["cosine", "poly"])
def test_schedules_warm_up_and_end_near_zero(schedule):
    factors = [rate_factor(schedule, step, 100, 10) for step in range(100)]
    assert factors[0] < 0.1 and max(factors) == pytest.approx(1, abs=0.1) and factors[-1] < 0.03
    assert factors[10:] == sorted(factors[10:], reverse=True)


def test_recipes_name_what_is_wrong():
    good = load_recipe("demo").to_dict()
    assert Recipe.from_dict(good) == load_recipe("demo")
    with pytest.raises(RecipeError, match="learning_speed"):
        Recipe.from_dict({**good, "learning_speed": 1})
    with pytest.raises(RecipeError, match="lacks stages"):
        Recipe.from_dict({name: value for name, value in good.items() if name != "stages"})
    with pytest.raises(RecipeError, match="demo"):
        load_recipe("no-such-recipe")


def test_tensorboard_has_the_same_figures(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    fit(Network(), task(), RECIPE, tmp_path / "run" / "stage1-segmentation", seed=3, quiet=True)
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard" / "stage1-segmentation")).Reload()
    rows = read_metrics(tmp_path / "run" / "stage1-segmentation")
    assert [event.step for event in events.Scalars("loss")] == [row["step"] for row in rows]
    assert [event.value for event in events.Scalars("loss")] == pytest.approx([row["loss"] for row in rows], rel=1e-4)
    assert [event.step for event in events.Scalars("validation/score")] == [10, 20, 23]


def test_a_logger_that_fails_does_not_end_the_training(tmp_path, caplog):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "tensorboard").write_text("a file where a folder should be")
    fit(Network(), task(), RECIPE, tmp_path / "run" / "stage1-segmentation", seed=3, quiet=True)
    assert len(read_metrics(tmp_path / "run" / "stage1-segmentation")) == 23
    assert "tensorboard does not log this run" in caplog.text


def test_a_plot_shows_every_stage_that_has_begun(tmp_path):
    from PIL import Image

    for number in (1, 2, 10):
        fit(Network(), task(), RECIPE, tmp_path / "run" / f"stage{number}-segmentation", seed=3, quiet=True)
    (tmp_path / "run" / "stage11-report").mkdir()
    (tmp_path / "run" / "stage11-report" / "metrics.jsonl").write_text('{"step": 1, "lo')  # killed at once
    picture = Image.open(plot_run(tmp_path / "run", tmp_path / "plots" / "losses.png"))
    assert picture.size == (1200, round(120 * (3 * 2.4 + 0.6)))
    assert len(picture.convert("RGB").getcolors(1 << 24)) > 20  # curves, no empty page
    with pytest.raises(RecipeError, match="no stage with a logged step"):
        plot_run(tmp_path, tmp_path / "x.png")


def test_mlflow_has_the_same_figures_and_stays_in_the_run_folder(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    stage = tmp_path / "run" / "stage1-segmentation"
    fit(Network(), task(), RECIPE, stage, seed=3, quiet=True)
    assert [path.name for path in (tmp_path / "run").iterdir() if path.name.startswith("mlruns")]
    RunLog(stage, keep_until=24).close()  # a resumed run goes on in the same run of MLflow
    client, run = mlflow.tracking.MlflowClient(), (stage / "mlflow_run.txt").read_text()
    assert [found.info.run_id for found in client.search_runs(client.get_run(run).info.experiment_id)] == [run]
    history, rows = client.get_metric_history(run, "loss"), read_metrics(stage)
    assert [row.step for row in history] == [row["step"] for row in rows]
    assert [row.value for row in history] == pytest.approx([row["loss"] for row in rows], rel=1e-4)
