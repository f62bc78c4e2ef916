"""The panels of the explorer's window: images, sliders, handwriting, a map, a text."""

from __future__ import annotations

import html
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PyQt5.QtCore import Qt
from PyQt5.QtGui import QIcon, QImage, QPixmap
from PyQt5.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QGridLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QScrollArea,
    QSlider,
    QToolButton,
    QVBoxLayout,
    QWidget,
)
from torch import Tensor

from mnist.errors import UserError
from mnist.figures.exploration import MANY, TEXT, OnMap
from mnist.figures.explorer_parts import (
    STEPS,
    Images,
    Map,
    Pad,
    StyleSlider,
    button,
    drawn,
    row_of,
)
from mnist.figures.images import to_arrays
from mnist.figures.plotting import COLOURS

if TYPE_CHECKING:
    from mnist.figures.explorer_window import ExplorerWindow

SHARPEST = 4.0
SEEN, SMALL = 112, 64  # screen pixels: of what is seen of a drawing, of a test image
NEAREST = 6  # test images shown
KEPT = 12  # styles in the strip


class Panel(QGroupBox):
    """A part of the window, under a title.

    Args:
        title: of the panel.
        explorer: the window, which is told of changes.
    """

    def __init__(self, title: str, explorer: ExplorerWindow):
        super().__init__(title)
        self.explorer, self.space, self.state = explorer, explorer.space, explorer.state
        self.column = QVBoxLayout(self)

    def draw(self) -> None:
        """Show the style: whenever it has changed."""

    def draw_rest(self) -> None:
        """Show what takes longer: when the style has not changed for a moment."""

    def add_note(self, text: str) -> None:
        """A line or two of explanation."""
        note = QLabel(text)
        note.setWordWrap(True)
        self.column.addWidget(note)


class WrittenPanel(Panel):
    """Every class in the style, and the styles that are kept."""

    def __init__(self, explorer: ExplorerWindow):
        space = explorer.space
        every = f"Every {space.spec.class_word} in this style"
        super().__init__(every if space.conditional else "This style", explorer)
        self.names = list(space.spec.class_names) if space.conditional else [""]
        self.count = 0  # of styles that have been kept
        self.way: Tensor | None = None  # the geodesic between the last two kept styles
        across = 1 if not space.conditional else 5 if len(self.names) <= 10 else 0
        self.images = Images(self.title(), across)
        self.column.addWidget(self.images)
        self.undo = button("Undo", explorer.undo)
        self.redo = button("Redo", explorer.redo)
        self.column.addLayout(
            row_of(
                button("Random", explorer.random),
                self.undo,
                self.redo,
                button("Keep", self.keep),
                button("Save …", explorer.save),
            )
        )
        self.reads = QCheckBox("What a classifier reads")
        self.reads.toggled.connect(explorer.changed)
        self.column.addWidget(self.reads)
        self.strip = QHBoxLayout()
        self.strip.addStretch(1)
        holder = QWidget()
        holder.setLayout(self.strip)
        self.strip_area = QScrollArea()
        self.strip_area.setWidget(holder)
        self.strip_area.setWidgetResizable(True)
        self.strip_area.setFixedHeight(74)
        self.strip_area.setAccessibleName("Kept styles")
        self.strip_area.hide()
        self.column.addWidget(self.strip_area)
        self.share = QSlider(Qt.Orientation.Horizontal)
        self.share.setRange(0, 100)
        self.share.setValue(50)
        self.share.setAccessibleName("Blend of the last two kept styles")
        self.share.sliderPressed.connect(self.state.pause)
        self.share.valueChanged.connect(self.blend)
        self.curved = QCheckBox("geodesic")
        self.curved.setToolTip("along the way that changes the images least")
        self.curved.toggled.connect(self.find_way)
        self.blending = QWidget()
        self.blending.setLayout(row_of(QLabel("Blend of the last two"), self.share, self.curved))
        self.blending.hide()
        self.column.addWidget(self.blending)

    def draw(self) -> None:
        self.images.show_images(self.explorer.images, self.names)
        self.undo.setEnabled(bool(self.state.past))
        self.redo.setEnabled(bool(self.state.future))

    def draw_rest(self) -> None:
        if not self.reads.isChecked():
            return
        opinion = self.space.opinion(self.explorer.images)
        if opinion is None:
            self.reads.setChecked(False)
            self.reads.setEnabled(False)
            self.reads.setText("No classifier is trained yet: ./mnist-classifier.py")
            return
        names = [*self.space.spec.class_names, "none"]
        captions = [
            f"{names[read]} {chance:.0%}"
            for read, chance in zip(*(each.tolist() for each in opinion), strict=True)
        ]
        self.images.show_images(self.explorer.images, captions)

    def keep(self) -> None:
        """Put the style into the strip."""
        style = self.state.style
        self.state.kept.append(style)
        images = to_arrays(self.space.written(style, self.state.sharpness)[:3])
        pixmap = drawn(np.concatenate([*images], 1))
        pixmap = pixmap.scaledToHeight(40, Qt.TransformationMode.SmoothTransformation)
        small = QToolButton()
        small.setIcon(QIcon(pixmap))
        small.setIconSize(pixmap.size())
        self.count += 1
        small.setAccessibleName(f"Kept style {self.count}")
        small.setToolTip(self.explorer.as_text())
        small.clicked.connect(partial(self.take, style))
        self.strip.insertWidget(self.strip.count() - 1, small)
        if len(self.state.kept) > KEPT:
            del self.state.kept[0]
            oldest = self.strip.takeAt(0)
            if oldest and (widget := oldest.widget()):
                widget.deleteLater()
        self.strip_area.show()
        self.blending.setVisible(len(self.state.kept) > 1)
        self.find_way()

    def take(self, style: Tensor, *_: object) -> None:
        """Go to a style that was kept."""
        self.state.go(style)
        self.explorer.changed()

    def blend(self, hundredths: int) -> None:
        """Go between the last two that were kept."""
        self.state.blend(hundredths / 100, self.way)
        self.explorer.changed()

    def find_way(self, *_: object) -> None:
        """Compute the geodesic between the last two kept styles, if it is wanted."""
        self.way = None
        if not self.curved.isChecked() or len(self.state.kept) < 2:
            return
        ends = self.state.kept[-2:]

        def take(way: Tensor) -> None:
            now = self.state.kept[-2:]
            if self.curved.isChecked() and ends[0] is now[0] and ends[1] is now[1]:
                self.way = way
                self.explorer.say("the blend follows the geodesic")

        self.explorer.say("computing the geodesic …")
        self.explorer.task(partial(self.space.geodesic, *ends), take)


