"""Data sets: importers, the case table, its checks, splits and the store on the model's grid (docs/datasets.md)."""
