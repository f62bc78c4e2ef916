"""explore.py --html: the page's arithmetic under node, what it may load, and bad input."""

import hashlib
import json
import re
import shutil
import subprocess
from base64 import b64decode, b64encode
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
import wasmtime
from conftest import ROOT, SMALL, SMALL_MODELS, WHITENED, assert_refused, bundled, save_run
from PIL import Image
from scipy import ndimage

import mnist
from mnist.data import scan
from mnist.figures import page
from mnist.latent.two_covariance import product_of_posteriors

SCRIPT = "explore.py"
needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")


@pytest.fixture(autouse=True)
def _read_once(monkeypatch):
    """The bundled images take a second to read."""
    monkeypatch.setattr("mnist.commands.explored.load_same_dataset", lambda *_: bundled())


@pytest.fixture
def node(tmp_path):
    """Run the page's arithmetic and a program under node: what the program leaves in `answer`."""

    def run(program, **given):
        scripts = "".join(page.read(name) for name in ("network.js", "preparation.js"))
        (tmp_path / "given.json").write_text(json.dumps(given))
        (tmp_path / "a.js").write_text(
            f'"use strict";\n{scripts}\n'
            'const fs = require("fs");\n'
            'const given = JSON.parse(fs.readFileSync("given.json"));\n'
            f"{program}\n"
            "console.log(JSON.stringify(answer));\n"
        )
        command = ["node", "a.js"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


class Parts(HTMLParser):
    """The elements of a page by name, with their attributes and texts."""

    def __init__(self, text):
        super().__init__(convert_charrefs=False)
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append([tag, dict(attrs), ""])

    def handle_endtag(self, tag):
        self.found.append(["", {}, ""])  # whose text is what follows

    def handle_data(self, data):
        if self.found:
            self.found[-1][2] += data

    def all(self, tag):
        return [(attributes, text) for name, attributes, text in self.found if name == tag]


def written(run_here, tmp_path, *flags):
    """The page of a run in mnist3.ckpt: its text, and what it knows of the run."""
    done = run_here(SCRIPT, "--ckpt-dir", "mnist3.ckpt", "--html", "page.html", *flags)
    assert (done.returncode, done.stderr) == (0, "")
    text = (tmp_path / "page.html").read_text()
    (known,) = [text for _, text in Parts(text).all("script")[:1]]
    return text, json.loads(known)


KINDS = {
    "gaussian": ("aae", SMALL | {"posterior": "gaussian"}),
    "point": ("aae", SMALL | {"posterior": "deterministic", "activation": "relu"}),
    "whitened": ("aae", WHITENED),
    "unconditional": ("aae", SMALL | {"labels": False}),
    "sae": ("sae", SMALL),
    "vae": ("vae", SMALL),
    "gan": ("gan", SMALL_MODELS["gan"] | {"condition": "cgan"}),
    "infogan": ("gan", SMALL_MODELS["gan"] | {"condition": "infogan"}),
    "labelled": ("categorical_aae", SMALL_MODELS["categorical_aae"]),
    "clusters": ("categorical_aae", {"feature_size": 3, "hidden": [16, 8], "clusters": 12}),
}
REST = [kind for kind in KINDS if kind not in ("gaussian", "gan")]  # slow together


@needs_node
@pytest.mark.parametrize(
    "kind", ["gaussian", "gan", *(pytest.param(kind, marks=pytest.mark.slow) for kind in REST)]
)
def test_it_decodes_and_encodes_as_the_run_does(tmp_path, run_here, node, kind):
    name, model = KINDS[kind]
    save_run(tmp_path / "mnist3.ckpt", name, model)
    run = mnist.load(tmp_path / "mnist3.ckpt")
    _, known = written(run_here, tmp_path)
    batch = bundled().test.batch(slice(0, 40, 2))
    styles = run.prior.sample(20)
    answer = node(
        "const networks = new Networks(given.run);"
        "const answer = {wasm: !!networks.engine.wasm,"
        " images: networks.decode(given.styles, given.labels, 1.3).map((each) => [...each]),"
        " styles: given.run.encoder && networks.encode(given.images, given.labels)"
        "  .map(({mean, deviation}) => [[...mean], [...deviation]])};",
        run=known,
        styles=styles.tolist(),
        labels=batch.labels.tolist(),
        images=batch.images.flatten(1).tolist(),
    )
    expected = run.decode(styles, batch.labels, sharpness=1.3).flatten(1).numpy()
    assert np.abs(np.array(answer["images"]) - expected).max() < 1 / 255
    assert answer["wasm"]
    if kind not in (
        "gaussian",
        "point",
        "whitened",
        "unconditional",
        "sae",
    ):  # it has no encoder of others
        assert answer["styles"] is None
        return
    means, deviations = run.posterior(batch.images, batch.labels)
    found = np.array(answer["styles"])
    assert found[:, 0] == pytest.approx(means.numpy(), abs=0.01)
    assert found[:, 1] == pytest.approx(deviations.numpy(), abs=0.01)


def test_all_test_images_are_shown_where_there_are_few(tmp_path, run_here, monkeypatch):
    few = replace(bundled(), test=bundled().test.some(slice(20)))
    monkeypatch.setattr("mnist.commands.explored.load_same_dataset", lambda *_: few)
    save_run(tmp_path / "mnist3.ckpt", "aae", SMALL)
    _, known = written(run_here, tmp_path)
    assert known["tests"]["labels"] == few.test.labels.tolist()


@needs_node
def test_without_webassembly_it_computes_the_same(tmp_path, run_here, node):
    save_run(tmp_path / "mnist3.ckpt", "aae", SMALL)
    _, known = written(run_here, tmp_path)
    answer = node(
        "const all = [given.run, {...given.run, wasm: ''}].map((run) => new Networks(run));"
        "const styles = Array(13).fill([0.5, -1, 2]), labels = styles.map((_, i) => i % 10);"
        "const answer = {wasm: all.map((each) => !!each.engine.wasm),"
        " images: all.map((each) => each.decode(styles, labels).map((image) => [...image]))};",
        run=known,
    )
    assert answer["wasm"] == [True, False]
    one, other = np.array(answer["images"])
    assert one == pytest.approx(other, abs=1e-6)
    assert one[12] == pytest.approx(one[2], abs=1e-6)  # in a second pass of twelve columns


@needs_node
@pytest.mark.parametrize("point", [False, True])
def test_drawings_add_up_as_pictures_of_one_hand_do(node, point):
    means, deviations = torch.randn(3, 4), 0 if point else 0.9 * torch.rand(3, 4) + 0.05
    deviations = deviations * torch.ones(3, 4)
    posteriors = [
        {"mean": mean.tolist(), "deviation": deviation.tolist()}
        for mean, deviation in zip(means, deviations, strict=True)
    ]
    answer = node("const answer = together(given.posteriors, 0.9);", posteriors=posteriors)
    mean, variance = product_of_posteriors(means, deviations, 0.9)
    assert answer["mean"] == pytest.approx(mean.tolist(), rel=1e-5)
    assert answer["deviation"] == pytest.approx(variance.sqrt().tolist(), rel=1e-5)


def test_the_webassembly_is_that_of_its_text():
    text = (page.PARTS / "layer.wat").read_text()
    assert wasmtime.wat2wasm(text) == (page.PARTS / "layer.wasm").read_bytes()


@pytest.mark.parametrize("shape", [(3, 5), (4, 4), (1, 1)])
def test_weights_of_12_bits_are_off_by_half_a_step_at_most(shape):
    weights = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    weights[0, 0] = 0
    layer = page.layer(weights, np.zeros(shape[0], np.float32))
    bits = np.frombuffer(b64decode(layer["weights"]), np.uint8).astype(int)
    low = bits[0::3] | (bits[1::3] & 15) << 8
    high = bits[1::3] >> 4 | bits[2::3] << 4
    steps = np.stack([low, high], 1).ravel()[: weights.size].reshape(shape) - 2048
    scales = np.frombuffer(b64decode(layer["scales"]), "<f4")[:, None]
    assert np.abs(steps * scales - weights).max() <= np.abs(scales).max() / 2 + 1e-7


def drawings(count):
    """Pages of 168×168 with a bundled digit drawn large: thin, thick, blurred; some with specks."""
    test, rng = bundled().test, np.random.default_rng(0)
    for number in range(count):
        side = 110 + 6 * (number % 9)
        digit = Image.fromarray(test.images[7 * number].numpy())
        ink = np.asarray(digit.resize((side, side), Image.Resampling.BICUBIC)) / 255
        if number % 3:  # a pen's, with sharp edges
            ink = (ink > 0.5).astype(float)
        if number % 3 == 2:
            ink = ndimage.binary_erosion(ink, iterations=2).astype(float)
        field, (top, left) = np.zeros((168, 168)), rng.integers(0, 168 - side, 2)
        field[top : top + side, left : left + side] = ink
        if number % 5 == 4:
            field[3:6, 90:92] = 1
        if number % 7 == 6:
            field[:, :3] = 1
        yield (255 * (1 - field)).round()


def compare_preparation(node, count):
    """See that drawings are prepared as scan.py does."""
    pages = list(drawings(count))
    answers = node(
        "const answer = given.pages.map((page) => {"
        "  const seen = prepare({height: 168, width: 168, data: Float64Array.from(page)});"
        "  return [seen.image && [...seen.image], seen.two]; });",
        pages=[each.ravel().tolist() for each in pages],
    )
    for drawing, (image, two) in zip(pages, answers, strict=True):
        ink, ours_two = scan.find_ink(drawing)
        assert two == ours_two
        assert (image is None) == (ink is None)
        if ink is not None:
            ours = scan.in_the_middle(scan.in_a_box(scan.thickened(ink)))
            assert np.array(image).reshape(28, 28) == pytest.approx(ours, abs=1e-5)


@needs_node
def test_a_drawing_is_prepared_as_a_scan_is(node):
    compare_preparation(node, 14)


@needs_node
@pytest.mark.slow
def test_a_hundred_drawings_are_prepared_as_scans_are(node):
    compare_preparation(node, 100)


@needs_node
@pytest.mark.parametrize("level", [0, 255])
def test_a_blank_drawing_shows_nothing(node, level):
    answer = node(
        f"const data = new Float64Array(3600).fill({level});"
        "const answer = prepare({height: 60, width: 60, data});"
    )
    assert answer == {"image": None, "two": False}


def test_a_page_is_one_file_that_may_load_nothing(tmp_path, run_here):
    save_run(tmp_path / "mnist3.ckpt", "aae", SMALL)
    text, _ = written(run_here, tmp_path)
    parts = Parts(text)
    (policy,) = [
        attributes["content"]
        for attributes, _ in parts.all("meta")
        if attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy.startswith("default-src 'none'; ")
    for tag in ("script", "style"):
        for attributes, content in parts.all(tag):
            assert "src" not in attributes
            if attributes.get("type") != "application/json":
                found = b64encode(hashlib.sha256(content.encode()).digest()).decode()
                assert f"'sha256-{found}'" in policy
    assert not [each for each in parts.found if "href" in each[1] or "src" in each[1]]
    assert not [each for each in parts.found if any(name.startswith("on") for name in each[1])]
    code = "".join(page.read(name) for name in page.SCRIPTS)
    assert not re.search(r"\b(fetch|XMLHttpRequest|WebSocket|eval|innerHTML|import)\b", code)


def test_names_cannot_break_out(tmp_path, run_here):
    evil = "</script><script>alert(1)</script>{{run}}&amp;"
    save_run(tmp_path / "mnist3.ckpt", "aae", SMALL)
    harmless, _ = written(run_here, tmp_path)
    content = page.page(evil, {"class_names": [evil]}).decode()
    assert content.count("<script") == harmless.count("<script")
    ((_, known), _) = Parts(content).all("script")
    assert json.loads(known)["class_names"] == [evil]
    assert "<title>&lt;/script&gt;&lt;script&gt;alert(1)" in content


def test_the_usual_page_is_of_six_megabytes_at_most(tmp_path, run_here):
    save_run(tmp_path / "mnist3.ckpt", "aae", {"feature_size": 3, "seed": 0})
    written(run_here, tmp_path)
    assert 5e6 < (tmp_path / "page.html").stat().st_size < 6e6


@pytest.mark.parametrize(
    ("name", "model", "says"),
    [
        ("bigan", SMALL_MODELS["bigan"], "convolutions"),
        ("aae", SMALL | {"network": "convolutional", "width": 4}, "this run's decoder has conv"),
        ("classifier", SMALL_MODELS["classifier"], "no prior and decoder"),
    ],
)
def test_a_run_that_no_page_can_show_is_refused(tmp_path, run_here, name, model, says):
    save_run(tmp_path / "a.ckpt", name, model)
    done = run_here(SCRIPT, "--ckpt-dir", "a.ckpt", "--html", "page.html")
    assert_refused(done, says)
    assert not (tmp_path / "page.html").exists()


def test_without_a_display_it_says_where_the_page_is(tmp_path, run_here, monkeypatch):
    save_run(tmp_path / "mnist3.ckpt", "aae", SMALL)
    monkeypatch.setattr("sys.platform", "linux")
    done = run_here(SCRIPT, "--feature-size", 3)
    assert done.returncode == 0
    assert "mnist3.ckpt/explore.html" in done.stdout
    assert "no display" in done.stdout


def test_bad_input(tmp_path, run_here):
    save_run(tmp_path / "mnist3.ckpt", "aae", SMALL)
    for place, says in (("page.png", "--html page.png: .png"), ("no/page.html", "no directory no")):
        assert_refused(run_here(SCRIPT, "--feature-size", 3, "--html", place), says)
    assert_refused(run_here(SCRIPT, "--ckpt-dir", "none", "--html", "a.html"), "no trained run")


def test_all_parts_are_installed_with_the_package():
    assert '"mnist.figures" = ["explorer/*"]' in (ROOT / "pyproject.toml").read_text()
    assert {path.name for path in page.PARTS.iterdir()} >= {"page.html", "page.css", *page.SCRIPTS}
