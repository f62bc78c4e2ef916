"""The windows, opened for real on a screen that nobody sees: hovered, clicked, brushed, closed."""

import io
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import SMALL, SMALL_MODELS, bundled, command, environment, save_run
from PIL import Image

from mnist.commands.encoder_vis import Look, measure, scatter
from mnist.commands.flags import EncoderVisFlags
from mnist.commands.tools import open_run
from mnist.data.mnist import MNIST
from mnist.data.spec import DataSpec
from mnist.training.checkpoint import Progress
from mnist.training.run import balanced_sample

pytestmark = pytest.mark.usefixtures("platform")


@pytest.fixture
def window(tmp_path, monkeypatch):
    """The scatter matrix of a run with three dimensions, and the images of its points."""
    from PyQt5.QtTest import QTest

    from mnist.figures import window as module

    monkeypatch.chdir(tmp_path)
    save_run(tmp_path / "mnist3.ckpt", "aae", SMALL)
    flags = EncoderVisFlags(feature_size=3)
    run = open_run(flags)
    test = bundled().test
    index = balanced_sample(test.labels, 100, 0)
    found = measure(run, test, index, flags)
    module.application()
    shown = module.StyleWindow(
        scatter(run, flags, found, index), Look(run, found, index), "test", tmp_path / "s.png"
    )
    shown.show()
    QTest.qWaitForWindowExposed(shown)
    QTest.qWait(200)
    yield shown
    shown.close()


def at(window, x, y):
    """A place of the figure as Qt counts it."""
    from PyQt5.QtCore import QPoint

    ratio = window.canvas.device_pixel_ratio
    return QPoint(round(x / ratio), round(window.canvas.height() - y / ratio))


