"""Stand-in for Slicer's scripted module Sample Data: what another module registers, with Slicer's own checks.

Nothing is downloaded. With SLICER_SRC set, the real module is imported instead (see scripted_modules in start.py).
"""

from __future__ import annotations

import re

import slicer

FIELDS = ("uris", "fileNames", "nodeNames", "loadFiles", "loadFileTypes", "checksums")


class SampleDataSource:
    """One data set; single values become lists of one, and all lists have the same length."""

    def __init__(self, sampleName=None, sampleDescription=None, uris=None, fileNames=None, nodeNames=None,
                 checksums=None, loadFiles=None, customDownloader=None, thumbnailFileName=None, loadFileTypes=None,
                 loadFileProperties=None):
        self.sampleName, self.sampleDescription = sampleName, sampleDescription or sampleName
        self.customDownloader, self.thumbnailFileName = customDownloader, thumbnailFileName
        self.loadFileProperties = loadFileProperties or {}
        given = dict(zip(FIELDS, (uris, fileNames, nodeNames, loadFiles, loadFileTypes, checksums), strict=True))
        for name, value in given.items():
            if isinstance(uris, str):
                value = [value]
            elif value is None:
                value = [None] * len(uris)
            setattr(self, name, value)
        if len({len(getattr(self, name)) for name in FIELDS}) != 1:
            raise ValueError("All fields of sample data source must have the same length")
        for checksum in self.checksums:
            if checksum is not None and not re.fullmatch(r"SHA256:[0-9a-f]{64}", checksum):
                raise ValueError(f"A checksum is <algo>:<digest>; found {checksum}")

    def __eq__(self, other):
        return vars(self) == vars(other)


class SampleDataLogic:
    """The part of the module's logic that other modules use."""

    @staticmethod
    def registerCustomSampleDataCategory(category, title):
        categories = vars(slicer.modules).setdefault("sampleDataSourceCategories", {})
        categories.setdefault(category, {})["title"] = title

    @staticmethod
    def registerCustomSampleDataSource(category="Custom", sampleName=None, uris=None, fileNames=None, nodeNames=None,
                                       customDownloader=None, thumbnailFileName=None, loadFileTypes=None,
                                       loadFiles=None, loadFileProperties=None, checksums=None):
        source = SampleDataSource(sampleName=sampleName, uris=uris, fileNames=fileNames, nodeNames=nodeNames,
                                  checksums=checksums, loadFiles=loadFiles, customDownloader=customDownloader,
                                  thumbnailFileName=thumbnailFileName, loadFileTypes=loadFileTypes,
                                  loadFileProperties=loadFileProperties)
        sources = vars(slicer.modules).setdefault("sampleDataSources", {}).setdefault(category, [])
        if source not in sources:
            sources.append(source)
