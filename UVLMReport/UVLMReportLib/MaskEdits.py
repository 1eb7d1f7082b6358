"""Notices edits of masks and has what depends on them measured again."""


class MaskEdits:
    """Watches the segmentation of one study.

        MaskEdits(study, client, ticks): starts watching; stop() ends it
        measured: Listeners (study, [segment ids]), after fields turned stale and the report was saved
        added: Listeners (study, segmentId): the user made a segment; answer with assign(segmentId, findingName or None)
        removed: Listeners (study, segmentId)
        failed: Listeners (WorkerFailure)
        measureNow(segmentId): at once, without waiting for the edit to pause
        pending: ids that were edited and not yet measured
    """
