"""What the explorer's window is put together from: images, sliders, a map, a pad, columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PyQt5.QtCore import QPointF, QRect, QRectF, QSize, Qt, pyqtSignal
from PyQt5.QtGui import QColor, QImage, QPainter, QPalette, QPen, QPixmap
from PyQt5.QtWidgets import (
    QHBoxLayout,
    QPushButton,
    QSizePolicy,
    QSlider,
    QStyle,
    QStyleOptionSlider,
    QVBoxLayout,
    QWidget,
)
from torch import Tensor

from mnist.figures.images import on_paper, to_arrays
from mnist.figures.plotting import COLOURS
from mnist.figures.window import as_pixmap

STEPS = 400  # of a slider
BEYOND = 0.25  # of the way between the prior's outer quantiles, that sliders go beyond them
PAD, PEN = 168, 13  # screen pixels: of the pad and of its pen
WIDTHS = 700, 1150  # screen pixels from which there are two and three columns
BAND = "#e08a2c"


class Images(QWidget):
    """Images in rows as wide as the widget, each with a text below.

    Args:
        name: for a screen reader.
        across: images in a row; 0 for as many as fit.
        largest: screen pixels of an image.
    """

    def __init__(self, name: str, across: int, largest: int = 140):
        super().__init__()
        self.across, self.largest = across, largest
        self.pictures: list[QPixmap] = []
        self.captions: Sequence[str] = ()
        self.setAccessibleName(name)
        policy = QSizePolicy(QSizePolicy.Expanding, QSizePolicy.Preferred)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

    def show_images(self, images: Tensor | None, captions: Sequence[str]) -> None:
        """Show these, [B, C, H, W] in [0, 1], or none."""
        changed = len(captions) != len(self.captions)
        self.pictures = [] if images is None else [drawn(each) for each in to_arrays(images)]
        self.captions = captions
        if changed:
            self.updateGeometry()
        self.update()

    def columns(self, width: int) -> int:
        """Images in a row of a widget so wide."""
        return self.across or max(1, width // 64)

    def cell(self, width: int) -> tuple[int, int]:
        """Screen pixels of an image and of it with its text, in a widget so wide."""
        side = min(width // self.columns(width), self.largest)
        return side, side + self.fontMetrics().height() + 4

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        rows = -(-max(1, len(self.captions)) // self.columns(width))
        return rows * self.cell(width)[1]

    def sizeHint(self) -> QSize:
        return QSize(320, self.heightForWidth(320))

    def minimumSizeHint(self) -> QSize:
        return QSize(160, self.heightForWidth(160))

    def paintEvent(self, _event: Any) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.SmoothPixmapTransform)
        columns, (side, tall) = self.columns(self.width()), self.cell(self.width())
        for i, (picture, caption) in enumerate(zip(self.pictures, self.captions, strict=True)):
            left, top = i % columns * side, i // columns * tall
            painter.drawPixmap(QRect(left, top, side - 2, side - 2), picture)
            text = self.fontMetrics().elidedText(caption, Qt.TextElideMode.ElideRight, side - 4)
            where = QRect(left, top + side, side, tall - side)
            painter.drawText(where, Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop, text)


class StyleSlider(QSlider):
    """A number of the style, with the prior's quantiles marked and a posterior's width as a band.

    Signals:
        pressed: what follows is another change.
        moved: to a number.

    Args:
        name: for a screen reader.
        quantiles: the prior's, the one in the middle of which is where a double click goes.
    """

    pressed = pyqtSignal()
    moved = pyqtSignal(float)

    def __init__(self, name: str, quantiles: Sequence[float]):
        super().__init__(Qt.Orientation.Horizontal)
        low, self.middle, high = quantiles
        margin = BEYOND * (high - low) or 1.0
        self.least, self.most = low - margin, high + margin
        self.quantiles = quantiles
        self.band: tuple[float, float] | None = None
        self.setAccessibleName(name)
        self.setRange(0, STEPS)
        self.setPageStep(STEPS // 10)
        self.setMinimumHeight(34)
        self.setMinimumWidth(90)
        self.valueChanged.connect(lambda step: self.moved.emit(self.number_of(step)))

    def number_of(self, step: int) -> float:
        """What a step stands for."""
        return self.least + step / STEPS * (self.most - self.least)

    def step_of(self, number: float) -> int:
        """The step that is nearest to a number."""
        share = (number - self.least) / (self.most - self.least)
        return round(STEPS * min(max(share, 0.0), 1.0))

    def show_number(self, number: float) -> None:
        """Move there without a signal."""
        self.blockSignals(True)
        self.setValue(self.step_of(number))
        self.blockSignals(False)

    def show_band(self, band: tuple[float, float] | None) -> None:
        """Draw a band from one number to another below the slider, or none."""
        if band != self.band:
            self.band = band
            self.update()

    def place(self, number: float) -> int:
        """Screen pixels from the left of where the handle's middle is for a number."""
        handle = self.handle_width()
        step = self.step_of(number)
        span = self.width() - handle
        return QStyle.sliderPositionFromValue(0, STEPS, step, span) + handle // 2

    def handle_width(self) -> int:
        """In screen pixels."""
        option = QStyleOptionSlider()
        self.initStyleOption(option)
        style = self.style()
        assert style is not None
        return style.subControlRect(
            QStyle.ComplexControl.CC_Slider, option, QStyle.SubControl.SC_SliderHandle, self
        ).width()

    def paintEvent(self, event: Any) -> None:
        super().paintEvent(event)
        painter = QPainter(self)
        if self.band:
            start, end = (self.place(number) for number in self.band)
            painter.fillRect(start, self.height() - 5, max(2, end - start), 4, QColor(BAND))
        painter.setPen(self.palette().color(QPalette.WindowText))
        for number in self.quantiles:
            painter.drawLine(self.place(number), 0, self.place(number), 5)

    def mousePressEvent(self, event: Any) -> None:
        """The handle comes to where one presses, and is held there."""
        self.pressed.emit()
        if event.button() == Qt.MouseButton.LeftButton:
            handle = self.handle_width()
            at = event.x() - handle // 2
            self.setValue(QStyle.sliderValueFromPosition(0, STEPS, at, self.width() - handle))
        super().mousePressEvent(event)

    def mouseDoubleClickEvent(self, _event: Any) -> None:
        self.moved.emit(self.middle)  # of the same change as the first click

    def keyPressEvent(self, event: Any) -> None:
        if event.text() == "0":
            self.pressed.emit()
            self.moved.emit(self.middle)
        else:
            super().keyPressEvent(event)


