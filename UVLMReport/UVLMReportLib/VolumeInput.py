"""A volume node as the worker needs it: is it a CT, its values as .npy, its matrix."""


class VolumeRefusal(Exception):
    """The volume cannot be used; str() says why and what to do. `canHarden`: a hardened copy would do."""

    def __init__(self, message, canHarden=False):
        super().__init__(message)
        self.canHarden = canHarden


# refusalOf(volumeNode) -> str: why this node is no CT volume, "" for one that is. Quick (a sample of the voxels); cached per node and modification.
# remarksOf(volumeNode) -> list of str: what is unusual about it, e.g. the frame of a sequence that is used, a parent transform.
# hardenedCopy(volumeNode) -> the new node, resampled by its non-linear transform.
# writing(volumeNode, path) -> generator for InSteps: writes the .npy in chunks; returns {"array": path, "ijk_to_ras": 4x4 list, "name": str, "meta": dict}.
# ijkToRas(volumeNode) -> 4x4 numpy, without the parent transform.
