"""Stand-in for Slicer's module Sample Data: keeps what modules register; downloads nothing."""

from __future__ import annotations

import slicer


class SampleDataSource:
    """One sample: addresses, file names, node names, checksums, each as a list of the same length."""

    def __init__(self, sampleName=None, sampleDescription=None, uris=None, fileNames=None, nodeNames=None,
                 checksums=None, loadFiles=None, customDownloader=None, thumbnailFileName=None, loadFileTypes=None,
                 loadFileProperties=None, loadFileType=None):
        if loadFileType is not None and loadFileTypes is not None:
            raise ValueError("loadFileType and loadFileTypes cannot be specified at the same time")
        self.sampleName = sampleName
        self.sampleDescription = sampleName if sampleDescription is None else sampleDescription
        self.thumbnailFileName, self.customDownloader = thumbnailFileName, customDownloader
        self.loadFileProperties = loadFileProperties or {}
        lists = {"uris": uris, "fileNames": fileNames, "nodeNames": nodeNames, "checksums": checksums,
                 "loadFiles": loadFiles, "loadFileTypes": loadFileTypes if loadFileType is None else loadFileType}
        if isinstance(uris, str):
            lists = {name: [value] for name, value in lists.items()}
        else:
            empty = ("nodeNames", "checksums", "loadFiles", "loadFileTypes")
            lists = {name: [None] * len(uris) if value is None and name in empty else value
                     for name, value in lists.items()}
            if isinstance(lists["loadFileTypes"], str):
                lists["loadFileTypes"] = [lists["loadFileTypes"]] * len(uris)
        if len({len(value) for value in lists.values()}) != 1:
            raise ValueError(f"All fields of sample data source must have the same length: {lists}")
        vars(self).update(lists)

    def __eq__(self, other):
        return str(self) == str(other)

    def __str__(self):
        return "\n".join(f"{name}: {value}" for name, value in sorted(vars(self).items()))


class SampleDataLogic:
    """Keeps `slicer.modules.sampleDataSources`, a list of sources for each category."""

    @staticmethod
    def registerCustomSampleDataCategory(category, title):
        """Give a category a title."""
        _registry("sampleDataSourceCategories").setdefault(category, {})["title"] = title

    @staticmethod
    def registerCustomSampleDataSource(category="Custom", sampleName=None, uris=None, fileNames=None, nodeNames=None,
                                       customDownloader=None, thumbnailFileName=None, loadFileTypes=None,
                                       loadFiles=None, loadFileProperties=None, checksums=None, loadFileType=None):
        """Add a source once."""
        source = SampleDataSource(sampleName=sampleName, uris=uris, fileNames=fileNames, nodeNames=nodeNames,
                                  checksums=checksums, loadFiles=loadFiles, customDownloader=customDownloader,
                                  thumbnailFileName=thumbnailFileName, loadFileTypes=loadFileTypes,
                                  loadFileProperties=loadFileProperties, loadFileType=loadFileType)
        if not SampleDataLogic.isSampleDataSourceRegistered(category, source):
            _registry("sampleDataSources").setdefault(category, []).append(source)

    @staticmethod
    def sampleDataSourcesByCategory(category=None):
        """The sources of a category, or all by category."""
        sources = _registry("sampleDataSources")
        return sources if category is None else sources.get(category, [])

    @staticmethod
    def isSampleDataSourceRegistered(category, sampleDataSource):
        """Whether an equal source is there already."""
        if not isinstance(sampleDataSource, SampleDataSource):
            raise TypeError(f"unsupported sampleDataSource type '{type(sampleDataSource)}'")
        return sampleDataSource in _registry("sampleDataSources").get(category, [])


def _registry(name):
    if not hasattr(slicer.modules, name):
        setattr(slicer.modules, name, {})
    return getattr(slicer.modules, name)
