"""Parts of the module UVLMReport. Nothing here imports torch or nibabel: the worker, a child process, does."""

from UVLMReportLib.Bootstrap import makeCoreImportable

makeCoreImportable()
