"""Figures of other data than MNIST: many unbalanced classes with long names, colour, no squares."""

import io
import math
from itertools import combinations, pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from mnist.data.mnist import MNIST
from mnist.data.spec import DataSpec
from mnist.data.types import Batch
from mnist.figures import images, plotting, sheets
from mnist.networks.prior import Gaussian
from mnist.training.samples import draw_samples

SHAPE = (3, 20, 24)
NAMES = tuple(f"{word} {i}" for i, word in enumerate(["ankle boot", "ox"] * 13))
MANY = DataSpec(SHAPE, NAMES, "thing")
LETTERS = DataSpec((1, 28, 28), tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ"), "letter")
MIXED = DataSpec((1, 28, 28), tuple(map(chr, [*range(48, 58), *range(65, 91), *range(97, 123)])))
SPECS = pytest.mark.parametrize(
    "spec", [MNIST, LETTERS, MANY, MIXED], ids=["10", "26", "RGB", "62"]
)
RANDOM = np.random.default_rng(0)


def labels_of(spec, count=400):
    """Labels of which the first classes have most, and the last but one has none."""
    weights = np.arange(spec.classes, 0, -1.0)
    weights[-2] = 0
    return RANDOM.choice(spec.classes, count, p=weights / weights.sum())


def pictures(spec, *lead):
    """Random images of a spec, as figures take them: [*lead, H, W] or [*lead, H, W, 3]."""
    return images.to_arrays(torch.rand(*lead, *spec.image_shape))


class Images(Batch):
    """As much of a data set as sheets use."""

    def __len__(self):
        return len(self.labels)

    def batch(self, index):
        return Batch(self.images[index], self.labels[index])


def some_test(spec, count=400):
    return Images(torch.rand(count, *spec.image_shape), torch.from_numpy(labels_of(spec, count)))


def opened(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def assert_legend(figure, spec):
    """It names all classes, is inside the figure, beside its panels, and no two texts overlap."""
    (legend,) = figure.legends
    texts = legend.get_texts()
    assert [text.get_text() for text in texts] == list(spec.class_names)
    figure.canvas.draw()
    boxes = [artist.get_window_extent() for artist in [*texts, legend.get_title()]]
    page = figure.bbox
    for box in boxes:
        assert page.x0 <= box.x0
        assert box.x1 <= page.x1
        assert page.y0 <= box.y0
        assert box.y1 <= page.y1
    for one, other in combinations(boxes, 2):
        assert not (one.width and other.width and one.overlaps(other))
    whole = legend.get_window_extent()
    renderer = figure.canvas.get_renderer()
    for axes in figure.axes:
        around = [axis.get_tightbbox(renderer) for axis in (axes.xaxis, axes.yaxis)]
        around.append(axes.title.get_window_extent())
        taken = [axes.bbox, *(box for box in around if box and box.width)]
        assert not any(whole.overlaps(box) for box in taken)


def looks(figure, panel):
    """Each class's colour and outline in a panel, seen to be the same for all its points."""
    found = {}
    colours, paths = panel.dots.get_facecolors(), panel.dots.get_paths()
    for label, colour, path in zip(figure.labels, colours, paths, strict=True):
        look = (tuple(colour), path.vertices.tobytes())
        assert found.setdefault(label, look) == look
    return found


def assert_styles(figure, spec):
    """Every panel draws each class in a way of its own, as the legend does."""
    assert_legend(figure, spec)
    for panel in figure.panels:
        found = looks(figure, panel)
        assert len(set(found.values())) == len(found) == len(np.unique(figure.labels))
    handles = figure.legends[0].legend_handles
    shown = {
        (tuple(handle.get_color()), handle.get_marker().vertices.tobytes()) for handle in handles
    }
    assert len(shown) == spec.classes
    assert list(figure.legend_entries) == list(range(spec.classes))


@SPECS
@pytest.mark.parametrize("size", [1, 2, 5])
def test_a_scatter_matrix_of_any_classes(spec, size):
    labels = labels_of(spec)
    styles = RANDOM.normal(size=(len(labels), size))
    names = [f"dimension {i}" for i in range(size)]
    figure = plotting.scatter_matrix(
        styles, labels, spec, names, lambda x: x.exp(), 1.0, "T", "a\nb"
    )
    assert figure.legends[0].get_title().get_text() == spec.class_word
    assert len(figure.panels) == max(1, size * (size - 1))
    assert_styles(figure, spec)
    if size == 1:
        ticks = figure.axes[1].get_yticklabels()
        assert [tick.get_text() for tick in ticks] == list(spec.class_names)
        heights = [tick.get_window_extent() for tick in ticks]
        assert not any(a.overlaps(b) for a, b in pairwise(heights))
        assert min(box.x0 for box in heights) > 0


@SPECS
def test_a_projection_of_any_classes(spec):
    labels = labels_of(spec)
    points = RANDOM.normal(size=(len(labels), 2))
    figure = plotting.projection(points, labels, spec, ("x", "y"), "T", "a")
    assert_styles(figure, spec)
    as_shapes = plotting.markers_of(spec)
    for name, marker, shape in zip(spec.class_names, figure.markers, as_shapes, strict=True):
        same = marker.vertices.tobytes() == shape.vertices.tobytes()
        assert same == (len(name) > 1)


def test_classes_are_isolated_by_index():
    labels = labels_of(MANY)
    points = RANDOM.normal(size=(len(labels), 2))
    figure = plotting.projection(points, labels, MANY, ("x", "y"), "T", "a")
    figure.emphasise(labels == 13)
    coloured = figure.panels[0].dots.get_facecolors()[:, 3] == 1
    assert (coloured == (labels == 13)).all()


@pytest.mark.parametrize("count", [1, 3, 10, 26, 62])
def test_any_number_of_image_grids(count):
    names = [f"name {i}" for i in range(count)]
    grids = [pictures(MANY, 4, 6) for _ in range(count)]
    across, down = (list("abcdef"), "across"), (["long name", "b", "c", "d"], "down")
    figure = plotting.image_grids(grids, names, across, down, "T", "s")
    figure.canvas.draw()
    assert [axes.get_title() for axes in figure.axes] == names
    renderer = figure.canvas.get_renderer()
    boxes = [axes.get_tightbbox(renderer) for axes in figure.axes]
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    assert all(box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1 for box in boxes)
    for axes, grid in zip(figure.axes, grids, strict=True):
        (shown,) = axes.get_images()
        assert shown.get_array().shape == (80, 144, 3)
        assert np.allclose(shown.get_array()[20:40, 24:48], grid[1, 1])
        assert axes.bbox.width / axes.bbox.height == pytest.approx(144 / 80, rel=1e-3)


@SPECS
@pytest.mark.parametrize("dimensions", [1, 2])
@pytest.mark.parametrize("conditional", [True, False])
def test_a_guide_figure_of_any_classes(spec, dimensions, conditional):
    steps, labels = 50, labels_of(spec)
    probabilities = RANDOM.dirichlet(np.ones(spec.classes), steps)
    plane = RANDOM.normal(size=(len(labels), dimensions)), RANDOM.normal(size=(steps, dimensions))
    side = np.linspace(-3, 3, 9)
    figure = plotting.GuideFigure(
        plane,
        labels,
        spec,
        ("first", "second")[:dimensions],
        [20, 40],
        pictures(spec, steps),
        probabilities,
        probabilities if conditional else None,
        7,
        np.ones(steps),
        (side, RANDOM.uniform(size=[9] * dimensions)),
    )
    frame = figure.draw_step(45)
    assert frame.shape == figure.draw_step(0).shape
    assert_legend(figure, spec)
    space, picture, bars = figure.axes
    ticks = [tick for tick in bars.get_xticklabels() if tick.get_text()]
    assert [tick.get_text() for tick in ticks] == list(spec.class_names)
    boxes = [tick.get_window_extent() for tick in ticks]
    assert not any(a.overlaps(b) for a, b in pairwise(boxes))
    assert min(box.y0 for box in boxes) > bars.xaxis.label.get_window_extent().y1 - 1
    assert bars.xaxis.label.get_window_extent().y0 >= 0
    assert figure.caption.get_window_extent().y0 > figure.legends[0].get_window_extent().y1 - 1
    assert spec.named(7) in figure.caption.get_text()
    shown = picture.get_images()[0].get_array()
    assert shown.shape == pictures(spec).shape
    assert not (space.bbox.overlaps(picture.bbox))
    assert not (picture.bbox.overlaps(bars.bbox))
    if dimensions == 1:  # the position against the step
        assert (figure.path[:, 0] == np.arange(steps)).all()
        assert (figure.path[:, 1:] == plane[1]).all()
        assert "step" in space.get_xlabel()
        assert space.get_ylabel() == "first"


def test_a_geodesic_in_colour():
    both = {"straight": pictures(MANY, 9), "geodesic": pictures(MANY, 9)}
    speeds = {name: RANDOM.uniform(size=8) for name in both}
    history = np.array([1.5112, 1.511198, 1.5111979])
    figure = plotting.geodesic(both, speeds, history, "T", 5)
    figure.canvas.draw()
    assert figure.axes[0].get_images()[0].get_array().shape == (20, 120, 3)
    length = figure.axes[-1]
    assert length.get_ylim()[0] == 0
    assert not any(axes.yaxis.get_offset_text().get_text() for axes in figure.axes)
    shown = length.get_lines()[0].get_ydata()
    assert shown == pytest.approx(100 * (1 - history / history[0]))


def test_histograms_of_shortenings_do_not_mix_colours():
    runs = {name: RANDOM.uniform(size=50) for name in ("a", "b", "c")}
    figure = plotting.shortenings(runs)
    patches = figure.axes[0].patches
    assert len(patches) == 3
    assert all(not patch.get_fill() and patch.get_alpha() is None for patch in patches)
    assert len({patch.get_edgecolor() for patch in patches}) == 3


# --- sheets ---------------------------------------------------------------------------------------


def cell(spec):
    """Screen pixels of an image that reaches its edges, and of the gap after it."""
    tall, wide = spec.image_shape[1:]
    gap = math.ceil(max(tall, wide) / 20)
    return 2 * (tall + gap), 2 * (wide + gap)


@pytest.mark.parametrize("spec", [MNIST, MANY], ids=["grey", "RGB"])
def test_a_sheet_has_the_images_pixels(spec):
    """Those of images that are flat, so that enlarging does not change them."""
    levels = RANDOM.integers(0, 256, (3, 4, 1, 1, *pictures(spec).shape[2:])) / 255
    flat = np.broadcast_to(levels, (3, 4, *pictures(spec).shape))
    pixels = opened(sheets.sheet([sheets.Section("title", flat, ["x", "y", "a long caption"])]))
    tall, wide = cell(spec)
    for row in range(3):
        for column in range(4):
            y, x = 12 + 24 + row * tall + tall // 2, 12 + column * wide + wide // 2
            level = levels[row, column, 0, 0]
            drawn = level if spec.image_shape[0] == 3 else 1 - level
            assert (pixels[y, x] == np.round(255 * drawn)).all()
    assert pixels.shape[1] > 2 * 12 + 4 * wide + 60


@pytest.mark.parametrize(("names", "strip"), [(["a", "b"], 24), (["a", "ankle boots"], None)])
def test_names_above_columns(names, strip):
    blank = np.zeros((1, 2, 28, 28))
    page = opened(sheets.sheet([sheets.Section("", blank, (), names)]))
    taller = len(page) - len(opened(sheets.sheet([sheets.Section("", blank)])))
    long = round(sheets.font_of(13).getlength(max(names, key=len))) + 8
    assert taller == (strip or long)
    above = page[36 : 36 + taller, 12:-12] < 128  # ink over each column, and as tall as the name
    assert above[:, :56].any()
    assert above[:, 56:].any()
    assert np.ptp(np.nonzero(above.any(1))[0]) > (0.7 * long if strip is None else 0)


def test_images_that_reach_their_edges_are_apart():
    inside = np.zeros((2, 3, 28, 28))
    inside[:, :, 4:-4, 4:-4] = 1
    assert images.spaced(inside) is inside
    to_the_edge = np.ones((2, 3, 28, 28))
    apart = images.tile(images.spaced(to_the_edge))
    assert apart.shape == (60, 90)
    assert apart[28:30].max() == apart[:, 58:60].max() == 0
    coloured = images.tile(images.spaced(np.zeros((2, 3, 40, 40, 3))))
    assert coloured[40:42].min() == 1


@SPECS
@pytest.mark.parametrize("labels", [True, False])
def test_training_samples_of_any_classes(spec, labels):
    asked = []

    def decode(styles, classes=None):
        asked.append(torch.zeros(len(styles), dtype=torch.int64) if classes is None else classes)
        return torch.rand(len(styles), *spec.image_shape)

    test = some_test(spec)
    method = SimpleNamespace(
        encode=lambda images, _: torch.zeros(len(images), 3),
        decode=decode,
        prior=Gaussian(3),
        conditional=labels,
        codes=0,
        spec=spec,
        seed=0,
        device="cpu",
    )
    what, png = draw_samples(method, test)
    assert what == "test images"
    shown, written = asked
    each = 2 if spec.classes <= 10 else 1
    present = test.labels.unique()
    assert (shown == present.repeat_interleave(each)).all()
    expected = torch.arange(spec.classes if labels else 1).repeat_interleave(20)
    assert (written == expected).all()
    tall, wide = cell(spec)
    lines = 2 * -(-len(shown) // 20)
    rows = lines + (spec.classes if labels else 1)
    page = opened(png)
    assert page.shape[0] == 12 + rows * tall + 2 * (24 + 12)
    assert page.shape[1] < 20 * wide + 24 + 150


@SPECS
def test_a_confusion_matrix_of_any_classes(spec):
    test = some_test(spec)
    read = test.labels.clone()
    read[::9] = spec.classes  # none of the classes
    read[1::9] = (read[1::9] + 1) % spec.classes
    page = opened(sheets.confusion(test, read, spec))
    assert page.shape[1] < 2000
    assert (page[-12:] == 255).all()
    assert (page[:, -12:] == 255).all()
    assert (page[:12] == 255).all()
    assert (page[:, :12] == 255).all()
    diagonal = (page == (225, 235, 245)).all(2)
    rows, columns = np.flatnonzero(diagonal.any(1)), np.flatnonzero(diagonal.any(0))
    cell = (rows.max() - rows.min() + 2) / spec.classes
    assert (columns.max() - columns.min() + 2) / spec.classes == cell >= 22


def test_a_confusion_matrix_without_errors():
    test = some_test(MANY)
    assert opened(sheets.confusion(test, test.labels, MANY)).ndim == 3


def test_single_images_in_colour():
    image = RANDOM.integers(0, 256, pictures(MANY).shape) / 255
    large = opened(sheets.enlarged(image))
    assert large.shape == (240, 288, 3)
    assert (large[6::12, 6::12] == np.round(255 * image)).all()
    frame = sheets.side_by_side({"one": image, "a much longer name than that": image}, 0.5)
    assert frame.dtype == np.uint8
    assert (frame[28 + 4 : 28 + 160 : 8, 12 + 4 : 12 + 192 : 8] == np.round(255 * image)).all()


def test_rows_of_different_lengths_end_in_paper():
    grey = images.grid([torch.ones(3, 1, 5, 4), torch.ones(2, 1, 5, 4)])
    assert grey.shape == (2, 3, 5, 4)
    assert (grey[1, 2] == 0).all()
    colour = images.grid([torch.zeros(3, 3, 5, 4), torch.zeros(2, 3, 5, 4)])
    assert colour.shape == (2, 3, 5, 4, 3)
    assert (colour[1, 2] == 1).all()
    assert colour.dtype == np.float32