class StylePanel(Panel):
    """A slider for each number of the style, and all of them as text."""

    def __init__(self, explorer: ExplorerWindow):
        super().__init__("Style", explorer)
        self.add_note(
            "Marks are the prior's quantiles of 2.5, 50 and 97.5 %. A double click, or 0, puts a "
            "number back to the middle."
        )
        grid = QGridLayout()
        grid.setColumnStretch(1, 1)
        self.sliders: dict[int, StyleSlider] = {}
        self.values: dict[int, QLabel] = {}
        for row, i in enumerate(self.space.order):
            name = f"z{i + 1}"
            slider, value = StyleSlider(name, self.space.quantiles[i]), QLabel()
            slider.pressed.connect(self.state.pause)
            slider.moved.connect(partial(self.move_to, i))
            lock = QCheckBox("lock")
            lock.setAccessibleName(f"lock {name}")
            lock.toggled.connect(partial(self.lock, i))
            value.setMinimumWidth(self.fontMetrics().horizontalAdvance("-10.00"))
            value.setAlignment(
                Qt.Alignment(Qt.AlignmentFlag.AlignRight) | Qt.AlignmentFlag.AlignVCenter
            )
            for place, widget in enumerate((QLabel(name), slider, value, lock)):
                grid.addWidget(widget, row, place)
            self.sliders[i], self.values[i] = slider, value
        if len(self.sliders) > MANY:  # they are scrolled
            holder, area = QWidget(), QScrollArea()
            holder.setLayout(grid)
            area.setWidget(holder)
            area.setWidgetResizable(True)
            area.setMinimumHeight(320)
            self.column.addWidget(area)
        else:
            self.column.addLayout(grid)
        self.sharpness = QSlider(Qt.Orientation.Horizontal)
        self.sharpness.setRange(50, round(100 * max(SHARPEST, self.space.sharpness)))
        self.sharpness.setValue(round(100 * self.space.sharpness))
        self.sharpness.setAccessibleName("Sharpness")
        self.sharpness.valueChanged.connect(self.sharpen)
        self.sharpness_value = QLabel()
        self.column.addLayout(row_of(QLabel("Sharpness"), self.sharpness, self.sharpness_value))
        self.numbers = QLineEdit()
        self.numbers.setAccessibleName("The style as numbers, as --style takes it")
        self.numbers.textEdited.connect(self.take_numbers)
        self.numbers.editingFinished.connect(explorer.changed)
        self.column.addLayout(
            row_of(QLabel("--style"), self.numbers, button("Copy", explorer.copy))
        )

    def draw(self) -> None:
        posterior = self.state.posterior
        for i, slider in self.sliders.items():
            number, band = self.state.style[i].item(), None
            if posterior and posterior[1][i]:
                mean, deviation = (each[i].item() for each in posterior)
                band = mean - 2 * deviation, mean + 2 * deviation
            slider.show_number(number)
            slider.show_band(band)
            self.values[i].setText(f"{number:.2f}")
        self.sharpness_value.setText(f"{self.state.sharpness:.2f}")
        if not self.numbers.hasFocus():
            self.numbers.setText(self.explorer.as_text())

    def move_to(self, dimension: int, number: float) -> None:
        """A slider was moved."""
        self.state.set(dimension, number, f"z{dimension}")
        self.explorer.changed()

    def lock(self, dimension: int, locked: bool) -> None:
        """A number is to stay as it is, or is free again."""
        (self.state.locked.add if locked else self.state.locked.discard)(dimension)
        self.sliders[dimension].setEnabled(not locked)

    def sharpen(self, hundredths: int) -> None:
        """The sharpness was changed."""
        self.state.sharpness = hundredths / 100
        self.explorer.changed()

    def take_numbers(self, text: str) -> None:
        """A style was typed."""
        try:
            style = torch.tensor([float(part) for part in text.split(",")])
        except ValueError:
            style = torch.zeros(0)
        size = len(self.state.style)
        if len(style) != size or not (style.abs() <= 1e4).all():
            self.explorer.say(f"a style is {size} numbers with commas between")
            return
        self.explorer.say()
        self.state.go(style, "numbers")
        self.explorer.changed()


