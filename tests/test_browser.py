"""The page of explore.py in Chromium: it works, loads nothing, and says nothing on its console."""

import base64
import importlib.resources
import io
import json
import shutil

import numpy as np
import pytest
import torch
from conftest import SMALL, bundled, save_run
from PIL import Image, ImageDraw
from scipy import ndimage

import mnist
from mnist.commands.explore import explore
from mnist.commands.explore_page import described
from mnist.commands.explored import Explored
from mnist.commands.flags import ExploreFlags
from mnist.data import scan
from mnist.figures.page import page
from mnist.training.run import balanced_sample

MISSING = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"{' and '.join(MISSING)} not installed"),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of the default networks with a style of 4 numbers, that has learnt nothing."""
    place = tmp_path_factory.mktemp("run") / "mnist4.ckpt"
    save_run(place, "aae", {"feature_size": 4, "seed": 0})
    return mnist.load(place)


@pytest.fixture(scope="module")
def address(run, tmp_path_factory):
    """Where its page is."""
    place = tmp_path_factory.mktemp("page") / "page.html"
    explore(ExploreFlags(ckpt_dir=run.name, html=str(place)))
    return place.as_uri()


@pytest.fixture(scope="module")
def chromium():
    """A browser without a window, with the network cut."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    browser = webdriver.Chrome(options=options, service=service)
    cut = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
    browser.execute_cdp_cmd("Network.enable", {})
    browser.execute_cdp_cmd("Network.emulateNetworkConditions", cut)
    browser.set_window_size(1280, 1000)
    yield browser
    browser.quit()


@pytest.fixture
def browser(chromium, address):
    """The browser with the page, which has asked for nothing and complained of nothing."""
    chromium.get("about:blank")
    logs(chromium)
    chromium.get(address)
    assert chromium.execute_script("return document.documentElement.dataset.ready") == "yes"
    yield chromium
    complaints, asked = logs(chromium)
    assert not complaints
    assert {url.split("#")[0] for url in asked} <= {address, "about:blank"}


def logs(browser):
    """What was written on the console, and what was asked for, since the last time."""
    complaints = [each["message"] for each in browser.get_log("browser")]
    events = [json.loads(each["message"])["message"] for each in browser.get_log("performance")]
    sent = [each["params"] for each in events if each["method"] == "Network.requestWillBeSent"]
    return complaints, [each["request"]["url"] for each in sent]


def shown(browser):
    """The pixels of all that is written, after the next frame."""
    return browser.execute_async_script(
        "const done = arguments[0];"
        "requestAnimationFrame(() => requestAnimationFrame(() =>"
        " done(written.map((each) => each.toDataURL()).join())));"
    )


def state(browser):
    return browser.execute_script("return state.style")


def drawn_by_a_pen(count):
    """Bundled digits as strokes of the page's pen along their middles, and their classes."""
    test = bundled().test
    numbers = torch.arange(0, 5 * count, 5) % len(test)
    for number in numbers.tolist():
        ink = test.images[number].numpy() > 110
        middle = ndimage.distance_transform_edt(np.pad(ink, 1))[1:-1, 1:-1]
        ridge = ink & (middle >= ndimage.maximum_filter(middle, 3) - 0.5)
        points = np.argwhere(ridge)[:, ::-1] * 5 + 16
        yield points.tolist(), int(test.labels[number])


def test_it_decodes_and_encodes_as_the_run_does(browser, run):
    styles = run.prior.sample(200)
    batch = bundled().test.batch(slice(200))
    sharp = run.sharpness
    images = browser.execute_script(
        "const [styles, labels, sharp] = arguments;"
        "return networks.decode(styles, labels, sharp).map((each) => [...each])",
        *(styles.tolist(), batch.labels.tolist(), sharp),
    )
    expected = run.decode(styles, batch.labels, sharpness=sharp).flatten(1).numpy()
    assert np.abs(np.array(images) - expected).max() < 1 / 255
    assert browser.execute_script("return !!networks.engine.wasm")
    found = browser.execute_script(
        "const [images, labels] = arguments;"
        "return networks.encode(images, labels).map(({mean}) => [...mean])",
        *(batch.images.flatten(1).tolist(), batch.labels.tolist()),
    )
    ours = run.decode(run.encode(batch.images, batch.labels), batch.labels).flatten(1)
    theirs = run.decode(torch.tensor(found, dtype=torch.float32), batch.labels).flatten(1)
    assert (ours - theirs).abs().max() < 1 / 255


