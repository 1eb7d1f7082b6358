"""All slice and 3-D views at once: going to a point, and hearing of clicks."""

import numpy
import slicer
import vtk

from UVLMReportLib.Listeners import Listeners

CLICK_PIXELS = 3  # a press that moves farther is a drag
BEFORE_THE_VIEW = 1.0  # priority: a view that uses an event itself hides it from observers of priority 0


def jumpTo(ras):
    """Moves all slice views to a world point [R, A, S] in mm, and the 3-D views' cameras to look at it.

    A slice view that is zoomed in so that the point lies outside is centred on it; the others only change their slice.
    """
    nodes = slicer.util.getNodesByClass("vtkMRMLSliceNode")
    for node in nodes:
        node.JumpSliceByOffsetting(*ras)
        if not _isInside(node, ras):
            node.JumpSliceByCentering(*ras)
    for camera in slicer.util.getNodesByClass("vtkMRMLCameraNode"):
        old, position = numpy.array(camera.GetFocalPoint()), numpy.array(camera.GetPosition())
        camera.SetFocalPoint(*map(float, ras))
        camera.SetPosition(*(position + numpy.array(ras) - old).tolist())
        camera.GetCamera().OrthogonalizeViewUp()
        camera.ResetClippingRange()  # the planes moved with the camera and would cut off what lies before or behind


def _isInside(sliceNode, ras):
    """Whether a world point lies within the picture of a slice view."""
    toPixel = vtk.vtkMatrix4x4()
    vtk.vtkMatrix4x4.Invert(sliceNode.GetXYToRAS(), toPixel)
    x, y = toPixel.MultiplyPoint([*map(float, ras), 1.0])[:2]
    width, height = sliceNode.GetDimensions()[:2]
    return 0 <= x < width and 0 <= y < height


class SliceClicks:
    """Hears clicks with the left button in every slice view of the layout, also in views that come later.

    `clicked`: Listeners ([R, A, S] in mm of the world). Drags are no clicks. Other listeners get every event too.
    """

    def __init__(self):
        self.clicked = Listeners()
        self._observed = {}  # view name -> (interactor, tags)
        self._pressed = None
        self._manager = slicer.app.layoutManager()
        if self._manager is not None:
            self._manager.connect("layoutChanged(int)", self.watch)
        self.watch()

    def watch(self, *ignored):
        """Observes the slice views that are there now."""
        if self._manager is None:
            return
        for name in self._manager.sliceViewNames():
            widget = self._manager.sliceWidget(name)
            if widget is None:
                continue
            view = widget.sliceView()
            interactor, (known, tags) = view.interactor(), self._observed.get(name, (None, []))
            if known is interactor:
                continue
            for tag in tags:  # a scene closed with its views has others of the same names afterwards
                known.RemoveObserver(tag)
            tags = [interactor.AddObserver("LeftButtonPressEvent", self._onPress, BEFORE_THE_VIEW),
                    interactor.AddObserver("LeftButtonReleaseEvent",
                                           lambda caller, event, view=view: self._onRelease(view, caller),
                                           BEFORE_THE_VIEW)]
            self._observed[name] = (interactor, tags)

    def stop(self):
        """Observes no view any more."""
        if self._manager is not None:
            self._manager.disconnect("layoutChanged(int)", self.watch)
        for interactor, tags in self._observed.values():
            for tag in tags:
                interactor.RemoveObserver(tag)
        self._observed = {}
        self.clicked.clear()

    def _onPress(self, caller, event):
        self._pressed = caller.GetEventPosition()

    def _onRelease(self, view, caller):
        pressed, self._pressed = self._pressed, None
        position = caller.GetEventPosition()
        if pressed is None or max(abs(a - b) for a, b in zip(pressed, position, strict=True)) > CLICK_PIXELS:
            return
        xyz = view.convertDeviceToXYZ(list(position))
        self.clicked([float(value) for value in view.convertXYZToRAS(xyz)])
