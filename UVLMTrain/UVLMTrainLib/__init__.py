"""Parts of the module UVLMTrain. Nothing here imports torch or nibabel: child processes do."""

from UVLMTrainLib.Bootstrap import makeCoreImportable

makeCoreImportable()