def lonely_point(window, panel):
    """The point of a panel that is farthest from the others: (its number, x, y)."""
    places = panel.axes.transData.transform(panel.points)
    distances = np.linalg.norm(places[:, None] - places[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    number = int(distances.min(1).argmax())
    return number, *places[number]


def test_hovering_shows_the_image_and_its_reconstruction(window):
    from PyQt5.QtTest import QTest

    assert window.pictures[0].pixmap() is None
    number, x, y = lonely_point(window, window.figure.panels[3])
    QTest.mouseMove(window.canvas, at(window, x, y))
    QTest.qWait(100)
    assert window.shown == number
    image = window.look(number)[0]
    shown = window.pictures[0].pixmap().toImage()
    assert (shown.width(), shown.height()) == (168, 168)
    for row, column in [(14, 14), (5, 20), (20, 8)]:
        grey = shown.pixelColor(6 * column + 3, 6 * row + 3).red()
        assert abs(grey - 255 * (1 - image[row, column])) <= 1
    assert window.pictures[1].pixmap() is not None
    assert MNIST.named(window.figure.labels[number]) in window.text.text()


def drawn_in_colour(window):
    """Which points the first panel draws in colour."""
    return window.figure.panels[0].dots.get_facecolors()[:, 3] == 1


def test_a_digit_is_isolated_by_the_legend_and_by_d(window):
    from PyQt5.QtCore import Qt
    from PyQt5.QtTest import QTest

    box = window.figure.legend_entries[4][1].get_window_extent()
    place = at(window, (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2)
    QTest.mouseClick(window.canvas, Qt.LeftButton, Qt.NoModifier, place)
    assert window.isolated == 4
    assert (drawn_in_colour(window) == (window.figure.labels == 4)).all()
    QTest.keyClick(window, Qt.Key_D)
    assert (drawn_in_colour(window) == (window.figure.labels == 5)).all()
    hidden, x, y = lonely_point(window, window.figure.panels[0])
    QTest.mouseMove(window.canvas, at(window, x, y))
    QTest.qWait(100)
    assert window.shown != hidden or window.figure.labels[hidden] == 5
    for _ in range(5):
        QTest.keyClick(window, Qt.Key_D)
    assert window.isolated is None
    assert drawn_in_colour(window).all()
    QTest.mouseClick(window.canvas, Qt.LeftButton, Qt.NoModifier, place)
    QTest.mouseClick(window.canvas, Qt.LeftButton, Qt.NoModifier, place)
    assert window.isolated is None


def test_brushing_marks_the_same_points_in_all_panels(window):
    from PyQt5.QtCore import Qt
    from PyQt5.QtTest import QTest

    panel = window.figure.panels[2]
    places = panel.axes.transData.transform(panel.points)
    low, high = np.quantile(places, 0.3, 0), np.quantile(places, 0.8, 0)
    low, high = np.floor(low), np.ceil(high)
    QTest.mousePress(window.canvas, Qt.LeftButton, Qt.NoModifier, at(window, *low))
    QTest.mouseMove(window.canvas, at(window, *high))
    QTest.qWait(100)
    QTest.mouseRelease(window.canvas, Qt.LeftButton, Qt.NoModifier, at(window, *high))
    inside = ((places > low + 1) & (places < high - 1)).all(1)
    outside = ((places < low - 1) | (places > high + 1)).any(1)
    assert inside.sum() > 10
    for drawn in window.figure.panels:
        coloured = drawn.dots.get_facecolors()[:, 3] == 1
        assert coloured[inside].all()
        assert not coloured[outside].any()
    corner = panel.axes.transAxes.transform((0.01, 0.01))
    QTest.mouseClick(window.canvas, Qt.LeftButton, Qt.NoModifier, at(window, *corner))
    assert drawn_in_colour(window).all()


def test_s_saves_and_q_quits(window, tmp_path):
    from PyQt5.QtCore import Qt
    from PyQt5.QtTest import QTest

    size = window.figure.get_size_inches().tolist()
    QTest.keyClick(window, Qt.Key_S)
    assert "saved to" in window.statusBar().currentMessage()
    with Image.open(tmp_path / "s.png") as picture:
        assert picture.width > 1000
        assert picture.convert("L").getextrema()[0] < 50
    assert window.figure.get_size_inches().tolist() == size
    window.path = tmp_path / "none" / "s.png"
    QTest.keyClick(window, Qt.Key_S)
    assert "cannot write" in window.statusBar().currentMessage()
    QTest.keyClick(window, Qt.Key_Q)
    assert not window.isVisible()


def test_an_error_in_a_window_ends_in_python(window):
    """Left to itself PyQt5 would abort."""
    from PyQt5.QtCore import QTimer

    from mnist.figures import window as module

    def fail(_):
        raise ZeroDivisionError

    window.look = fail
    _, x, y = lonely_point(window, window.figure.panels[0])
    event = type("Event", (), {"x": x, "y": y, "inaxes": window.figure.panels[0].axes})
    QTimer.singleShot(100, lambda: window.hover(event))
    before = sys.excepthook
    with pytest.raises(ZeroDivisionError):
        module.run(window)
    assert sys.excepthook is before


def test_d_goes_through_the_classes_that_have_points(tmp_path):
    """Of another spec than MNIST's, in colour, of which some classes are not in the sample."""
    from PyQt5.QtCore import Qt
    from PyQt5.QtTest import QTest

    from mnist.figures import plotting
    from mnist.figures import window as module

    spec = DataSpec((3, 20, 24), tuple(f"letter {i}" for i in range(26)), "letter")
    labels = np.array([3, 3, 12, 25, 25])
    points = np.arange(10.0).reshape(5, 2)
    figure = plotting.projection(points, labels, spec, ("x", "y"), "T", "s")
    image = np.full((20, 24, 3), (0.2, 0.4, 1.0))
    module.application()
    shown = module.StyleWindow(figure, lambda _: (image, image, "t"), "t", tmp_path / "x.png")
    shown.show()
    seen = []
    for _ in range(5):
        QTest.keyClick(shown, Qt.Key_D)
        seen.append(shown.isolated)
    assert seen == [3, 12, 25, None, 3]
    assert "letter 3" in shown.statusBar().currentMessage()
    places = figure.panels[0].axes.transData.transform(points)
    shown.hover(type("Event", (), dict(zip("xy", places[0], strict=True), inaxes=figure.axes[0])))
    pixels = shown.pictures[0].pixmap().toImage()
    assert (pixels.width(), pixels.height()) == (168, 140)
    assert pixels.pixelColor(80, 80).getRgb()[:3] == (51, 102, 255)
    shown.close()


def test_a_picture_fills_its_window(window, tmp_path):
    """There is no grey beside it, and where the window is larger it is white."""
    from PyQt5.QtTest import QTest

    from mnist.figures import window as module

    buffer = io.BytesIO()
    Image.new("RGB", (400, 300), (0, 0, 200)).save(buffer, "PNG")
    shown = module.PictureWindow(buffer.getvalue(), "t", tmp_path / "x.png")
    shown.show()
    QTest.qWait(100)
    area = shown.centralWidget()
    assert (area.width(), area.height()) == (400, 300)
    assert not area.verticalScrollBar().isVisible()
    seen = area.grab().toImage()
    corners = [(0, 0), (399, 0), (0, 299), (399, 299)]
    assert all(seen.pixelColor(*place).getRgb()[:3] == (0, 0, 200) for place in corners)
    shown.resize(500, 500)
    QTest.qWait(100)
    assert area.grab().toImage().pixelColor(5, 5).getRgb()[:3] == (255, 255, 255)
    shown.close()


def test_an_animation_moves_stops_and_saves(window, tmp_path):
    """Frames of three colours, of which the middle one is seen shortly."""
    from PyQt5.QtCore import Qt
    from PyQt5.QtTest import QTest

    from mnist.figures import window as module

    colours = [(200, 0, 0), (0, 200, 0), (0, 0, 200)]
    frames = [np.full((20, 31, 3), colour, np.uint8) for colour in colours]
    shown = module.AnimationWindow(frames, [0.01, 0.01, 60.0], "t", tmp_path / "x.gif", b"GIF")
    shown.show()

    def colour():
        return shown.label.pixmap().toImage().pixelColor(30, 19).getRgb()[:3]

    assert colour() == colours[0]
    QTest.qWait(300)
    assert colour() == colours[2]
    QTest.keyClick(shown, Qt.Key_Space)
    assert not shown.timer.isActive()
    QTest.keyClick(shown, Qt.Key_Space)
    assert shown.timer.isActive()
    assert colour() == colours[0]  # it begins again
    QTest.keyClick(shown, Qt.Key_S)
    assert (tmp_path / "x.gif").read_bytes() == b"GIF"
    QTest.keyClick(shown, Qt.Key_Q)
    assert not shown.isVisible()


def test_ctrl_c_while_a_window_opens(window, monkeypatch):
    """It comes when the window is on the screen already, and Qt does not wait for anything yet."""
    from PyQt5.QtCore import QTimer

    from mnist.figures.window import application, run

    show = window.show

    def interrupted():
        show()
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(window, "show", interrupted)
    waited = []
    late = QTimer()  # so that a failure does not wait forever
    late.timeout.connect(lambda: (waited.append(True), application().quit()))
    late.start(5000)
    with pytest.raises(KeyboardInterrupt):
        run(window)
    late.stop()
    assert not waited


@pytest.mark.parametrize(
    ("script", "flags"),
    [
        ("encoder-vis.py", ()),
        ("explore.py", ()),
        ("generate-all.py", ()),
        ("guide.py", ("--digit", 1, "--steps", 1, "--classifier", "c.ckpt")),
    ],
)
def test_a_script_opens_a_window_until_ctrl_c(screen, tmp_path, script, flags):
    # The one test for which drawing in memory will not do: it asks the X server, from outside,
    # whether the window is there. .ci/run installs what that needs; elsewhere it may be missing,
    # and all other tests of windows run all the same.
    if screen is None or not shutil.which("xwininfo"):
        pytest.skip("asks an X server for its windows: needs Xvfb, Qt's X libraries and xwininfo")
    save_run(tmp_path / "mnist3.ckpt", "aae", SMALL)
    epoch = Progress(epoch=1, rows=[{"epoch": 1}])
    save_run(tmp_path / "c.ckpt", "classifier", SMALL_MODELS["classifier"], epoch)
    with subprocess.Popen(
        command(script, "--feature-size", 3, *flags),
        cwd=tmp_path,
        env=environment(DISPLAY=screen),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.3)
            tree = subprocess.run(
                ["xwininfo", "-display", screen, "-root", "-tree"], capture_output=True, text=True
            ).stdout
            if f"{script.removesuffix('.py')}: mnist3.ckpt" in tree:
                break
        else:
            process.kill()
            pytest.fail(f"no window of {script} on the screen: {process.stderr.read()}")
        process.send_signal(signal.SIGINT)
        try:
            output, errors = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 130
    assert ("written" in output) == (script == "guide.py")
    assert "stopped" in errors
    assert "Traceback" not in errors
