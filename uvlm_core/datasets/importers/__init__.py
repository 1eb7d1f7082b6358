"""One file per data set, each reading it as distributed.

An importer has KIND (its name in commands and tables), TITLE, `clues(folder)` -> list of sentences that say why the
folder is of this kind (empty: it is not), and `cases(folder, options)`, which yields a `Case` per scan, with paths
relative to the folder, and a `Problem` for everything that is missing or cannot be. Images are not opened.
"""
