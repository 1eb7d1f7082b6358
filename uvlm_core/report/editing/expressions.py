"""Measurements as sentences write them: "24 mm", "2.4 x 1.8 cm", "120 ml", "-35 HU", "cardiothoracic ratio of 0.54"."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from uvlm_core.report.wording import SHORT_BEFORE

DIAMETER, SHORT_AXIS, VOLUME = "longest_diameter", "short_axis", "volume"
DENSITY, RATIO = "mean_hu", "cardiothoracic_ratio"
# unit as written, without dots and in lower case -> (kind, how many of the measurement's own unit it is)
_UNITS = {"mm": ("length", 1.0), "cm": ("length", 10.0), "ml": ("volume", 1.0), "cc": ("volume", 1.0),
          "ccm": ("volume", 1.0), "cm3": ("volume", 1.0), "cm³": ("volume", 1.0), "l": ("volume", 1000.0),
          "litre": ("volume", 1000.0), "litres": ("volume", 1000.0), "liter": ("volume", 1000.0),
          "liters": ("volume", 1000.0), "hu": ("density", 1.0), "hounsfield units": ("density", 1.0),
          "millimetre": ("length", 1.0), "millimetres": ("length", 1.0), "millimeter": ("length", 1.0),
          "millimeters": ("length", 1.0), "centimetre": ("length", 10.0), "centimetres": ("length", 10.0),
          "centimeter": ("length", 10.0), "centimeters": ("length", 10.0)}
_NUMBER = r"(?:\d{1,3}(?:,\d{3})+\.\d+|\d{1,3}(?:,\d{3}){2,}|\d+(?:[.,]\d+)?)"
_GROUPED = re.compile(r"[-−]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?")  # "1,203" and "1,203.5", not "0,547"
_UNIT = "|".join(sorted(map(re.escape, _UNITS), key=len, reverse=True))
_MEASURE = re.compile(rf"(?<![\w.,\-–−])(?P<numbers>[-−]?{_NUMBER}(?:\s*(?:mm|cm)?\s*[x×*]\s*{_NUMBER})*)[\s-]*"
                      rf"(?P<unit>{_UNIT})(?![\w²³])", re.IGNORECASE)
_CARDIOTHORACIC = re.compile(r"\bcardiothoracic (?:ratio|index)(?:[\s(:=]+[a-z]+){0,3}[\s(:=]+(?P<numbers>[01][.,]\d+)",
                             re.IGNORECASE)
# a bound or a distance is no measurement of a mask
_BOUND = re.compile(r"(\bthan|\bexceed\w*|\bbelow|\bunder|\bover|\babove|\bat (least|most)|\bwithin|[<>≤≥]|"
                    r"(?<!\bup )\bto|\bthickness( of)?|\bdepth( of)?|\bdistance( of)?)\s*$", re.IGNORECASE)
_DISTANCE = re.compile(r"^[\s-]*(slices?|sections?|thick\w*|in (thickness|depth)|from|above|below|apart|away|distance|"
                       r"deep|interval|cuts?)\b", re.IGNORECASE)
_SHORT_AFTER = re.compile(r"^\s*(in|on|along) (the |its )?short", re.IGNORECASE)


@dataclass(frozen=True)
class Expression:
    """Characters `start` to `end`; `numbers` their places; `values` in mm, ml or HU, one for each of `quantities`."""

    start: int
    end: int
    numbers: tuple[tuple[int, int], ...]
    unit: str
    quantities: tuple[str, ...]
    values: tuple[float, ...]


def find_expressions(text: str) -> list[Expression]:
    """The measurements in a sentence that a mask could give, in reading order; those of three axes are left out."""
    found = [_expression(text, match, match["unit"]) for match in _MEASURE.finditer(text)
             if not _BOUND.search(text, 0, match.start()) and not _DISTANCE.search(text[match.end() :])]
    found += [_expression(text, match, "") for match in _CARDIOTHORACIC.finditer(text)]
    return sorted((entry for entry in found if entry is not None), key=lambda entry: entry.start)


def _expression(text: str, match: re.Match, unit: str) -> Expression | None:
    first = match.start("numbers")
    places = tuple((first + number.start(), first + number.end())
                   for number in re.finditer(rf"[-−]?{_NUMBER}", match["numbers"]))
    kind, factor = _UNITS[unit.lower()] if unit else ("ratio", 1.0)
    quantities = _quantities(text, match, kind, len(places))
    if quantities is None:
        return None
    values = tuple(_number(text[begin:end], unit) * factor for begin, end in places)
    return Expression(first, match.end(), places, unit, quantities, values)


def _quantities(text: str, match: re.Match, kind: str, count: int) -> tuple[str, ...] | None:
    if kind == "length" and count == 2:
        return DIAMETER, SHORT_AXIS
    if count != 1 or (kind != "density" and match["numbers"][0] in "-−"):
        return None
    if kind == "length":
        short = SHORT_BEFORE.search(text, 0, match.start()) or _SHORT_AFTER.search(text[match.end() :])
        return (SHORT_AXIS,) if short else (DIAMETER,)
    return ({"volume": VOLUME, "density": DENSITY, "ratio": RATIO}[kind],)


def _number(text: str, unit: str) -> float:
    return float(text.replace(",", "" if _grouped(text, unit) else ".").replace("−", "-"))


def _grouped(text: str, unit: str) -> bool:
    """True where a comma stands between thousands: "1,203 ml". Nothing has 1203 cm or 1203 l: there it is a decimal."""
    kind, factor = _UNITS[unit.lower()] if unit else ("ratio", 1.0)
    large = kind in ("volume", "density") and factor == 1.0
    return bool(_GROUPED.fullmatch(text)) and (large or "." in text or text.count(",") > 1)


def rendered(text: str, expression: Expression, values: Sequence[float]) -> str:
    """The expression's text with other values in it: unit, decimals, comma or point and spaces as they were.

    Args:
        text: the sentence.
        values: one for each of `quantities`, in mm, ml or HU.
    """
    factor = _UNITS[expression.unit.lower()][1] if expression.unit else 1.0
    result, place = "", expression.start
    for (begin, end), value in zip(expression.numbers, values, strict=True):
        old = text[begin:end]
        result += text[place:begin] + _like(old, value / factor, _grouped(old, expression.unit))
        place = end
    return result + text[place : expression.end]


def _like(old: str, value: float, grouped: bool = False) -> str:
    """A number with the decimals, the separators and the minus sign of an old one; more decimals where it would be 0.

    Args:
        grouped: commas of the old one stand between thousands.
    """
    if grouped:
        return _like(old.replace(",", ""), value) if abs(value) < 999.5 else _with_groups(old, value)
    decimals = len(old) - 1 - max(old.rfind("."), old.rfind(",")) if "." in old or "," in old else 0
    while value and decimals < 3 and float(f"{value:.{decimals}f}") == 0:
        decimals += 1
    written = f"{value:.{decimals}f}"
    if float(written) == 0:
        written = written.lstrip("-")
    if "," in old:
        written = written.replace(".", ",")
    return written.replace("-", "−") if "−" in old else written


def _with_groups(old: str, value: float) -> str:
    """A large number with commas between its thousands, and the decimals of an old one."""
    written = f"{value:,.{len(old.partition('.')[2])}f}"
    return written.replace("-", "−") if "−" in old else written


_WRITTEN = {DIAMETER: ("mm", 0), SHORT_AXIS: ("mm", 0), VOLUME: ("ml", None), DENSITY: ("HU", 0), RATIO: ("", 2)}
QUANTITIES = tuple(_WRITTEN)


def written(quantity: str, value: float, unit: str | None = None, decimals: int | None = None) -> str:
    """A measurement in words of a report: "24 mm", "12 ml", "1.4 ml", "35 HU", "0.54".

    Args:
        value: in mm, ml or HU, the ratio as it is.
        unit: mm or cm, ml or l, HU; None: the usual one.
        decimals: None: the usual number; of cm one.

    Raises:
        ValueError: the unit does not fit the quantity.
    """
    usual, digits = _WRITTEN[quantity]
    unit = usual if unit is None else unit
    if bool(unit) != bool(usual) or (unit and _UNITS.get(unit.lower(), ("", 0))[0] != _UNITS[usual.lower()][0]):
        raise ValueError(f"{quantity} cannot be given in {unit!r}")
    number = value / (_UNITS[unit.lower()][1] if unit else 1.0)
    if decimals is None:
        large = 10 if unit.lower() in ("cm", "l") or digits is None else 0
        decimals = (digits or 0) if not large else int(abs(number) < large)
    old = "0." + "0" * decimals if decimals else "0"
    return f"{_like(old, number)} {unit}".strip()
