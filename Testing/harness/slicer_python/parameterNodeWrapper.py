"""Stand-in for `slicer.parameterNodeWrapper`: typed parameters in a parameter node, tied to the widgets of a panel.

Only these types: bool, int, float, str, pathlib.Path, Enum and classes of nodes; others raise. The values stand in the
node as Slicer writes them.
"""

from __future__ import annotations

import enum
import pathlib
import typing
from typing import Any

import qt
import slicer
import vtk

__all__ = ["Choice", "Default", "Maximum", "Minimum", "SlicerParameterNamePropertyName", "WithinRange",
           "isParameterNodeWrapper", "parameterNodeWrapper"]

SlicerParameterNamePropertyName = "SlicerParameterName"


class Default:
    """Annotation: the value where none was set."""

    def __init__(self, value=None, *, generator=None):
        self._value, self._generator = value, generator

    @property
    def value(self):
        return self._generator() if self._generator else self._value


class WithinRange:
    """Annotation: a number between two others."""

    def __init__(self, minimum, maximum):
        self.minimum, self.maximum = minimum, maximum

    def validate(self, value):
        """Raises ValueError."""
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"Value must be within range [{self.minimum}, {self.maximum}], is {value}")


class Minimum(WithinRange):
    """Annotation: a number not below another."""

    def __init__(self, minimum):
        super().__init__(minimum, float("inf"))


class Maximum(WithinRange):
    """Annotation: a number not above another."""

    def __init__(self, maximum):
        super().__init__(float("-inf"), maximum)


class Choice:
    """Annotation: one of some values."""

    def __init__(self, choices):
        self.choices = choices

    def validate(self, value):
        """Raises ValueError."""
        if value not in self.choices:
            raise ValueError(f"Value {value} is not one of {self.choices}")


class _Parameter:
    """One parameter: its type, checks and default, and how it stands in the node."""

    def __init__(self, owner, name, annotation):
        self.name, self.annotation = name, annotation
        annotated = typing.get_origin(annotation) is typing.Annotated
        self.kind, *notes = typing.get_args(annotation) if annotated else (annotation,)
        if not isinstance(self.kind, type) or not issubclass(self.kind, (bool, int, float, str, pathlib.Path, enum.Enum,
                                                                         slicer.vtkMRMLNode)):
            raise Exception(f"Unable to create serializer for {owner} member {name}")
        self.checks = [note for note in notes if hasattr(note, "validate")]
        defaults = [note for note in notes if isinstance(note, Default)]
        if hasattr(owner, name):
            self.default = Default(getattr(owner, name))
        elif defaults:
            self.default = defaults[0]
        else:
            self.default = Default(self._empty())

    @property
    def is_node(self):
        return issubclass(self.kind, slicer.vtkMRMLNode)

    def _empty(self):
        if self.is_node:
            return None
        return next(iter(self.kind)) if issubclass(self.kind, enum.Enum) else self.kind()

    def check(self, value):
        if self.is_node and value is None:
            return
        wanted = (int, float) if self.kind is float else self.kind
        if value is None or not isinstance(value, wanted):
            raise TypeError(f"Value of {self.name} must be of type {self.kind}, is {value!r}")
        for check in self.checks:
            check.validate(value)

    def write(self, node, value):
        self.check(value)
        if self.is_node:
            node.SetParameter(self.name, "")
            node.SetNodeReferenceID(self.name, value.GetID() if value is not None else None)
        elif issubclass(self.kind, enum.Enum):
            node.SetParameter(self.name, value.name)
        else:
            node.SetParameter(self.name, str(value))

    def read(self, node):
        if not node.HasParameter(self.name):
            self.write(node, self.default.value)
        if self.is_node:
            return node.GetNodeReference(self.name)
        text = node.GetParameter(self.name)
        if self.kind is bool:
            return text == "True"
        return self.kind[text] if issubclass(self.kind, enum.Enum) else self.kind(text)


def _signal(widget):
    """(signal, read, write) of a widget, by its class; more or other values come from its choices."""
    if isinstance(widget, slicer.qMRMLNodeComboBox):
        return "currentNodeChanged(vtkMRMLNode*)", widget.currentNode, widget.setCurrentNode
    if isinstance(widget, (qt.QCheckBox, qt.QPushButton, qt.QToolButton, qt.QRadioButton, qt.QGroupBox)):
        return "toggled(bool)", lambda: widget.checked, widget.setChecked
    if isinstance(widget, (qt.QSpinBox, qt.QSlider)):
        return "valueChanged(int)", lambda: widget.value, widget.setValue
    if isinstance(widget, qt.QDoubleSpinBox) or widget.className() == "ctkSliderWidget":
        return "valueChanged(double)", lambda: widget.value, widget.setValue
    if isinstance(widget, qt.QComboBox):
        return "currentIndexChanged(int)", lambda: widget.currentText, widget.setCurrentText
    if isinstance(widget, qt.QLineEdit):
        return "textChanged(QString)", lambda: widget.text, widget.setText
    if isinstance(widget, (qt.QTextEdit, qt.QPlainTextEdit)):
        return "textChanged()", widget.toPlainText, widget.setPlainText
    if widget.className() == "ctkPathLineEdit":
        return "currentPathChanged(QString)", lambda: widget.currentPath, lambda path: widget.setCurrentPath(str(path))
    raise Exception(f"Unable to create a connector for {widget.className()} '{widget.name}'")


