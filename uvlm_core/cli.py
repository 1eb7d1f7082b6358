"""The `uvlm` command: parses, calls, prints. Every command imports what it needs only when it runs."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from uvlm_core.datasets.commands import app as dataset_app
from uvlm_core.errors import UVLMError, VolumeError
from uvlm_core.failures import CANCELLED, UNREAD, VERIFICATION, failure
from uvlm_core.processors import limit_threads
from uvlm_core.resources import resource
from uvlm_core.stopping import stoppable
from uvlm_core.version import VERSION

PLAIN = {"no_args_is_help": True, "rich_markup_mode": None}  # rich would double the time that --help takes
app = typer.Typer(**PLAIN, add_completion=False, pretty_exceptions_enable=False,
                  help="U-VLM for CT: masks, findings and a linked report. Research use only.",
                  epilog="With --debug, any command shows the traceback of an error.")
bundle_app = typer.Typer(**PLAIN, help="Look into model bundles.")
reference_app = typer.Typer(**PLAIN, help="Compare with the released U-VLM code.")
app.add_typer(bundle_app, name="bundle")
app.add_typer(reference_app, name="reference")
app.add_typer(dataset_app, name="dataset")

Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for the result.")]
Bundle = Annotated[Path, typer.Argument(help="Folder of a bundle.")]
Seed = Annotated[int, typer.Option(help="Seed of the first of them; never one that was trained on.")]


def _version(wanted: bool) -> None:
    if wanted:
        print(f"uvlm {VERSION}")
        raise typer.Exit


@app.callback()
def options(version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True,
                                                  help="Show the version and exit.")] = False) -> None:
    """Options of the command itself."""


@app.command()
def report(
    scan: Annotated[Path, typer.Argument(help="NIfTI, NRRD or MetaImage file, or a DICOM folder.")],
    out: Out,
    bundle: Annotated[Path | None, typer.Option(help="Folder of a model; default: the demo model.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32 or bf16.")] = "auto",
    series: Annotated[str | None, typer.Option(help="Series of a DICOM folder: number or part of its name.")] = None,
    json_progress: Annotated[bool, typer.Option("--json-progress", help="One JSON object per line on stdout.")] = False,
) -> None:
    """Read a CT: masks, finding probabilities, linked report.

    The result is a study folder with a page for the browser; it appears when it is complete.
    """
    from uvlm_core.inference.pipeline import run_report
    from uvlm_core.model.bundle import read_info
    from uvlm_core.terminal import JsonProgress, StageBar

    if not json_progress:
        info = read_info(bundle or resource("Models", "demo"))
        print(f"Model: {info.name} {info.version}, {info.licence}. {info.intended_use}", flush=True)
    progress = JsonProgress() if json_progress else StageBar()
    with stoppable("Cancelled. Nothing was left behind.") as stop, progress as show:
        run_report(scan, out, bundle, device, precision, progress=show, cancel=stop, series=series, notify=show.note)
    if json_progress:
        print(json.dumps({"event": "finished", "study": str(out)}), flush=True)
    else:
        print(f"Study: {out}\nPage:  {out / 'report.html'}\nResearch use only. Not for clinical decisions.")


@app.command()
def check(scan: Annotated[Path, typer.Argument(help="A scan file or DICOM folder.")],
          series: Annotated[str | None, typer.Option(help="Series of a DICOM folder.")] = None) -> None:
    """Say whether a scan is a CT that can be read, and its geometry."""
    from uvlm_core.terminal import volume_rows
    from uvlm_core.volumes.ct_check import check_ct
    from uvlm_core.volumes.reading import read_volume

    volume = read_volume(scan, series, notify=lambda text: print(text, file=sys.stderr))
    result = check_ct(volume)
    _print_rows(volume_rows(volume))
    for text in result.warnings:
        print(f"Note: {text}")
    if not result.is_ct:
        raise VolumeError(result.message)
    print("This is a CT that UVLM can read.")


@app.command()
def phantom(
    count: Annotated[int, typer.Argument(help="How many cases.")],
    out: Out,
    seed: Annotated[int, typer.Option(help="Seed of the first case.")] = 0,
    shape: Annotated[str, typer.Option(help="Voxels along z, y and x.")] = "96x128x128",
    region: Annotated[str | None, typer.Option(help="chest, abdomen, both or pelvis (liver to thighs); "
                                               "default: the first three, mixed.")] = None,
) -> None:
    """Write synthetic CT cases with masks, labels and reports."""
    from tqdm import tqdm

    from uvlm_core.phantom.table import write_cases

    sizes = _sizes(shape)
    with tqdm(total=count, unit="case", disable=not sys.stderr.isatty()) as bar:
        path = write_cases(count, out, seed, progress=lambda done, total: bar.update(done - bar.n), region=region,
                           shape=sizes)
    print(f"Cases: {path}")


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe or path of a .json file.")],
    out: Out,
    stage: Annotated[int | None, typer.Option(help="Only this stage, from 1; default: all.")] = None,
    start: Annotated[Path | None, typer.Option(help="Weights (.safetensors) or bundle to start from.")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of the real scans; default: UVLM_DATA.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or mps.")] = "cpu",
    estimate: Annotated[bool, typer.Option("--estimate", help="Only tell parameters, memory and time.")] = False,
    export_shell: Annotated[Path | None, typer.Option(help="Only write a shell script that trains.")] = None,
    export_slurm: Annotated[Path | None, typer.Option(help="Only write a SLURM script that trains.")] = None,
    nodes: Annotated[int, typer.Option(help="Machines of the SLURM script.")] = 1,
    gpus: Annotated[int | None, typer.Option(help="GPUs per machine of the scripts; default: as --device says "
                                                  "(shell), 1 (SLURM).")] = None,
) -> None:
    """Train the stages of a recipe; the same command resumes them."""
    if estimate:
        from uvlm_core.training.estimate import estimate_command

        print("\n".join(estimate_command(recipe, out, data, device, stage, start)))
        return
    if export_shell or export_slurm:
        from uvlm_core.training.launch_script import export_scripts

        for path in export_scripts(recipe, out, stage, start, data, export_shell, export_slurm, nodes, gpus,
                                   device):
            print(f"Script: {path}")
        return
    from uvlm_core.training.run import train_command

    with stoppable("Stopped. The same command goes on from there.") as stop:
        weights = train_command(recipe, out, stage, start, data, device, cancel=stop)
    if os.environ.get("RANK", "0") == "0":  # one of the processes that train together
        print(f"Weights: {weights}")


@app.command()
def plot(
    run: Annotated[Path, typer.Argument(help="Folder of a training run, finished or not.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Picture: .png, .pdf or .svg.")],
) -> None:
    """Draw the losses and validation figures of a training run."""
    from uvlm_core.training.loss_plot import plot_run

    print(f"Plot: {plot_run(run, out)}")


@app.command("export")
def export_bundle(
    run: Annotated[Path, typer.Argument(help="Folder of a finished training run.")],
    out: Out,
    cases: Annotated[int, typer.Option(help="Phantoms to measure the model on.")] = 200,
    seed: Seed = 900000,
    data: Annotated[Path | None, typer.Option(help="Folder of the real scans, to tell the fit on them too.")] = None,
    even_if_worse: Annotated[bool, typer.Option("--even-if-worse", help="Also one that lost to its start.")] = False,
    device: Annotated[str, typer.Option(help="cpu, cuda or mps.")] = "cpu",
) -> None:
    """Make a bundle of a finished training run.

    Chooses thresholds, measures the model on new phantoms and writes the model card. A model that started from a bundle
    must have become better on held-out cases.
    """
    from uvlm_core.training.export import export_run

    print(f"Bundle: {export_run(run, out, cases, seed, data, even_if_worse, device)}")


@app.command("export-study")
def export_study_files(
    study: Annotated[Path, typer.Argument(help="Study folder of a finished report.")],
    dicom: Annotated[Path, typer.Option(help="DICOM folder of the scan that was read.")],
    out: Out,
    series: Annotated[str | None, typer.Option(help="Series of the DICOM folder: number or UID.")] = None,
    edited: Annotated[Path | None, typer.Option(help="Edited report (JSON) of UVLMReport, for FHIR.")] = None,
) -> None:
    """Write a study as DICOM SEG and SR and as a FHIR report."""
    from uvlm_core.report.export_study import export_study

    for path in export_study(study, dicom, out, series, edited, notify=lambda text: print(text, file=sys.stderr)):
        print(path)


@app.command()
def evaluate(
    bundle: Bundle,
    out: Out,
    cases: Annotated[int, typer.Option(help="Phantoms to measure the model on.")] = 200,
    seed: Seed = 900000,
) -> None:
    """Measure a bundle on new phantoms: masks, probabilities, text.

    The same command goes on after a kill.
    """
    from uvlm_core.evaluation.bundle_figures import FIGURES, evaluate_bundle

    _print_figures(evaluate_bundle(bundle, out, cases, seed))
    print(f"Figures: {out / FIGURES}")


@app.command()
def info() -> None:
    """Versions and devices."""
    from uvlm_core.terminal import machine_rows

    _print_rows(machine_rows())


@app.command()
def worker(
    parent: Annotated[int | None, typer.Option(help="Process whose end ends the worker; default: its starter.")] = None,
    timings: Annotated[Path | None, typer.Option(help="File with the seconds of former runs; default: none.")] = None,
) -> None:
    """Serve another program over stdin and stdout.

    See docs/worker-protocol.md; the Slicer modules start it.
    """
    from uvlm_core.worker.server import serve_process

    serve_process(parent, None if timings is None else str(timings))


@bundle_app.command("info")
def bundle_info(folder: Bundle) -> None:
    """What a bundle is, its licence, use and figures."""
    from uvlm_core.model.bundle import read_info

    found = read_info(folder)
    size = sum(entry["bytes"] for entry in found.files.values()) / 1e6
    _print_rows([("Name", f"{found.name} {found.version}"), ("Licence", found.licence),
                 ("Intended use", found.intended_use), ("Training data", found.training_data),
                 ("Size", f"{size:.1f} MB"), ("Findings", ", ".join(found.assessed))])
    _print_figures(found.figures)


@bundle_app.command("verify")
def bundle_verify(folder: Bundle) -> None:
    """Check that a bundle is complete and unaltered."""
    from uvlm_core.model.bundle import load_bundle

    print(f"The bundle {load_bundle(folder).info.name} is complete and unaltered.")


@reference_app.command("verify")
def reference_verify(folder: Annotated[Path, typer.Argument(help="Folder of one fixture.")]) -> None:
    """Reproduce one fixture of the released code; the largest error of each output is printed."""
    from uvlm_core.model.reference_verify import verify_and_print

    if not verify_and_print(folder):
        raise typer.Exit(VERIFICATION)


@reference_app.command("import")
def reference_import(
    checkpoint: Annotated[Path, typer.Argument(help="A .pth of nnU-Net v2 (ResEnc) or of the released U-VLM code.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="File for the weights, .safetensors.")],
    recipe: Annotated[str, typer.Option(help="Recipe whose model takes the weights.")] = "paper-chest",
) -> None:
    """Make start weights for uvlm train from a checkpoint; nothing in it is executed."""
    from uvlm_core.training.reference_weights import import_command

    print("\n".join(import_command(checkpoint, out, recipe)))


def main() -> None:
    """Runs the command and ends the process with its exit code; see `failures` for the codes."""
    debug = "--debug" in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a narrow terminal encoding must not end a run
    limit_threads()
    try:
        code = app(arguments or ["--help"], prog_name="uvlm", standalone_mode=False)  # what typer.Exit carries
        if code == CANCELLED:  # typer turns a KeyboardInterrupt into this
            raise KeyboardInterrupt
    except (BrokenPipeError, SystemExit):  # typer turns the first into the second
        # who read the output has gone; nobody is left to be told
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(UNREAD)
    except (Exception, KeyboardInterrupt) as error:
        if debug:
            raise
        code, text = failure(error)
        if "--json-progress" in arguments:
            print(json.dumps({"event": "failed", "exit_code": code, "message": text}), flush=True)
        print(text, file=sys.stderr, flush=True)
    sys.exit(code if isinstance(code, int) else 0)


def _sizes(shape: str) -> tuple[int, int, int]:
    try:
        z, y, x = (int(size) for size in shape.lower().replace(",", "x").split("x"))
    except ValueError as error:
        raise UVLMError(f"A shape is three numbers such as 96x128x128 (z, y, x); found '{shape}'.") from error
    return z, y, x


def _print_rows(rows: list[tuple[str, str]]) -> None:
    for name, value in rows:
        print(f"{name:14} {value}")


def _print_figures(figures: dict) -> None:
    for name, value in figures.items():
        if isinstance(value, (int, float)):
            print(f"  {name:38} {value if isinstance(value, int) else format(value, '.3f')}")


if __name__ == "__main__":
    main()
