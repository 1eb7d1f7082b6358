"""Two scans for the tutorial, in the module Sample Data: a public chest CT, and a synthetic one without a network."""

import slicer
from slicer.i18n import tr as _

from UVLMShared.Bootstrap import makeCoreImportable

CATEGORY = "UVLM"
# Slicer's own sample CTChest, at the address that is made of its checksum; 512 x 512 x 139 voxels.
CHEST_SHA256 = "4507b664690840abb6cb9af2d919377ffc4ef75b167cb6fd0f747befdb12e38e"
CHEST_URL = "https://github.com/Slicer/SlicerTestingData/releases/download/SHA256/" + CHEST_SHA256
PHANTOM_SEED = 900056  # the same phantom as in `make demo`: the demo model was not trained on it, and reads it well


def register():
    """Adds both to the module Sample Data; nothing is downloaded or made before the user clicks."""
    import SampleData

    SampleData.SampleDataLogic.registerCustomSampleDataCategory(CATEGORY, title=_("UVLM"))
    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category=CATEGORY,
        sampleName="UVLMChestCT",
        uris=CHEST_URL,
        fileNames="CT-chest.nrrd",  # Slicer's name: a copy that it downloaded before is used again
        checksums="SHA256:" + CHEST_SHA256,
        nodeNames="CTChest",  # under this name Slicer finds its own thumbnail
    )
    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category=CATEGORY,
        sampleName="UVLMPhantom",
        uris="uvlm:phantom",  # no address: makePhantom is called instead
        fileNames="UVLMPhantom",
        nodeNames="UVLMPhantom",
        thumbnailFileName=_thumbnail(),
        customDownloader=makePhantom,
    )


def makePhantom(source=None, seed=PHANTOM_SEED):
    """A synthetic CT of chest and abdomen as a new volume, shown in the slice views. Takes two or three seconds.

    source: the SampleDataSource that was clicked; it says nothing that is needed here.
    """
    makeCoreImportable()
    with slicer.util.tryWithErrorDisplay(_("The synthetic CT could not be made."), waitCursor=True):
        from uvlm_core.phantom.generator import make_phantom

        volume = make_phantom(seed).volume
        node = slicer.util.addVolumeFromArray(volume.array, volume.ijk_to_ras, name="UVLMPhantom")
        display = node.GetDisplayNode()
        display.AutoWindowLevelOff()
        display.SetWindowLevel(400, 40)  # soft tissue
        slicer.util.setSliceViewerLayers(background=node, fit=True)
        return node


def _thumbnail():
    from pathlib import Path

    return str(Path(__file__).resolve().parents[1] / "Resources" / "Icons" / "UVLMPhantom.png")
