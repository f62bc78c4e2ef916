"""Downloads from a mirror that is slow, breaks off, serves other bytes, or sends one elsewhere."""

import gzip
import hashlib
import http.server
import multiprocessing
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from conftest import idx, one_line
from torchvision import datasets

from mnist import data
from mnist.data import download
from mnist.data.catalogue import CATALOGUE

NAMES = list(CATALOGUE["fashion-mnist"].files)


@pytest.fixture(scope="module")
def published():
    """What stands for Fashion-MNIST's files, by name."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (40, 28, 28)), random.integers(0, 256, (20, 28, 28))
    parts = images[0], np.arange(40) % 10, images[1], np.arange(20) % 10
    return dict(
        zip(NAMES, (gzip.compress(idx(part.astype(np.uint8))) for part in parts), strict=True)
    )


class Mirror(http.server.BaseHTTPRequestHandler):
    """It treats a file as the folder says that it is asked for in."""

    files: dict[str, bytes]

    def do_GET(self):
        _, how, name = self.path.split("/", 2)
        content = self.files[name]
        if how in ("moved", "round"):
            self.send_response(302)
            self.send_header("Location", f"/{'good' if how == 'moved' else how}/{name}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if how == "missing":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if how == "wrong":
            content = bytes([content[0] ^ 1]) + content[1:]
        if how == "cut":
            content = content[: len(content) // 2]
        half = len(content) // 2
        self.wfile.write(content[:half])
        if how in ("slow", "silent"):
            time.sleep(0.1 if how == "slow" else 3)
        self.wfile.write(content[half:])

    def log_message(self, *_):
        pass

    do_HEAD = do_GET


@pytest.fixture
def mirror(published, monkeypatch, tmp_path):
    """Serve them, and take their sums for the published ones: mirrors by how they serve."""
    Mirror.files = published
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
    server.handle_error = lambda *_: None  # whoever waits no longer
    threading.Thread(target=server.serve_forever, daemon=True).start()
    md5 = {name: hashlib.md5(content).hexdigest() for name, content in published.items()}
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in published.items()}
    made = replace(CATALOGUE["fashion-mnist"], files=sums)
    monkeypatch.setitem(data.DATASETS, "fashion-mnist", made)
    monkeypatch.setattr(datasets.FashionMNIST, "resources", list(md5.items()))
    monkeypatch.setattr(download, "TIMEOUT", 1.0)
    monkeypatch.delenv("MNIST_DATA_DIR", raising=False)
    monkeypatch.chdir(tmp_path)

    def serve(*how):
        places = [f"http://127.0.0.1:{server.server_port}/{each}/" for each in how]
        monkeypatch.setattr(datasets.FashionMNIST, "mirrors", places)

    yield serve
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("how", ["good", "slow", "moved"])
def test_a_download_from_a_mirror_that_serves(mirror, tmp_path, how):
    mirror(how)
    dataset = data.load_dataset("fashion-mnist")
    assert (len(dataset.train), len(dataset.test)) == (40, 20)
    there = sorted(path.name for path in (tmp_path / "data" / "FashionMNIST" / "raw").iterdir())
    assert there == sorted(NAMES)


@pytest.mark.parametrize("how", ["cut", "wrong", "silent", "round", "missing"])
def test_a_mirror_that_does_not_is_named_and_the_next_is_asked(mirror, tmp_path, how):
    mirror(how)
    with pytest.raises(data.Unavailable, match=f"the download failed .*/{how}/") as refused:
        data.load_dataset("fashion-mnist")
    one_line(f"{refused.value}\n")
    assert not (tmp_path / "data").exists()
    mirror(how, "good")
    assert len(data.load_dataset("fashion-mnist").train) == 40


def test_two_downloads_at_once_are_both_whole(mirror, tmp_path):
    mirror("slow")
    fork = multiprocessing.get_context("fork")

    def load():
        sys.exit(0 if len(data.load_dataset("fashion-mnist").train) == 40 else 1)

    several = [fork.Process(target=load) for _ in range(2)]
    for process in several:
        process.start()
    for process in several:
        process.join(60)
    assert [process.exitcode for process in several] == [0, 0]
    assert [path.name for path in (tmp_path / "data" / "FashionMNIST").iterdir()] == ["raw"]
