"""Keeps a corrected study as a training case: a folder per case that is never overwritten (docs/datasets.md).

    keeping(study, folder) -> generator for InSteps, returns the path of the new case folder
"""