class _Connector:
    """One widget tied to one parameter."""

    def __init__(self, wrapper, parameter, widget):
        self.parameter, self.widget = parameter, widget
        self.signal, self.read_widget, self.write_widget = _signal(widget)
        if isinstance(widget, qt.QComboBox):
            choices = next((c.choices for c in parameter.checks if isinstance(c, Choice)), None)
            if choices is None and issubclass(parameter.kind, enum.Enum):
                choices = [member.name for member in parameter.kind]
            if choices is not None:
                widget.clear()
                widget.addItems([str(choice) for choice in choices])
        self.changed = lambda: wrapper._fromWidget(self)
        widget.connect(self.signal, self.changed)

    def read(self):
        value = self.read_widget()
        kind = self.parameter.kind
        if self.parameter.is_node:
            return value
        return kind[value] if issubclass(kind, enum.Enum) else kind(value)

    def write(self, value):
        if isinstance(value, enum.Enum):
            value = value.name
        if self.read_widget() != value:
            self.write_widget(value)

    def release(self):
        self.widget.disconnect(self.signal, self.changed)


class _Wrapper:
    """What the decorator adds to the class."""

    def __init__(self, parameterNode, prefix=None):
        self.parameterNode = parameterNode
        self._guis, self._tags, self._updating = {}, {}, False
        for parameter in self.allParameters.values():
            parameter.read(parameterNode)

    def default(self, name):
        """The Default of a parameter."""
        return self._parameter(name).default

    def isCached(self, name):
        """Whether values are kept outside the node: never here."""
        return False

    @classmethod
    def dataType(cls, name):
        """The type as it was written."""
        return cls._parameter(name).annotation

    def getValue(self, name):
        """The value of a parameter."""
        return self._parameter(name).read(self.parameterNode)

    def setValue(self, name, value):
        """Check and set the value of a parameter."""
        self._parameter(name).write(self.parameterNode, value)

    @classmethod
    def _parameter(cls, name):
        if name not in cls.allParameters:
            raise ValueError(f"Cannot find a param with the given name: {name}\n"
                             f"  Found parameters {list(cls.allParameters)}")
        return cls.allParameters[name]

    def connectGui(self, gui):
        """Tie every widget that has a property SlicerParameterName; a tag for disconnectGui."""
        widgets = gui.findChildren(qt.QWidget) if isinstance(gui, qt.QWidget) else list(vars(gui).values())
        named = [(w.property(SlicerParameterNamePropertyName), w) for w in widgets]
        return self.connectParametersToGui({name: widget for name, widget in named if name})

    def connectParametersToGui(self, mapping):
        """Tie widgets to parameters by name; a tag for disconnectGui."""
        tag = len(self._guis)
        self._guis[tag] = [_Connector(self, self._parameter(name), widget) for name, widget in mapping.items()]
        for connector in self._guis[tag]:
            connector.write(self.getValue(connector.parameter.name))
        self._tags[tag] = self.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda caller, event: self._toWidgets())
        return tag

    def disconnectGui(self, tag):
        """Untie what a call of connectGui tied."""
        for connector in self._guis.pop(tag, ()):
            connector.release()
        if tag in self._tags:
            self.RemoveObserver(self._tags.pop(tag))

    def _fromWidget(self, connector):
        if not self._updating:
            self.setValue(connector.parameter.name, connector.read())

    def _toWidgets(self):
        if self._updating:
            return
        self._updating = True
        try:
            for connectors in self._guis.values():
                for connector in connectors:
                    connector.write(self.getValue(connector.parameter.name))
        finally:
            self._updating = False

    def StartModify(self):
        """Of the node."""
        return self.parameterNode.StartModify()

    def EndModify(self, wasModified):
        """Of the node."""
        return self.parameterNode.EndModify(wasModified)

    def AddObserver(self, event, callback, priority=0.0):
        """Of the node."""
        return self.parameterNode.AddObserver(event, callback, priority)

    def RemoveObserver(self, tag):
        """Of the node."""
        return self.parameterNode.RemoveObserver(tag)

    def Modified(self):
        """Of the node."""
        return self.parameterNode.Modified()


def parameterNodeWrapper(classtype=None):
    """Class decorator: annotated members become properties that live in a parameter node."""

    def wrap(cls):
        parameters = {name: _Parameter(cls, name, kind)
                      for name, kind in typing.get_type_hints(cls, include_extras=True).items()}
        for name, value in vars(_Wrapper).items():
            if name in parameters or (name in vars(cls) and not name.startswith("__")):
                raise ValueError(f"Cannot use reserved name '{name}' in a parameterNodeWrapper")
            if name == "__init__" or not name.startswith("__"):
                setattr(cls, name, value)
        cls.allParameters, cls._is_parameter_node_wrapper = parameters, True
        for name in parameters:
            setattr(cls, name, _property(name))
        return cls

    return wrap if classtype is None else wrap(classtype)


def _property(name: str) -> Any:
    return property(lambda self: self.getValue(name), lambda self, value: self.setValue(name, value))


def isParameterNodeWrapper(classOrObj):
    """Whether the decorator made it."""
    return getattr(classOrObj, "_is_parameter_node_wrapper", False)