class DrawingPanel(Panel):
    """Somebody's handwriting: drawn here, or a picture of it."""

    def __init__(self, explorer: ExplorerWindow):
        super().__init__("Your handwriting", explorer)
        spec = self.space.spec
        self.add_note(
            f"Draw, or drop a picture; say what it is, and every {spec.class_word} is written "
            "like it. Several add up to one hand."
        )
        self.folder = tempfile.TemporaryDirectory()  # for what comes from no file
        self.picture: Path | None = None  # that is looked at
        self.pad = Pad()
        self.pad.drawn.connect(self.look_at_drawing)
        self.seen = Images("What the encoder sees of it", 1, SEEN)
        self.seen.setFixedWidth(SEEN)
        self.column.addLayout(row_of(self.pad, self.seen, spread=True))
        self.label, this_is = QComboBox(), QLabel("This is")
        self.label.addItems(spec.class_names)
        self.label.setAccessibleName(f"Which {spec.class_word} it is")
        self.label.activated.connect(self.look_again)
        if not self.space.conditional:
            self.label.hide()
            this_is.hide()
        open_it = button("Open …", self.open_picture)
        self.column.addLayout(row_of(this_is, self.label, open_it, spread=True))
        self.column.addLayout(
            row_of(
                button("Add to the hand", self.add),
                button("Clear", self.clear),
                button("Forget it", self.forget),
            )
        )
        self.said = QLabel()
        self.said.setWordWrap(True)
        self.column.addWidget(self.said)

    def look_at_drawing(self) -> None:
        """Take the style of what is drawn."""
        self.look_at(self.saved(self.pad.image))

    def saved(self, image: QImage) -> Path:
        """An image in a file."""
        file = Path(self.folder.name) / "picture.png"
        image.save(str(file))
        return file

    def look_at_picture(self, picture: Path) -> None:
        """Take the style of a picture in a file."""
        self.state.pause()
        if self.look_at(picture):
            self.pad.show_picture(picture)

    def look_at(self, picture: Path) -> bool:
        """Take the style of a picture; whether anything is seen in it."""
        self.picture = picture
        try:
            seen = self.state.look_at(picture, self.label.currentIndex())
        except UserError as error:
            self.said.setText(str(error).replace(str(picture), "this"))
            return False
        self.seen.show_images(seen.image, ["as it is seen"])
        self.said.setText("; ".join(seen.doubts))
        self.explorer.changed()
        return True

    def look_again(self, *_: object) -> None:
        """The same is said to be another class."""
        if self.picture:
            self.look_at(self.picture)

    def look_at_data(self, data: Any) -> None:
        """Look at what was dropped or pasted."""
        places = [url.toLocalFile() for url in data.urls() if url.isLocalFile()]
        image = data.imageData()
        if places:
            self.look_at_picture(Path(places[0]))
        elif isinstance(image, QImage) and not image.isNull():
            self.look_at_picture(self.saved(image))
        elif data.hasImage():
            self.said.setText("this is no picture that can be read")
        elif data.hasUrls():
            self.said.setText("only pictures on this machine can be looked at")

    def open_picture(self) -> None:
        """Ask for a picture."""
        name, _ = QFileDialog.getOpenFileName(self, "Open a picture")
        if name:
            self.look_at_picture(Path(name))

    def add(self) -> None:
        """What was drawn is one of several by the same person."""
        self.state.add()
        self.clear()
        if self.state.hand:
            self.said.setText(f"{len(self.state.hand)} in the hand")

    def clear(self) -> None:
        """An empty pad."""
        self.pad.clear()
        self.seen.show_images(None, ())
        self.picture = None
        self.state.drawn = None
        self.state.pause()
        self.said.clear()
        self.explorer.changed()

    def forget(self) -> None:
        """No hand any more."""
        self.state.forget()
        self.clear()


