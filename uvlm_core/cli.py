"""The `uvlm` command: parses, calls, prints. Every command imports what it needs only when it runs."""

from __future__ import annotations

import json
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

from uvlm_core.errors import Cancelled, UVLMError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
                  help="U-VLM for CT: masks, findings and a linked report. Research use only.")
bundle_app = typer.Typer(no_args_is_help=True, help="Look into model bundles.")
reference_app = typer.Typer(no_args_is_help=True, help="Compare with the released U-VLM code.")
app.add_typer(bundle_app, name="bundle")
app.add_typer(reference_app, name="reference")

Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for the result.")]
_stop = threading.Event()


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
    """Read a CT: masks, a probability per finding and a linked report, as a study folder with a page."""
    from uvlm_core.inference.pipeline import run_report
    from uvlm_core.terminal import JsonProgress, StageBar

    with (JsonProgress() if json_progress else StageBar()) as show:
        run_report(scan, out, bundle, device, precision, progress=show, cancel=_stop.is_set, series=series,
                   notify=show.note)
    if json_progress:
        print(json.dumps({"event": "finished", "study": str(out)}), flush=True)
    else:
        print(f"Study: {out}\nPage:  {out / 'report.html'}\nResearch use only. Not for clinical decisions.")


@app.command()
def check(scan: Annotated[Path, typer.Argument(help="A scan file or DICOM folder.")],
          series: Annotated[str | None, typer.Option(help="Series of a DICOM folder.")] = None) -> None:
    """Say whether a scan can be read and is a CT."""
    from uvlm_core.volumes.ct_check import check_ct
    from uvlm_core.volumes.reading import read_volume

    volume = read_volume(scan, series, notify=lambda text: print(text, file=sys.stderr))
    result = check_ct(volume)
    spacing = " x ".join(f"{step:.3g}" for step in volume.spacing[::-1])
    print(f"{volume.name}: {' x '.join(map(str, volume.shape[::-1]))} voxels of {spacing} mm (x, y, z)")
    for text in result.warnings:
        print(f"Note: {text}")
    if not result.is_ct:
        raise UVLMError(" ".join(result.reasons))
    print("This is a CT that UVLM can read.")


@app.command()
def phantom(
    count: Annotated[int, typer.Argument(help="How many cases.")],
    out: Out,
    seed: Annotated[int, typer.Option(help="Seed of the first case.")] = 0,
    region: Annotated[str | None, typer.Option(help="chest, abdomen or both; default: mixed.")] = None,
) -> None:
    """Write synthetic CT cases: images, label maps and a table with reports and labels."""
    from tqdm import tqdm

    from uvlm_core.phantom.table import write_cases

    with tqdm(total=count, unit="case", disable=not sys.stderr.isatty()) as bar:
        path = write_cases(count, out, seed, progress=lambda done, total: bar.update(done - bar.n), region=region)
    print(f"Cases: {path}")


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe (demo) or path of a .json file.")],
    out: Out,
    stage: Annotated[int | None, typer.Option(help="Only this stage, from 1; default: all.")] = None,
    start: Annotated[Path | None, typer.Option(help="Weights (.safetensors) to start from.")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of the real scans; default: UVLM_DATA.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or mps.")] = "cpu",
) -> None:
    """Train the stages of a recipe. The same command goes on after a kill."""
    from uvlm_core.training.run import train_command

    weights = train_command(recipe, out, stage, start, data, device, cancel=_stop.is_set)
    print(f"Weights: {weights}")


@app.command("export")
def export_bundle(
    run: Annotated[Path, typer.Argument(help="Folder of a finished training run.")],
    out: Out,
    cases: Annotated[int, typer.Option(help="Phantoms to measure the model on.")] = 200,
    seed: Annotated[int, typer.Option(help="Seed of the first of them; never one that was trained on.")] = 900000,
) -> None:
    """Make a bundle of a training run: choose thresholds, measure it on new phantoms, write the model card."""
    from uvlm_core.training.export import export_run

    print(f"Bundle: {export_run(run, out, cases, seed)}")


@app.command()
def info() -> None:
    """Versions and devices."""
    from uvlm_core.terminal import machine_rows

    for name, value in machine_rows():
        print(f"{name:14} {value}")


@bundle_app.command("info")
def bundle_info(folder: Annotated[Path, typer.Argument(help="Folder of a bundle.")]) -> None:
    """What a bundle is, its licence, intended use and measured figures."""
    from uvlm_core.model.bundle import read_info

    found = read_info(folder)
    size = sum(entry["bytes"] for entry in found.files.values()) / 1e6
    rows = {"Name": f"{found.name} {found.version}", "Licence": found.licence, "Intended use": found.intended_use,
            "Training data": found.training_data, "Size": f"{size:.1f} MB", "Findings": ", ".join(found.assessed)}
    for name, value in rows.items():
        print(f"{name:14} {value}")
    for name, value in found.figures.items():
        if isinstance(value, (int, float)):
            print(f"  {name:38} {value:.3f}")


@bundle_app.command("verify")
def bundle_verify(folder: Annotated[Path, typer.Argument(help="Folder of a bundle.")]) -> None:
    """Check every file of a bundle, and that its weights fit its configuration."""
    from uvlm_core.model.bundle import load_bundle

    print(f"The bundle {load_bundle(folder).info.name} is complete and unaltered.")


@reference_app.command("verify")
def reference_verify(folder: Annotated[Path, typer.Argument(help="Folder of one fixture.")]) -> None:
    """Reproduce one fixture of the released code; the largest error of each output is printed."""
    from uvlm_core.model.reference_verify import verify_and_print

    if not verify_and_print(folder):
        raise typer.Exit(1)


def main() -> None:
    """Runs the command; users see sentences, never a traceback (unless they ask with --debug)."""
    debug = "--debug" in sys.argv
    if debug:
        sys.argv.remove("--debug")
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # a narrow terminal encoding must not end a run
    signal.signal(signal.SIGINT, lambda *_: _interrupt())
    signal.signal(signal.SIGTERM, lambda *_: _interrupt())
    try:
        code = app(standalone_mode=False)  # what typer.Exit carries comes back as a number
        sys.exit(code if isinstance(code, int) else 0)
    except (Cancelled, KeyboardInterrupt) as error:
        _say(str(error) or "Cancelled; nothing was left behind.")
        sys.exit(130)
    except UVLMError as error:
        if debug:
            raise
        _say(f"Error: {error}")
        sys.exit(2)
    except Exception as error:
        if debug:
            raise
        if hasattr(error, "format_message"):  # a wrong option or argument
            _say(f"Error: {error.format_message()}\nSee: uvlm --help")
            sys.exit(2)
        _say(f"Error: something unexpected happened ({type(error).__name__}: {error}). Nothing was written. "
             "Run the same command with --debug and send what it prints to the developers.")
        sys.exit(70)


def _interrupt() -> None:
    """First Ctrl-C: stop at the next safe point. Second: stop now."""
    if _stop.is_set():
        raise KeyboardInterrupt
    _stop.set()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