def test_drawings_are_prepared_as_scans_are(browser):
    compared = 0
    for points, _ in drawn_by_a_pen(100):
        pixels, image, two = browser.execute_script(
            "clearDrawing();"
            "const box = canvas.getBoundingClientRect();"
            "for (const [x, y] of arguments[0]) {"
            "  at = null;"
            "  stroke({clientX: box.left + x * box.width / canvas.width,"
            "          clientY: box.top + y * box.height / canvas.height});"
            "}"
            "const {data} = pen.getImageData(0, 0, canvas.width, canvas.height);"
            "const seen = prepared();"
            "return [[...data].filter((_, i) => i % 4 === 0),"
            " seen.image && [...seen.image], seen.two]",
            points,
        )
        ink, ours_two = scan.find_ink(np.array(pixels, float).reshape(168, 168))
        assert two == ours_two
        if ink is not None:
            ours = scan.in_the_middle(scan.in_a_box(scan.thickened(ink)))
            assert np.abs(np.array(image).reshape(28, 28) - ours).max() < 1e-5
            compared += 1
    assert compared > 90


def test_a_mouse_a_finger_and_keys_change_what_is_written(browser):
    from selenium.webdriver import ActionChains, Keys
    from selenium.webdriver.common.actions.action_builder import ActionBuilder
    from selenium.webdriver.common.actions.pointer_input import PointerInput

    before = shown(browser)
    slider = browser.find_element("id", "z1")
    ActionChains(browser).click_and_hold(slider).move_by_offset(70, 0).release().perform()
    dragged = shown(browser)
    assert dragged != before
    slider.send_keys(Keys.ARROW_LEFT)
    stepped = shown(browser)
    assert stepped != dragged
    slider.send_keys("0")
    assert state(browser)[1] == pytest.approx(0, abs=1e-6)

    pad = browser.find_element("id", "map")
    browser.execute_script("arguments[0].scrollIntoView()", pad)
    finger = ActionBuilder(browser, PointerInput("touch", "finger"))
    at = finger.pointer_action
    at.move_to(pad, 30, 40).pointer_down().move_to(pad, 60, -20).pointer_up()
    here = state(browser)
    finger.perform()
    assert state(browser)[:2] != here[:2]
    assert state(browser)[2:] == here[2:]
    pad.send_keys(Keys.ARROW_UP)
    assert state(browser)[1] > 0

    here = state(browser)
    body = browser.find_element("tag name", "body")
    body.send_keys("r")
    assert state(browser) != here
    body.send_keys("z")
    assert state(browser) == here
    body.send_keys("y")
    assert state(browser) != here


def test_a_lock_keeps_a_number(browser):
    browser.find_element("css selector", "[aria-label='lock z3']").click()
    here = state(browser)
    browser.find_element("id", "random").click()
    assert state(browser)[2] == here[2]
    assert state(browser)[0] != here[0]


def test_a_drawing_becomes_the_style_and_drawings_add_up(browser, run):
    from selenium.webdriver import ActionChains
    from selenium.webdriver.support.ui import Select

    pen = browser.find_element("id", "pen")
    browser.execute_script("arguments[0].scrollIntoView()", pen)
    Select(browser.find_element("id", "class")).select_by_visible_text("7")
    stroke = ActionChains(browser).move_to_element_with_offset(pen, -40, -50).click_and_hold()
    stroke.move_by_offset(80, 0).move_by_offset(-45, 90).release().perform()
    image = browser.execute_script("return [...prepared().image]")
    seen = torch.tensor(image).reshape(1, 1, 28, 28).clamp(0, 1)
    mean = run.encode(seen, torch.tensor([7]))[0]
    assert state(browser) == pytest.approx(mean.tolist(), abs=0.02)
    bands = browser.execute_script("return sliders.filter(({band}) => !band.hidden).length")
    assert bands == run.feature_size
    browser.find_element("id", "add").click()
    assert "1 in the hand" in browser.find_element("id", "said").text
    browser.find_element("id", "forget").click()
    assert browser.execute_script("return hand.length") == 0


