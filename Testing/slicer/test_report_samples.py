"""The scans of the tutorial: what the module Sample Data is told, and the synthetic CT."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture()
def samples(scene, monkeypatch):
    """The sources of our category by name, registered twice, as after a reload of the module."""
    monkeypatch.syspath_prepend(str(ROOT / "UVLMReport"))
    import slicer
    from UVLMReportLib import SampleScans

    SampleScans.register()
    SampleScans.register()
    sources = slicer.modules.sampleDataSources["UVLM"]
    assert len({one.sampleName for one in sources}) == len(sources)
    return {one.sampleName: one for one in sources}


def test_a_public_chest_ct_is_offered_with_its_checksum(samples):
    source = samples["UVLMChestCT"]
    digest = source.checksums[0].removeprefix("SHA256:")
    assert re.fullmatch("[0-9a-f]{64}", digest)
    assert source.uris == [f"https://github.com/Slicer/SlicerTestingData/releases/download/SHA256/{digest}"]
    assert source.fileNames == ["CT-chest.nrrd"] and source.nodeNames == ["CTChest"]
    assert source.customDownloader is None  # Slicer downloads it, and checks the sum


def test_the_category_has_a_title(samples):
    import slicer

    assert slicer.modules.sampleDataSourceCategories["UVLM"]["title"] == "UVLM"


def test_the_synthetic_ct_is_a_volume_that_can_be_read(samples):
    import slicer
    from UVLMReportLib import VolumeInput

    source = samples["UVLMPhantom"]
    assert Path(source.thumbnailFileName).is_file()
    node = source.customDownloader(source)
    assert node.GetName() == "UVLMPhantom" and VolumeInput.refusalOf(node) == ""
    assert "torch" not in sys.modules
    spacing = numpy.array(node.GetSpacing())
    assert (spacing > 1).all() and node.GetImageData().GetDimensions() == (128, 128, 96)
    values = slicer.util.arrayFromVolume(node)
    assert values.min() >= -1024 and 300 < values.max() < 4000
    assert node.GetDisplayNode().GetWindow() == 400 and node.GetDisplayNode().GetLevel() == 40
    again = source.customDownloader(source)
    assert numpy.array_equal(slicer.util.arrayFromVolume(again), values)


def test_a_failure_is_shown_and_leaves_no_volume(samples, monkeypatch):
    import slicer

    import uvlm_core.phantom.generator as generator

    def fail(seed):
        raise MemoryError("no memory for the phantom")

    shown = []
    monkeypatch.setattr(generator, "make_phantom", fail)
    monkeypatch.setattr(slicer.util, "errorDisplay", lambda text, *more, **named: shown.append(text))
    source = samples["UVLMPhantom"]
    with pytest.raises(MemoryError):  # Slicer shows it, and lets it go on to whoever called
        source.customDownloader(source)
    assert "The synthetic CT could not be made." in shown[0] and "no memory" in shown[0]
    assert slicer.mrmlScene.GetFirstNodeByName("UVLMPhantom") is None
