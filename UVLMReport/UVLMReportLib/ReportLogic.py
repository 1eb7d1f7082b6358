"""What the module can do, without a window: generate, correct, keep, export."""

from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic


class ReportLogic(ScriptedLoadableModuleLogic):
    """Owns the worker and the studies of the scene. All callbacks come on the main thread, none is called after shutdown().

    Listeners (connect(function)):
        stateChanged()              the worker or a run changed: see `worker.state`, `running`, `runningVolumeId`
        progressed(progress)        dict: stage, done, total (None: unknown), text, seconds_left (None: unknown), fraction 0..1 of the
                                    whole run or None
        studyMade(study)            a run ended well (StudyScene)
        studyChanged(study)         report, masks or findings of a study changed, by whomever (edit, undo, measurement, reload)
        runFailed(failure)          WorkerFailure or VolumeRefusal; kind "cancelled" after cancel()
        segmentAdded(study, id)     the user made a segment: ask which finding, then assignSegment(study, id, finding or None)
        remarked(text)              a sentence for the status line
    Asking:
        studyOf(volumeNode) -> StudyScene or None          studies() -> all of the scene
        refusalOf(volumeNode) -> "" or why it cannot be read        remarksOf(volumeNode) -> list of str
        bundleInfo(bundle, done, failed): done(dict of the worker's bundle_info)
        hello(done, failed): done(dict of the worker's hello: versions, devices)
    Doing:
        generate(volumeNode, bundle="", device="auto", precision="auto")    raises VolumeRefusal (canHarden)
        hardenedCopy(volumeNode) -> volume node             cancel()
        measureSegment(study, segmentId)                    checkReport(study): fresh links and flags into study.report
        assignSegment(study, segmentId, findingName)        (None: an unnamed mask that no sentence needs)
        overrideFinding(study, name, state)
        keepTrainingCase(study, folder, done, failed)       done(path)
        exportHtml / exportText / exportPdf(study, path)    exportStudy(study, folder, done, failed)
        shutdown()                                          ends run, timers, observers and child at once
    """