def test_a_link_restores_what_it_was_copied_from(browser, address):
    browser.find_element("id", "random").click()
    shown(browser)
    link, here = browser.current_url, state(browser)
    assert "style=" in link
    browser.get("about:blank")
    browser.get(link)
    assert state(browser) == pytest.approx(here, abs=1e-4)


@pytest.mark.parametrize(
    "fragment",
    ["style=NaN,NaN,NaN,NaN", "style=1e999,0,0,0", "style=1,2", "x" * 1_000_000, "%E0%A4"],
)
def test_a_hostile_link_changes_nothing(browser, address, fragment):
    usual = browser.execute_script("return samples[0]")
    browser.execute_script("location.hash = arguments[0]", fragment)
    shown(browser)
    assert all(abs(number) < 100 for number in state(browser))
    browser.get("about:blank")
    browser.get(f"{address}#{fragment}")
    assert state(browser) == pytest.approx(usual)


def test_numbers_that_are_no_style_are_said_so(browser):
    from selenium.webdriver import Keys

    field = browser.find_element("id", "coordinates")
    here = state(browser)
    field.send_keys(Keys.CONTROL, "a", Keys.NULL, "x,2,1")
    assert "a style is 4 numbers" in browser.find_element("id", "problem").text
    assert state(browser) == here
    field.send_keys(Keys.CONTROL, "a", Keys.NULL, "1,2,-1,0.5")
    assert state(browser) == [1, 2, -1, 0.5]


def test_kept_styles_and_a_blend_of_two(browser):
    styles = []
    for _ in range(2):
        browser.find_element("id", "random").click()
        styles.append(state(browser))
        browser.find_element("id", "keep").click()
    browser.execute_script(
        "byId('blend').value = 0.25; byId('blend').dispatchEvent(new Event('input'))"
    )
    one, other = np.array(styles)
    assert state(browser) == pytest.approx((0.75 * one + 0.25 * other).tolist(), abs=1e-6)
    browser.find_elements("css selector", "#kept button")[0].click()
    assert state(browser) == styles[0]


def test_a_text_is_written_and_read_out(browser):
    field = browser.find_element("id", "text")
    field.clear()
    field.send_keys("3 1x4")
    line = browser.find_element("id", "line")
    assert line.get_attribute("aria-label") == "3 1x4"
    assert browser.execute_script("return byId('line').width") > 3 * 5


def test_the_nearest_test_images_are_shown(browser):
    nearest, shown_images, names = browser.execute_script(
        "const far = (z) => z.reduce((sum, x, i) => sum + (x - state.style[i]) ** 2, 0);"
        "const away = tests.styles.map(far);"
        "const order = away.map((_, i) => i).sort((a, b) => away[a] - away[b]).slice(0, 6);"
        "return [order, near.map(({canvas}) => [...canvas.getContext('2d')"
        ".getImageData(0, 0, 28, 28).data].filter((_, i) => i % 4 === 0)),"
        "near.map(({caption}) => caption.textContent)]"
    )
    test = bundled().test
    known = test.batch(balanced_sample(test.labels, 500, 0)[torch.tensor(nearest)])
    drawn = 1 - np.array(shown_images).reshape(6, 28, 28) / 255
    assert np.abs(drawn - known.images[:, 0].numpy()).max() <= 0.5 / 15 + 1 / 255
    assert names == [str(label) for label in known.labels.tolist()]


PASTE = """
const bytes = Uint8Array.from(atob(arguments[0]), (c) => c.charCodeAt(0));
const file = new File([bytes], arguments[1]), done = arguments[2];
takePicture(file).then(() => done(byId("said").textContent));
"""


def pasted(browser, content, name):
    text = base64.b64encode(content).decode()
    said = browser.execute_async_script(PASTE, text, name)
    shown(browser)
    return said