class Map(QWidget):
    """Test images in a plane, and where the style is.

    Signals:
        pressed: the mouse went down.
        moved: it is dragged to a point of the plane (x, y).
        stepped: an arrow key goes a step along axis 0 or 1, by -1 or 1.
    """

    pressed = pyqtSignal()
    moved = pyqtSignal(float, float)
    stepped = pyqtSignal(int, int)

    def __init__(self) -> None:
        super().__init__()
        self.points, self.labels = np.zeros((0, 2)), np.zeros(0, int)
        self.names: Sequence[str] = ()
        self.low, self.high = np.zeros(2), np.ones(2)
        self.marker = np.zeros(2)
        self.ground: QPixmap | None = None
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.CrossCursor)
        self.setAccessibleName("Styles of test images, and this style; arrow keys move it")
        policy = QSizePolicy(QSizePolicy.Expanding, QSizePolicy.Preferred)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

    def show_points(
        self, points: np.ndarray, labels: np.ndarray, names: Sequence[str], limits: np.ndarray
    ) -> None:
        """Draw points [T, 2] of classes [T] with these names, within limits [low or high, 2]."""
        self.points, self.labels, self.names = points, labels, names
        self.low, self.high = limits
        self.ground = None
        self.update()

    def show_marker(self, place: np.ndarray) -> None:
        """The style is there, [2]."""
        self.marker = place
        self.update()

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        return min(width, 360)

    def sizeHint(self) -> QSize:
        return QSize(300, 300)

    def minimumSizeHint(self) -> QSize:
        return QSize(160, 160)

    def on_screen(self, points: np.ndarray) -> np.ndarray:
        """Points [..., 2] of the plane in screen pixels."""
        share = (points - self.low) / (self.high - self.low)
        return share * [self.width(), -self.height()] + [0, self.height()]

    def drawn_ground(self) -> QPixmap:
        """What does not move."""
        scale = self.devicePixelRatioF()
        ground = QPixmap(self.size() * scale)
        ground.setDevicePixelRatio(scale)
        ground.fill(QColor("white"))
        painter = QPainter(ground)
        painter.setRenderHint(QPainter.Antialiasing)
        painter.setOpacity(0.8)
        named = len(self.names) > len(COLOURS)  # more than can be told apart by colour
        font = painter.font()
        font.setPixelSize(11)
        painter.setFont(font)
        for (x, y), label in zip(self.on_screen(self.points), self.labels, strict=True):
            colour = QColor(COLOURS[label % len(COLOURS)])
            if named:
                painter.setPen(colour.darker(130))
                where = QRectF(x - 30, y - 8, 60, 16)
                painter.drawText(where, Qt.AlignmentFlag.AlignCenter, self.names[label])
            else:
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(colour)
                painter.drawEllipse(QPointF(x, y), 2.5, 2.5)
        painter.end()
        return ground

    def paintEvent(self, _event: Any) -> None:
        if self.ground is None or self.ground.size() != self.size() * self.devicePixelRatioF():
            self.ground = self.drawn_ground()
        painter = QPainter(self)
        painter.drawPixmap(0, 0, self.ground)
        painter.setRenderHint(QPainter.Antialiasing)
        painter.setPen(QPen(QColor("black"), 2))
        x, y = self.on_screen(self.marker)
        painter.drawEllipse(QPointF(x, y), 7, 7)
        painter.drawLine(QPointF(x - 11, y), QPointF(x + 11, y))
        painter.drawLine(QPointF(x, y - 11), QPointF(x, y + 11))
        if self.hasFocus():
            painter.setPen(QPen(self.palette().color(QPalette.Highlight), 3))
            painter.drawRect(self.rect().adjusted(1, 1, -2, -2))

    def mousePressEvent(self, event: Any) -> None:
        self.pressed.emit()
        self.mouseMoveEvent(event)

    def mouseMoveEvent(self, event: Any) -> None:
        share = np.array([event.x() / self.width(), 1 - event.y() / self.height()])
        self.moved.emit(*(self.low + share.clip(0, 1) * (self.high - self.low)))

    def keyPressEvent(self, event: Any) -> None:
        ways = {
            Qt.Key.Key_Left: (0, -1),
            Qt.Key.Key_Right: (0, 1),
            Qt.Key.Key_Down: (1, -1),
            Qt.Key.Key_Up: (1, 1),
        }
        if event.key() in ways:
            self.stepped.emit(*ways[event.key()])
        else:
            super().keyPressEvent(event)


