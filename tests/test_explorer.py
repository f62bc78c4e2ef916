"""explore.py's window, on a screen that nobody sees: dragged, drawn on, saved, closed."""

import io
import time
from itertools import pairwise
from typing import ClassVar

import numpy as np
import pytest
import torch
from conftest import SMALL, SMALL_MODELS, bundled, save_run
from PIL import Image

from mnist.commands.explored import Explored
from mnist.commands.flags import ExploreFlags
from mnist.commands.tools import open_run
from mnist.data.scan import read_scan
from mnist.data.spec import DataSpec
from mnist.errors import UserError
from mnist.figures.exploration import Explorable, Exploration, OnMap, Seen
from mnist.latent.manifold import flat, length
from mnist.latent.two_covariance import product_of_posteriors
from mnist.training.checkpoint import Progress

pytestmark = pytest.mark.usefixtures("platform")


@pytest.fixture
def space(tmp_path, monkeypatch):
    """A run with three dimensions, as the explorer asks it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mnist.commands.explored.load_same_dataset", lambda *_: bundled())
    save_run(tmp_path / "mnist3.ckpt", "aae", SMALL)
    return explored()


def explored(**flags):
    flags = ExploreFlags(**({"feature_size": 3} | flags))
    return Explored(open_run(flags), flags)


@pytest.fixture
def window(space, tmp_path):
    """Its window, when the test images are there."""
    shown = opened(space, tmp_path)
    yield shown
    shown.close()


def opened(space, tmp_path):
    from PyQt5.QtTest import QTest

    from mnist.figures.explorer_window import ExplorerWindow
    from mnist.figures.window import application

    application().setStyle("Fusion")
    shown = ExplorerWindow(space, "test", tmp_path / "e.png")
    shown.show()
    QTest.qWaitForWindowExposed(shown)
    settle(shown)
    return shown


def settle(window):
    """Wait until its tasks are done and everything is drawn."""
    from PyQt5.QtTest import QTest

    deadline = time.monotonic() + 30
    QTest.qWait(1)
    while window.tasks or window.soon.isActive() or window.later.isActive():
        assert time.monotonic() < deadline
        QTest.qWait(10)


def drag(widget, places):
    """Go from place to place, each (x, y) in screen pixels, with the button down."""
    from PyQt5.QtCore import QEvent, QPointF, Qt
    from PyQt5.QtGui import QMouseEvent
    from PyQt5.QtWidgets import QApplication

    def send(kind, place, button, buttons):
        event = QMouseEvent(kind, QPointF(*place), button, buttons, Qt.NoModifier)
        QApplication.sendEvent(widget, event)

    left, none = Qt.LeftButton, Qt.NoButton
    send(QEvent.MouseButtonPress, places[0], left, left)
    for place in places[1:]:
        send(QEvent.MouseMove, place, none, left)
    send(QEvent.MouseButtonRelease, places[-1], left, none)


def draw_a_seven(window):
    drag(window.drawing.pad, [(40, 40), (80, 41), (125, 40), (100, 90), (75, 135)])
    settle(window)


def pixels_of(images):
    """What an `Images` shows, [B, H, W] of ink in [0, 255]."""
    from PyQt5.QtGui import QImage

    every = []
    for picture in (
        each.toImage().convertToFormat(QImage.Format_RGB888) for each in images.pictures
    ):
        bits = picture.constBits().asstring(picture.sizeInBytes())
        every.append(np.frombuffer(bits, np.uint8).reshape(picture.height(), -1)[:, ::3])
    return 255 - np.stack([each[:, : images.pictures[0].width()] for each in every])


# --- the state, without a window ------------------------------------------------------------------


@pytest.fixture
def state(space):
    return Exploration(space)


def test_undo_goes_back_over_each_drag(state):
    start = state.style
    for number in (0.1, 0.2, 0.3):
        state.set(0, number, "z0")
    state.pause()
    state.set(0, 1.0, "z0")
    state.go(torch.ones(3))
    styles = [state.style]
    for _ in range(4):
        state.undo()
        styles.append(state.style)
    assert [style[0].item() for style in styles[:3]] == pytest.approx([1, 1, 0.3])
    assert torch.equal(styles[3], start)
    assert torch.equal(styles[4], start)  # there is nothing before
    state.redo()
    assert state.style[0].item() == pytest.approx(0.3)
    state.set(1, 5.0)
    state.redo()  # is forgotten
    assert state.style.tolist() == pytest.approx([0.3, 5.0, start[2].item()])


def test_what_is_locked_stays(state):
    before = state.style
    state.locked = {1}
    state.go(torch.full((3,), 9.0))
    assert state.style.tolist() == [9, before[1].item(), 9]


def test_a_blend_goes_along_the_way(state):
    state.kept = [torch.zeros(3), torch.ones(3), torch.tensor([1.0, 3, 5])]
    state.blend(0.25)
    assert state.style.tolist() == [1, 1.5, 2]
    way = torch.tensor([[0.0, 0, 0], [1, 0, 0], [1, 1, 0]])
    for share, place in ((0, [0, 0, 0]), (0.75, [1, 0.5, 0]), (1, [1, 1, 0])):
        state.blend(share, way)
        assert state.style.tolist() == place


def test_several_drawings_are_one_hand(state, space, monkeypatch):
    generator = torch.Generator().manual_seed(0)
    means, deviations = torch.randn(3, 3, generator=generator), torch.full((3, 3), 0.5)
    every = [Seen(torch.zeros(1), *each, []) for each in zip(means, deviations, strict=True)]
    monkeypatch.setattr(space, "look_at", lambda *_: every[len(state.hand)])
    for _ in every:
        state.look_at(None, 0)
        state.add()
    assert torch.equal(state.posterior[0], state.style)
    mean, variance = product_of_posteriors(means, deviations, space.run.prior.std)
    assert torch.equal(state.style, mean)
    assert torch.equal(state.posterior[1], variance.sqrt())
    state.forget()
    assert state.posterior is None


def test_many_dimensions_are_in_the_order_of_what_they_change(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    method = save_run(tmp_path / "mnist14.ckpt", "aae", SMALL | {"feature_size": 14})
    space = explored(feature_size=14)
    assert sorted(space.order) == list(range(14))
    assert space.order != list(range(14))
    low, high = -1.96, 1.96

    def changed(i):
        ends = space.samples[0].repeat(2, 1)
        ends[:, i] = space.run.prior.std * torch.tensor([low, high])
        one, other = (space.written(end, 1.0) for end in ends)
        return (one - other).square().mean().item()

    sizes = [changed(i) for i in space.order]
    assert all(a >= b - 1e-6 for a, b in pairwise(sizes))
    assert method.spec.classes == len(space.labels)


def test_the_geodesic_is_no_longer_than_the_straight_way(space):
    start, end = space.samples[:2]
    way = space.geodesic(start, end)
    assert torch.allclose(way[[0, -1]], torch.stack([start, end]))

    def decode(styles):
        return torch.stack([space.written(style, 1.0).flatten() for style in styles])

    straight = torch.lerp(start, end, torch.linspace(0, 1, len(way))[:, None])
    lengths = [length(flat(decode, each[None])) for each in (way, straight)]
    assert lengths[0] <= lengths[1] * (1 + 1e-5)


# --- the window -----------------------------------------------------------------------------------


def test_it_shows_every_digit_in_the_style(window, space):
    expected = 255 * space.written(window.state.style, space.sharpness)[:, 0].numpy()
    assert np.abs(pixels_of(window.written.images) - expected).max() <= 0.5 + 1e-3
    assert [label.text() for label in window.style_panel.values.values()] == [
        f"{number:.2f}" for number in window.state.style.tolist()
    ]
    nearest = (window.map_panel.tests.styles - window.state.style).norm(dim=1).argsort()[:6]
    shown = pixels_of(window.map_panel.nearest)
    assert (
        np.abs(shown - 255 * window.map_panel.tests.images[nearest][:, 0].numpy()).max()
        <= 0.5 + 1e-3
    )
    labels = bundled().test.labels
    assert len(window.map_panel.tests.labels) == 500
    assert set(window.map_panel.tests.labels.tolist()) == set(labels.tolist())


def test_a_slider_is_dragged_and_goes_back(window, space):
    from PyQt5.QtCore import Qt
    from PyQt5.QtTest import QTest

    before, slider = window.state.style, window.style_panel.sliders[1]
    others = before[[0, 2]].tolist()
    drag(slider, [(slider.place(-1.0), 15), (slider.place(0.0), 15), (slider.place(-0.5), 15)])
    settle(window)
    first = window.state.style
    drag(slider, [(slider.place(0.5), 15), (slider.place(1.0), 15)])
    settle(window)
    step = (slider.most - slider.least) / 400
    assert window.state.style[1].item() == pytest.approx(1.0, abs=2 * step)
    assert window.state.style[[0, 2]].tolist() == others
    expected = 255 * space.written(window.state.style, space.sharpness)[:, 0].numpy()
    assert np.abs(pixels_of(window.written.images) - expected).max() <= 0.5 + 1e-3
    QTest.keyClick(window, Qt.Key_Z)
    assert torch.equal(window.state.style, first)
    QTest.keyClick(window, Qt.Key_Z)
    assert torch.equal(window.state.style, before)
    QTest.keyClick(window, Qt.Key_Y)
    QTest.keyClick(window, Qt.Key_Y)
    assert window.state.style[1].item() == pytest.approx(1.0, abs=2 * step)
    QTest.mouseDClick(slider, Qt.LeftButton)
    assert window.state.style[1].item() == 0
    settle(window)
    QTest.keyClick(slider, Qt.Key_Right)
    assert window.state.style[1].item() == pytest.approx(step, rel=0.01)
    QTest.keyClick(slider, Qt.Key_0)
    assert window.state.style[1].item() == 0


def test_a_locked_number_stays(window):
    before = window.state.style[2].item()
    window.style_panel.lock(2, True)
    assert not window.style_panel.sliders[2].isEnabled()
    for _ in range(5):
        window.random()
    assert window.state.style[2].item() == before


def test_the_map_is_dragged_and_walked_on(window):
    from PyQt5.QtCore import Qt
    from PyQt5.QtTest import QTest

    wide, tall = window.map_panel.map.width(), window.map_panel.map.height()
    drag(window.map_panel.map, [(10, 10), (wide / 4, tall / 4)])
    limits = window.style_panel.sliders[0].least, window.style_panel.sliders[0].most
    assert window.state.style[0].item() == pytest.approx(np.interp(0.25, (0, 1), limits), abs=0.1)
    assert window.state.style[1].item() == pytest.approx(np.interp(0.75, (0, 1), limits), abs=0.1)
    before = window.state.style
    QTest.keyClick(window.map_panel.map, Qt.Key_Left)
    QTest.keyClick(window.map_panel.map, Qt.Key_Up)
    assert window.state.style[0] < before[0]
    assert window.state.style[1] > before[1]
    window.map_panel.up.setCurrentIndex(2)
    window.map_panel.up.activated.emit(2)
    assert np.allclose(window.map_panel.map.points, window.map_panel.tests.styles[:, [0, 2]])


def test_the_map_as_a_tsne_takes_the_style_of_a_test_image(window):
    window.map_panel.kind.setCurrentIndex(1)
    window.map_panel.kind.activated.emit(1)
    assert not window.map_panel.shown  # it is computed beside the window, which does not wait
    settle(window)
    assert window.map_panel.shown
    assert window.map_panel.flat.shape == (500, 2)
    place = window.map_panel.map.on_screen(window.map_panel.flat[17].numpy())
    drag(window.map_panel.map, [place])
    assert torch.equal(window.state.style, window.map_panel.tests.styles[17])


def test_what_is_drawn_is_seen_as_a_scan_is(window, space, tmp_path):
    window.drawing.label.setCurrentIndex(7)
    draw_a_seven(window)
    window.drawing.pad.image.save(str(tmp_path / "drawn.png"))
    expected = read_scan(tmp_path / "drawn.png")
    assert (
        np.abs(pixels_of(window.drawing.seen)[0] - 255 * expected[0, 0].numpy()).max() <= 0.5 + 1e-3
    )
    mean, deviation = space.run.posterior(expected, torch.tensor([7]))
    assert torch.equal(window.state.style, mean[0])
    low, high = window.style_panel.sliders[0].band
    assert high - low == pytest.approx(4 * deviation[0, 0].item(), rel=1e-5)
    window.drawing.label.setCurrentIndex(1)
    window.drawing.label.activated.emit(1)
    again, _ = space.run.posterior(expected, torch.tensor([1]))
    assert torch.equal(window.state.style, again[0])
    window.drawing.add()
    assert window.drawing.said.text() == "1 in the hand"
    draw_a_seven(window)
    width = window.style_panel.sliders[0].band[1] - window.style_panel.sliders[0].band[0]
    assert width < high - low
    window.drawing.forget()
    settle(window)
    assert window.style_panel.sliders[0].band is None


def test_an_empty_pad_says_nothing_and_a_dot_is_seen(window):
    before = window.state.style
    window.drawing.clear()
    window.drawing.look_again()
    assert torch.equal(window.state.style, before)
    drag(window.drawing.pad, [(80, 80)])
    assert not window.drawing.pad.blank


def mime(**given):
    from PyQt5.QtCore import QMimeData, QUrl

    data = QMimeData()
    if "path" in given:
        data.setUrls([QUrl.fromLocalFile(str(given["path"]))])
    if "address" in given:
        data.setUrls([QUrl(given["address"])])
    if "image" in given:
        data.setImageData(given["image"])
    return data


def drop(window, data):
    from PyQt5.QtCore import QPoint, QPointF, Qt
    from PyQt5.QtGui import QDragEnterEvent, QDropEvent

    enter = QDragEnterEvent(QPoint(5, 5), Qt.CopyAction, data, Qt.LeftButton, Qt.NoModifier)
    window.dragEnterEvent(enter)
    window.dropEvent(QDropEvent(QPointF(5, 5), Qt.CopyAction, data, Qt.LeftButton, Qt.NoModifier))
    settle(window)
    return enter.isAccepted()


def test_a_picture_is_dropped_and_pasted(window, space, tmp_path):
    from PyQt5.QtGui import QImage

    from mnist.figures.window import application

    image = bundled().test.batch(torch.tensor([3])).images
    scanned = Image.fromarray((255 * (1 - image[0, 0].numpy())).astype(np.uint8))
    scanned.resize((280, 280), Image.Resampling.BICUBIC).save(tmp_path / "scan.png")
    assert drop(window, mime(path=tmp_path / "scan.png"))
    label = torch.tensor([0])
    expected = space.run.encode(read_scan(tmp_path / "scan.png"), label)[0]
    assert torch.equal(window.state.style, expected)
    window.random()
    application().clipboard().setMimeData(mime(image=QImage(str(tmp_path / "scan.png"))))
    window.paste()
    assert torch.equal(window.state.style, expected)
    window.drawing.label.setCurrentIndex(7)
    window.drawing.label.activated.emit(7)
    again = space.run.encode(read_scan(tmp_path / "scan.png"), torch.tensor([7]))[0]
    assert torch.allclose(window.state.style, again, atol=1e-5)
    for _ in range(3):  # each picture is a step of its own
        window.undo()
    assert torch.equal(window.state.style, space.samples[0])
    assert window.drawing.pad.blank  # the next stroke begins a new drawing


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("text.png", b"no picture", "this is no picture that can be read"),
        ("cut.png", None, "this cannot be read"),
        ("bomb.png", "bomb", "10,000 × 10,000 pixels"),
        ("missing.png", "none", "No such file"),
        ("blank.png", "blank", "this shows no digit"),
    ],
)
def test_what_is_no_picture_is_said_in_a_line(window, tmp_path, name, content, says):
    buffer = io.BytesIO()
    size = (10_000, 10_000) if content == "bomb" else (50, 50)
    Image.new("1", size, 1).save(buffer, "PNG")
    png = buffer.getvalue()
    contents = {"none": None, "bomb": png, "blank": png, None: png[:60]}
    found = contents.get(content, content)
    if found is not None:
        (tmp_path / name).write_bytes(found)
    before = window.state.style
    drop(window, mime(path=tmp_path / name))
    assert says in window.drawing.said.text()
    assert torch.equal(window.state.style, before)
    broken = mime()
    broken.setData("application/x-qt-image", b"junk")
    drop(window, broken)
    assert torch.equal(window.state.style, before)
    drop(window, mime(address="https://example.org/7.png"))
    assert "only pictures on this machine" in window.drawing.said.text()


def test_kept_styles_blend_straight_and_along_the_geodesic(window, space):
    from PyQt5.QtCore import Qt
    from PyQt5.QtTest import QTest
    from PyQt5.QtWidgets import QToolButton

    styles = []
    for index in (1, 2):
        window.state.go(space.samples[index])
        styles.append(window.state.style)
        QTest.keyClick(window, Qt.Key_K)
    window.written.share.setValue(25)
    assert torch.allclose(window.state.style, torch.lerp(*styles, 0.25))
    window.written.curved.setChecked(True)
    assert window.written.way is None  # it is computed beside the window
    settle(window)
    assert torch.equal(window.written.way, space.geodesic(*styles))
    window.written.share.setValue(100)
    assert torch.allclose(window.state.style, styles[1])
    window.findChildren(QToolButton)[0].click()
    assert torch.equal(window.state.style, styles[0])
    for _ in range(14):
        window.written.keep()
    assert len(window.state.kept) == 12
    assert window.written.strip.count() == 13


def test_what_a_classifier_reads_is_below_the_images(tmp_path, window, space):
    window.written.reads.setChecked(True)
    settle(window)
    assert not window.written.reads.isChecked()
    assert "./mnist-classifier.py" in window.written.reads.text()
    save_run(
        *(tmp_path / "mnist-classifier.ckpt", "classifier", SMALL_MODELS["classifier"]),
        Progress(epoch=3, rows=[{"epoch": 3}]),
    )
    del space.classifier  # which was looked for, and remembered
    window.written.reads.setEnabled(True)
    window.written.reads.setChecked(True)
    settle(window)
    read, chances = space.opinion(window.images)
    assert window.written.images.captions == [
        f"{label} {chance:.0%}"
        for label, chance in zip(read.tolist(), chances.tolist(), strict=True)
    ]


def save_as(window, monkeypatch, path):
    monkeypatch.setattr(window, "ask_for_file", lambda _: str(path))
    window.save()
    settle(window)
    return window.status.currentMessage()


def test_it_saves_pictures_outlines_arrays_and_a_walk(window, space, tmp_path, monkeypatch):
    for suffix in (".png", ".svg", ".npz", ".gif"):
        path = tmp_path / f"s{suffix}"
        assert save_as(window, monkeypatch, path) == f"saved to {path}"
    style = window.state.style
    with Image.open(tmp_path / "s.png") as picture:
        assert picture.width > 500
        assert np.allclose([float(x) for x in picture.text["styles"].split(",")], style)
    assert (tmp_path / "s.svg").read_text().count("<path") == 10
    with np.load(tmp_path / "s.npz") as arrays:
        expected = 255 * space.written(style, space.sharpness)[:, 0].numpy()
        assert np.abs(arrays["images"] - expected).max() <= 0.5 + 1e-3
        assert arrays["labels"].tolist() == list(range(10))
        assert np.array_equal(arrays["styles"], style.expand(10, -1))
    with Image.open(tmp_path / "s.gif") as walk:
        assert walk.n_frames > 20
    assert ".txt is not one of" in save_as(window, monkeypatch, tmp_path / "t.txt")
    assert "cannot write" in save_as(window, monkeypatch, tmp_path / "none" / "t.png")
    before = sorted(tmp_path.iterdir())
    window.say("nothing yet")
    assert save_as(window, monkeypatch, "") == "nothing yet"  # the question was not answered
    assert sorted(tmp_path.iterdir()) == before


def test_a_file_without_a_suffix_gets_that_of_the_chosen_kind(window, tmp_path):
    from PyQt5.QtCore import QTimer
    from PyQt5.QtWidgets import QFileDialog, QLineEdit

    def answer():
        (dialog,) = window.findChildren(QFileDialog)
        dialog.setOption(QFileDialog.DontUseNativeDialog)
        dialog.selectNameFilter("arrays (*.npz)")
        dialog.filterSelected.emit("arrays (*.npz)")
        dialog.findChild(QLineEdit).setText(str(tmp_path / "t"))
        dialog.accept()

    QTimer.singleShot(200, answer)
    assert window.ask_for_file("picture (*.png);;arrays (*.npz)") == str(tmp_path / "t.npz")


def test_the_style_is_copied_and_typed(window, space):
    from PyQt5.QtCore import Qt
    from PyQt5.QtTest import QTest

    from mnist.figures.window import application

    QTest.keyClick(window, Qt.Key_C)
    copied = application().clipboard().text()
    assert np.allclose([float(x) for x in copied.split(",")], window.state.style, atol=1e-3)
    before = window.state.style
    for text in ("1,2", "1,2,x", "nan,0,0", "1e9,0,0", ""):
        window.style_panel.numbers.setText(text)
        window.style_panel.numbers.textEdited.emit(text)
        assert "a style is 3 numbers" in window.status.currentMessage()
        assert torch.equal(window.state.style, before)
    window.style_panel.numbers.textEdited.emit("0.5,-1,2")
    assert window.state.style.tolist() == [0.5, -1, 2]


def test_the_text_is_written(window):
    window.text.text.setText("314 15")
    window.text.draw_rest()
    assert window.text.line.pixmap().width() > 100
    window.text.text.setText("31a")
    window.text.draw_rest()
    assert "there is no digit 'a'" in window.text.line.text()
    window.text.text.setText(" ")
    window.text.draw_rest()
    assert not window.text.line.text()
    assert window.text.line.pixmap() is None


def test_light_and_dark_and_the_keys(window):
    from PyQt5.QtCore import Qt
    from PyQt5.QtGui import QPalette
    from PyQt5.QtTest import QTest

    from mnist.figures.window import application

    before = window.dark
    seen = []
    for _ in range(2):
        seen.append(application().palette().color(QPalette.Window).lightness())
        QTest.keyClick(window, Qt.Key_T)
    assert window.dark == before
    assert max(seen) > 200
    assert min(seen) < 60
    window.text.text.setFocus()
    QTest.keyClick(window.text.text, Qt.Key_Q)  # a letter
    assert window.isVisible()
    QTest.keyClick(window, Qt.Key_Escape)
    QTest.keyClick(window, Qt.Key_Q)
    assert not window.isVisible()


@pytest.mark.parametrize("size", [(1280, 800), (800, 600), (480, 600)])
def test_nothing_is_wider_than_the_window(window, size):
    from PyQt5.QtTest import QTest

    window.resize(*size)
    QTest.qWait(50)
    assert window.columns.count == {1280: 3, 800: 2, 480: 1}[size[0]]
    assert window.width() == size[0]
    assert window.columns.width() <= window.area.viewport().width()


def test_an_error_in_a_task_ends_in_python(window, space, monkeypatch):
    from mnist.figures.window import run

    def fail(*_):
        raise ZeroDivisionError

    window.state.kept = [*space.samples[:2]]
    monkeypatch.setattr(space, "geodesic", fail)
    window.written.curved.setChecked(True)
    with pytest.raises(ZeroDivisionError):
        run(window)


def test_closing_waits_for_what_has_begun(space, tmp_path, monkeypatch):
    monkeypatch.setattr(space, "plane", lambda styles: time.sleep(0.5) or styles[:, :2])
    shown = opened(space, tmp_path)
    shown.map_panel.kind.setCurrentIndex(1)
    shown.map_panel.kind.activated.emit(1)
    tasks = list(shown.tasks)
    assert tasks
    shown.close()
    assert all(task.isFinished() for task in tasks)


@pytest.mark.parametrize(
    ("name", "model", "draws", "shown"),
    [
        ("aae", SMALL | {"labels": False}, True, 1),
        ("gan", SMALL_MODELS["gan"], False, 1),
        ("vae", SMALL_MODELS["vae"], True, 10),
    ],
)
def test_runs_of_other_kinds(tmp_path, monkeypatch, name, model, draws, shown):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mnist.commands.explored.load_same_dataset", lambda *_: bundled())
    save_run(tmp_path / "a.ckpt", name, model)
    window = opened(explored(ckpt_dir="a.ckpt"), tmp_path)
    assert window.space.draws is draws
    assert len(window.written.images.pictures) == shown
    assert (window.map_panel.tests is not None) is draws
    window.random()
    window.written.keep()
    settle(window)
    window.close()


def test_no_window_but_its_own_is_shown(tmp_path, monkeypatch):
    from PyQt5.QtWidgets import QApplication

    from mnist.figures.explorer_window import ExplorerWindow
    from mnist.figures.window import application

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mnist.commands.explored.load_same_dataset", lambda *_: bundled())
    save_run(tmp_path / "mnist3.ckpt", "aae", SMALL)
    application()
    before = {each for each in QApplication.topLevelWidgets() if each.isVisible()}
    window = ExplorerWindow(explored(), "t", tmp_path / "e.png")
    after = {each for each in QApplication.topLevelWidgets() if each.isVisible()}
    assert after <= before
    window.close()


@pytest.mark.parametrize("shape", [(3, 20, 24), (1, 32, 32)])
def test_letters_in_colour_and_of_other_sizes(tmp_path, shape):
    spec = DataSpec(shape, tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ"), "letter")
    generator = torch.Generator().manual_seed(0)

    class Letters(Explorable):
        about, conditional, draws, sharpness = "letters", True, False, 1.0
        quantiles, order = [[-2.0, 0.0, 2.0]] * 14, [*range(13, -1, -1)]
        samples = torch.randn(20, 14, generator=generator)
        suffixes: ClassVar[dict[str, str]] = {".png": "picture"}

        def written(self, style, sharpness):
            images = torch.linspace(0, 1, 26 * spec.pixels).reshape(26, *shape)
            return (images + style[0]).clamp(0, 1)

        def tests(self):
            images = torch.rand(60, *shape, generator=generator)
            return OnMap(images, torch.arange(60) % 26, torch.randn(60, 14, generator=generator))

        def line(self, text, style, sharpness):
            raise UserError("--text: none")

        def opinion(self, images):
            return torch.arange(26), torch.full((26,), 0.5)

        def warm_up(self):
            pass

        look_at = together = content = plane = geodesic = None

    Letters.spec = spec
    window = opened(Letters(), tmp_path)
    assert len(window.written.images.pictures) == 26
    assert [*window.style_panel.sliders] == [*range(13, -1, -1)]
    window.written.reads.setChecked(True)
    window.random()
    settle(window)
    assert window.written.images.captions[25] == "Z 50%"
    assert window.text.line.text() == ""
    window.text.text.setText("AZ")
    window.text.draw_rest()
    assert window.text.line.text() == "none"
    colour = window.map_panel.nearest.pictures[0].toImage().pixelColor(3, 3)
    grey = colour.red() == colour.green() == colour.blue()
    assert grey is (shape[0] == 1)
    window.close()


def test_a_geodesic_that_cannot_be_found_is_said_in_a_line(window, space):
    far = torch.full((3,), torch.inf)
    window.state.kept = [far, -far]
    window.written.curved.setChecked(True)
    settle(window)
    assert "no geodesic between these styles" in window.status.currentMessage()
    assert window.written.way is None


def test_without_the_images_there_is_a_map_of_none(tmp_path, monkeypatch, capsys):
    from mnist.data import Unavailable

    def missing(*_):
        raise Unavailable("not here")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mnist.commands.explored.load_same_dataset", missing)
    save_run(tmp_path / "mnist3.ckpt", "aae", SMALL)
    window = opened(explored(), tmp_path)
    assert window.map_panel.tests is None
    assert not len(window.map_panel.map.points)
    assert "the map has no test images: not here" in capsys.readouterr().err
    window.close()