class MapPanel(Panel):
    """Where the style is among those of test images, and the nearest of these."""

    def __init__(self, explorer: ExplorerWindow):
        super().__init__("Where it is", explorer)
        self.tests: OnMap | None = None  # once they have been read
        self.flat: Tensor | None = None  # the t-SNE of their styles, once it has been computed
        self.flattened = False  # whether that has begun
        self.kind = QComboBox()
        self.kind.addItem("two dimensions")
        self.kind.setAccessibleName("What the map shows")
        self.kind.activated.connect(self.choose)
        self.across, self.up = QComboBox(), QComboBox()
        for place, (box, name) in enumerate(((self.across, "Across"), (self.up, "Up"))):
            box.addItems([f"z{i + 1}" for i in self.space.order])
            box.setCurrentIndex(min(place, len(self.space.order) - 1))
            box.setAccessibleName(name)
            box.activated.connect(self.show_map)
        labels = QLabel("across"), QLabel("up")
        chosen = (self.kind, labels[0], self.across, labels[1], self.up)
        self.column.addLayout(row_of(*chosen, spread=True))
        self.map = Map()
        self.map.pressed.connect(self.state.pause)
        self.map.moved.connect(self.go_to)
        self.map.stepped.connect(self.step)
        self.column.addWidget(self.map)
        self.legend = QLabel()
        self.legend.setWordWrap(True)
        self.column.addWidget(self.legend)
        self.nearest_title = QLabel("Nearest test images")
        self.nearest = Images("Nearest test images", NEAREST, SMALL)
        for widget in (self.nearest_title, self.nearest):
            widget.hide()
            self.column.addWidget(widget)

    def draw(self) -> None:
        self.map.show_marker(self.place())

    def draw_rest(self) -> None:
        if self.tests is not None:
            near = self.away(self.tests).argsort()[:NEAREST]
            names = self.space.spec.class_names
            labels = [names[label] for label in self.tests.labels[near]]
            self.nearest.show_images(self.tests.images[near], labels)

    def away(self, tests: OnMap) -> Tensor:
        """How far the style is from those of the test images, [T]."""
        return (tests.styles - self.state.style).norm(dim=1)

    def show_tests(self, tests: OnMap | None) -> None:
        """The test images have been read."""
        self.tests = tests
        if tests is not None:
            self.nearest_title.show()
            self.nearest.show()
            if len(tests.styles) >= 4 and tests.styles.shape[1] > 1:
                self.kind.addItem("t-SNE")
            names = self.space.spec.class_names
            if len(names) <= len(COLOURS):
                keys = (
                    f'<span style="color: {colour}">●</span>&nbsp;{html.escape(name)}'
                    for colour, name in zip(COLOURS, names, strict=False)
                )
                self.legend.setText(" &nbsp; ".join(keys))
        self.show_map()
        self.draw_rest()

    def choose(self, *_: object) -> None:
        """Another kind of map was chosen: a t-SNE takes seconds."""
        if self.kind.currentIndex() == 1 and not self.flattened and self.tests is not None:
            self.flattened = True
            self.explorer.say("computing the t-SNE …")
            self.explorer.task(partial(self.space.plane, self.tests.styles), self.show_flat)
        self.show_map()

    def show_flat(self, flat: Tensor) -> None:
        """The t-SNE has been computed."""
        self.flat = flat
        self.explorer.say("on a t-SNE a click takes the nearest test image's style")
        self.show_map()

    @property
    def shown(self) -> tuple[OnMap, Tensor] | None:
        """The test images and their t-SNE, where the map is that."""
        if self.kind.currentIndex() != 1 or self.flat is None or self.tests is None:
            return None
        return self.tests, self.flat

    def axes(self) -> list[int]:
        """The dimensions of the map."""
        return [self.space.order[box.currentIndex()] for box in (self.across, self.up)]

    def show_map(self, *_: object) -> None:
        """Draw the test images where they are."""
        points, labels = np.zeros((0, 2)), np.zeros(0, int)
        sliders = [self.explorer.style_panel.sliders[i] for i in self.axes()]
        limits = np.array([[each.least for each in sliders], [each.most for each in sliders]])
        if self.tests is not None:
            points = self.tests.styles[:, self.axes()].numpy()
            labels = self.tests.labels.numpy()
        if self.shown:
            points = self.shown[1].numpy()
            margin = 0.05 * np.ptp(points, 0)
            limits = np.stack([points.min(0) - margin, points.max(0) + margin])
        for box in (self.across, self.up):
            box.setEnabled(not self.shown)
        self.map.show_points(points, labels, self.space.spec.class_names, limits)
        self.draw()

    def place(self) -> np.ndarray:
        """Where the style is, [2]; on a t-SNE where the nearest test image's is."""
        if self.shown:
            tests, flat = self.shown
            return flat[self.away(tests).argmin()].numpy()
        return self.state.style[self.axes()].numpy()

    def go_to(self, x: float, y: float) -> None:
        """The mouse points there; on a t-SNE it takes the nearest test image's style."""
        if self.shown:
            tests, flat = self.shown
            style = tests.styles[(flat - torch.tensor([x, y])).norm(dim=1).argmin()]
        else:
            style = self.state.style.clone()
            for axis, number in zip(reversed(self.axes()), (y, x), strict=True):
                style[axis] = number  # x last: it counts where there is one dimension only
        self.state.go(style, "map")
        self.explorer.changed()

    def step(self, axis: int, way: int) -> None:
        """An arrow key goes along an axis."""
        if not self.shown:
            dimension = self.axes()[axis]
            slider = self.explorer.style_panel.sliders[dimension]
            step = way * (slider.most - slider.least) * 10 / STEPS
            number = self.state.style[dimension].item() + step
            self.explorer.style_panel.move_to(dimension, number)


class TextPanel(Panel):
    """A line in the style."""

    def __init__(self, explorer: ExplorerWindow):
        super().__init__("Text in this style", explorer)
        known = self.space.spec.class_names
        self.text = QLineEdit(TEXT if all(each in known for each in TEXT) else "")
        self.text.setMaxLength(60)
        self.text.setAccessibleName("Text to write")
        self.text.textEdited.connect(self.draw_rest)
        self.line = QLabel()
        self.line.setMinimumWidth(1)  # or what it shows would keep the column as wide
        self.column.addWidget(self.text)
        self.column.addWidget(self.line)

    def draw_rest(self) -> None:
        self.line.clear()
        if not self.text.text().strip():
            return
        try:
            png = self.space.line(self.text.text(), self.state.style, self.state.sharpness)
        except UserError as error:
            self.line.setText(str(error).removeprefix("--text: "))
            return
        pixmap = QPixmap()
        pixmap.loadFromData(png)
        wide = min(pixmap.width() // 2, self.text.width())
        smooth = Qt.TransformationMode.SmoothTransformation
        self.line.setPixmap(pixmap.scaledToWidth(wide, smooth))