def test_a_picture_is_put_on_the_pad(browser, run):
    image = bundled().test.batch(torch.tensor([3])).images
    buffer = io.BytesIO()
    scanned = Image.fromarray((255 * (1 - image[0, 0].numpy())).astype(np.uint8))
    scanned.resize((280, 280), Image.Resampling.BICUBIC).save(buffer, "PNG")
    browser.execute_script("byId('class').value = 0")
    pasted(browser, buffer.getvalue(), "0.png")
    grey, seen = browser.execute_script(
        "const {data} = pen.getImageData(0, 0, 168, 168);"
        "return [[...data].filter((_, i) => i % 4 === 0), [...prepared().image]]"
    )
    ink, _ = scan.find_ink(np.array(grey, float).reshape(168, 168))
    expected = scan.in_the_middle(scan.in_a_box(scan.thickened(ink)))
    assert np.abs(np.array(seen) - expected.ravel()).max() < 1e-5
    style = run.encode(torch.tensor(expected).float().reshape(1, 1, 28, 28), torch.tensor([0]))
    assert state(browser) == pytest.approx(style[0].tolist(), abs=0.02)


@pytest.mark.parametrize("dark", [False, True])
def test_a_wide_picture_is_seen_alike_dark_or_light(browser, dark):
    """Where it ends the pad goes on as its rim."""
    ink = Image.new("L", (560, 280), 30 if dark else 235)
    ImageDraw.Draw(ink).line([(250, 60), (310, 60), (270, 220)], 220 if dark else 40, width=24)
    buffer = io.BytesIO()
    ink.save(buffer, "PNG")
    pasted(browser, buffer.getvalue(), "7.png")
    seen = np.array(browser.execute_script("return [...prepared().image]")).reshape(28, 28)
    assert seen[seen > 0.5].size < 120
    rows = np.flatnonzero((seen > 0.5).any(1))
    assert rows.max() - rows.min() in (18, 19, 20)


@pytest.mark.parametrize("kind", ["text", "cut", "bomb", "empty"])
def test_what_is_no_picture_changes_nothing(browser, kind):
    buffer = io.BytesIO()
    Image.new("1", (12_000, 9_000)).save(buffer, "PNG")
    png = buffer.getvalue()
    content = {"text": b"<script>alert(1)</script>", "cut": png[:60], "bomb": png, "empty": b""}
    before = state(browser)
    said = pasted(browser, content[kind], f"{kind}.png")
    assert ("too large" if kind == "bomb" else "no picture that can be read") in said
    assert state(browser) == before


@pytest.mark.parametrize("size", [(1280, 800), (360, 740)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible(browser, size, scheme):
    feature = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", feature)
    metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size[0] < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        assert browser.execute_script("return document.documentElement.scrollWidth") <= size[0]
        axe = importlib.resources.files("axe_core_python") / "axe.min.js"
        browser.execute_script(axe.read_text(encoding="utf-8"))
        # Colours as they are to be, and not on their way there from another scheme's.
        browser.execute_script("document.getAnimations().forEach((each) => each.finish())")
        found = browser.execute_async_script("axe.run().then(arguments[0])")["violations"]
        serious = [each for each in found if each["impact"] in ("serious", "critical")]
        assert not serious, [(each["id"], each["nodes"][0]["html"]) for each in serious]
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_names_of_classes_execute_nothing(chromium, run, tmp_path):
    known = described(Explored(run, ExploreFlags(ckpt_dir=run.name)))
    evil = "</script><img src=x onerror=alert(1)>"
    known |= {"class_names": [evil] * 10, "class_word": evil, "about": evil, "text": evil}
    (tmp_path / "evil.html").write_bytes(page(evil, known))
    logs(chromium)
    chromium.get((tmp_path / "evil.html").as_uri())
    assert chromium.execute_script("return document.documentElement.dataset.ready") == "yes"
    assert not chromium.find_elements("tag name", "img")
    assert not logs(chromium)[0]


def test_letters_and_a_run_without_a_class(chromium, tmp_path):
    save_run(tmp_path / "a.ckpt", "aae", SMALL | {"labels": False})
    run = mnist.load(tmp_path / "a.ckpt")
    known = described(Explored(run, ExploreFlags(ckpt_dir=run.name)))
    (tmp_path / "page.html").write_bytes(page("One image of each style", known))
    logs(chromium)
    chromium.get((tmp_path / "page.html").as_uri())
    assert chromium.execute_script("return written.length") == 1
    assert not chromium.find_element("id", "texts").is_displayed()
    assert not logs(chromium)[0]
