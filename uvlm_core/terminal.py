"""What the command shows while it works: a bar for people, JSON lines for machines."""

from __future__ import annotations

import json
import platform
import sys

from tqdm import tqdm

from uvlm_core.inference.progress import SHARES, STAGES, Progress
from uvlm_core.version import VERSION


class StageBar:
    """One bar over all stages with the name of the current one and an estimate of the time that is left.

    Where nobody watches (a log file, a cluster's job) it is one line per stage.
    """

    def __enter__(self):
        self.stage = None
        self.bar = tqdm(total=sum(SHARES.values()), bar_format="{desc:14}|{bar}| {percentage:3.0f}% {remaining} left",
                        disable=not sys.stderr.isatty(), leave=False)
        return self

    def __exit__(self, *_):
        self.bar.close()

    def __call__(self, progress: Progress) -> None:
        before = sum(SHARES[name] for name in STAGES[: STAGES.index(progress.stage)])
        share = SHARES[progress.stage] * progress.done / max(1, progress.total)
        if self.bar.disable and progress.stage != self.stage:
            self.stage = progress.stage
            print(f"{progress.stage} ...", file=sys.stderr, flush=True)
        self.bar.set_description_str(progress.stage, refresh=False)
        self.bar.update(max(0, before + share - self.bar.n))

    def note(self, text: str) -> None:
        """A sentence that the user should know."""
        tqdm.write(text, file=sys.stderr)


class JsonProgress:
    """One ASCII JSON object per line on stdout: {"event": "progress", "stage", "done", "total", "text"} or a note."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def __call__(self, progress: Progress) -> None:
        self._print({"event": "progress", "stage": progress.stage, "done": progress.done, "total": progress.total,
                     "text": progress.text})

    def note(self, text: str) -> None:
        """A sentence that the user should know."""
        self._print({"event": "note", "text": text})

    def _print(self, row: dict) -> None:
        print(json.dumps(row, ensure_ascii=True), flush=True)


def machine_rows() -> list[tuple[str, str]]:
    """(name, value) of versions and devices."""
    import torch

    cuda = torch.cuda.get_device_name() if torch.cuda.is_available() else "no"
    return [("uvlm", VERSION), ("python", platform.python_version()), ("torch", torch.__version__),
            ("cpu", f"{torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}"),
            ("cuda", cuda), ("mps", "yes" if torch.backends.mps.is_available() else "no")]


def volume_rows(volume) -> list[tuple[str, str]]:
    """(name, value) of a Volume's geometry, in the order x, y, z that scanners and viewers use."""
    from nibabel.orientations import aff2axcodes

    def three(values, form: str) -> str:
        return " x ".join(format(value, form) for value in values)

    shape, spacing = volume.shape[::-1], volume.spacing[::-1]
    extent = [size * step for size, step in zip(shape, spacing, strict=True)]
    return [("Scan", volume.name), ("Voxels", three(shape, "d")), ("Spacing", f"{three(spacing, '.3g')} mm"),
            ("Extent", f"{three(extent, '.0f')} mm"), ("Axes towards", " ".join(aff2axcodes(volume.ijk_to_ras)))]
