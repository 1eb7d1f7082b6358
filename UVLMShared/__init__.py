"""What both Slicer modules use; installed beside them. Nothing here imports torch or nibabel."""