class Pad(QWidget):
    """A sheet to draw on with a mouse, a finger or a pen; `drawn` says that it was lifted."""

    drawn = pyqtSignal()

    def __init__(self) -> None:
        super().__init__()
        self.setFixedSize(PAD, PAD)
        self.setCursor(Qt.CursorShape.CrossCursor)
        self.setAccessibleName("Draw here with a mouse, a finger or a pen")
        self.image = QImage(PAD, PAD, QImage.Format_RGB32)
        self.last: QPointF | None = None
        self.clear()

    def clear(self) -> None:
        """An empty sheet."""
        self.image.fill(QColor("white"))
        self.blank = True
        self.update()

    def show_picture(self, picture: Path) -> None:
        """Show a picture from a file instead of a drawing."""
        self.clear()
        image = QImage(str(picture))
        if not image.isNull():  # of kinds that Qt does not read nothing is shown
            image = image.scaled(
                PAD,
                PAD,
                Qt.AspectRatioMode.KeepAspectRatio,
                Qt.TransformationMode.SmoothTransformation,
            )
            painter = QPainter(self.image)
            painter.drawImage((PAD - image.width()) // 2, (PAD - image.height()) // 2, image)
            painter.end()
            self.update()

    def paintEvent(self, _event: Any) -> None:
        painter = QPainter(self)
        painter.drawImage(0, 0, self.image)
        painter.setPen(self.palette().color(QPalette.Mid))
        painter.drawRect(self.rect().adjusted(0, 0, -1, -1))

    def stroke(self, start: QPointF, end: QPointF) -> None:
        """Draw a line."""
        painter = QPainter(self.image)
        painter.setRenderHint(QPainter.Antialiasing)
        line, cap, join = (
            Qt.PenStyle.SolidLine,
            Qt.PenCapStyle.RoundCap,
            Qt.PenJoinStyle.RoundJoin,
        )
        painter.setPen(QPen(QColor("black"), PEN, line, cap, join))
        painter.drawLine(start, end)
        painter.end()
        self.blank = False
        self.update()

    def mousePressEvent(self, event: Any) -> None:
        if self.blank:
            self.clear()  # away with a picture from a file
        self.last = event.localPos() - QPointF(0.01, 0)  # of no length at all a line is not drawn
        self.mouseMoveEvent(event)

    def mouseMoveEvent(self, event: Any) -> None:
        if self.last is not None:
            self.stroke(self.last, event.localPos())
            self.last = event.localPos()

    def mouseReleaseEvent(self, _event: Any) -> None:
        if self.last is not None:
            self.last = None
            self.drawn.emit()


class Columns(QWidget):
    """Panels in one, two or three columns, as many as there is room for.

    Args:
        panels: with the column each is in where there are two, and where there are three.
    """

    def __init__(self, panels: Sequence[tuple[QWidget, int, int]]):
        super().__init__()
        self.panels, self.count = panels, 0
        row = QHBoxLayout(self)
        row.setContentsMargins(8, 8, 8, 8)
        self.columns = [QVBoxLayout() for _ in range(len(WIDTHS) + 1)]
        for column in self.columns:
            row.addLayout(column, 1)

    def arrange(self, width: int) -> None:
        """Put the panels where they belong in a window so wide."""
        count = 1 + sum(width >= least for least in WIDTHS)
        if count == self.count:
            return
        self.count = count
        row = self.layout()
        assert isinstance(row, QHBoxLayout)
        for i, column in enumerate(self.columns):
            row.setStretch(i, 1 if i < count else 0)
            while column.count():
                column.takeAt(0)
        for panel, of_two, of_three in self.panels:
            self.columns[(0, of_two, of_three)[count - 1]].addWidget(panel)
        for column in self.columns[:count]:
            column.addStretch(1)


def button(text: str, action: Callable[[], None]) -> QPushButton:
    """A button, no wider than it must be."""
    made = QPushButton(text)
    made.clicked.connect(lambda: action())
    made.setMinimumWidth(made.fontMetrics().horizontalAdvance(text) + 12)
    return made


def row_of(*widgets: QWidget, spread: bool = False) -> QHBoxLayout:
    """Widgets side by side; with `spread` the room that is left is to their right."""
    row = QHBoxLayout()
    row.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        row.addWidget(widget)
    if spread:
        row.addStretch(1)
    return row


def drawn(image: np.ndarray) -> QPixmap:
    """An image [H, W] of ink, or [H, W, 3], in [0, 1], for Qt."""
    return as_pixmap(np.asarray(on_paper(image).convert("RGB")))


def dark_palette() -> QPalette:
    """Light on dark."""
    palette = QPalette()
    colours = {
        QPalette.Window: "#26282c",
        QPalette.WindowText: "#ececec",
        QPalette.Base: "#3c4046",
        QPalette.AlternateBase: "#26282c",
        QPalette.Text: "#ececec",
        QPalette.Button: "#4a4e55",
        QPalette.ButtonText: "#ececec",
        QPalette.Highlight: "#7fb4f0",
        QPalette.HighlightedText: "#161616",
        QPalette.ToolTipBase: "#202124",
        QPalette.ToolTipText: "#ececec",
        QPalette.PlaceholderText: "#b4b4b4",
    }
    for role, colour in colours.items():
        palette.setColor(role, QColor(colour))
    for role in (QPalette.Text, QPalette.ButtonText, QPalette.WindowText):
        palette.setColor(QPalette.Disabled, role, QColor("#8a8a8a"))
    return palette
