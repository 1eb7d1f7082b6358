"""Paints a probability as a bar, with its threshold as a line across it."""

import qt

from UVLMReportLib.TableRoles import PROBABILITY_ROLE, THRESHOLD_ROLE

ABOVE, BELOW, THRESHOLD = (208, 122, 20), (130, 150, 170), (60, 60, 60)


class ProbabilityBar(qt.QStyledItemDelegate):
    """For cells that carry PROBABILITY_ROLE and THRESHOLD_ROLE; a dash where there is no probability."""

    def paint(self, painter, option, index):
        rect = option.rect
        painter.save()
        if option.state & qt.QStyle.State_Selected:
            painter.fillRect(rect, option.palette.highlight())
        probability, threshold = index.data(PROBABILITY_ROLE), index.data(THRESHOLD_ROLE)
        if probability is None:
            painter.drawText(rect, int(qt.Qt.AlignCenter), "–")
        else:
            self._paintBar(painter, option, float(probability), float(threshold))
        painter.restore()

    def _paintBar(self, painter, option, probability, threshold):
        rect = option.rect
        numberWidth = 34
        left, top = rect.x() + 4, rect.y() + rect.height() // 2 - 5
        width = max(10, rect.width() - numberWidth - 8)
        painter.fillRect(qt.QRect(left, top, width, 10), qt.QColor(128, 128, 128, 60))
        colour = ABOVE if probability >= threshold else BELOW
        painter.fillRect(qt.QRect(left, top, round(width * probability), 10), qt.QColor(*colour))
        line = left + round(width * threshold)
        painter.fillRect(qt.QRect(line - 1, top - 3, 2, 16), qt.QColor(*THRESHOLD))
        selected = option.state & qt.QStyle.State_Selected
        painter.setPen(option.palette.highlightedText().color() if selected else option.palette.text().color())
        painter.drawText(qt.QRect(rect.right() - numberWidth, rect.y(), numberWidth - 2, rect.height()),
                         int(qt.Qt.AlignVCenter) | int(qt.Qt.AlignRight), f"{probability:.2f}")
