#!/usr/bin/env python3
"""How fast the page of explore.py is in Chromium: loading, decoding, a drawing from pen to style.

Needs chromium, chromedriver and selenium, and a run in --ckpt-dir.

example: python benchmarks/explorer.py --ckpt-dir mnist4.ckpt
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from machine import machine
from selenium import webdriver

ROOT = Path(__file__).resolve().parent.parent
# Milliseconds, `count` times each, after as many that warm up.
TIMES = """
const [count] = arguments, times = {decode: [], prepare: [], encode: []};
const timed = (name, work) => {
  const start = performance.now();
  const done = work();
  times[name].push(performance.now() - start);
  return done;
};
clearDrawing();
at = [40, 40];
const box = canvas.getBoundingClientRect();
for (const [x, y] of [[120, 40], [90, 90], [70, 130]])
  stroke({clientX: box.left + x * box.width / 168, clientY: box.top + y * box.height / 168});
for (let i = 0; i < 2 * count; i++) {
  const style = samples[i % samples.length];
  timed("decode", () => networks.decode(labels.map(() => style), labels, state.sharpness));
  const seen = timed("prepare", prepared);
  timed("encode", () => networks.encode([seen.image], [7]));
}
return Object.fromEntries(Object.entries(times).map(([name, each]) => [name, each.slice(count)]));
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ckpt-dir", default="mnist4.ckpt")
    parser.add_argument("--count", type=int, default=100)
    arguments = parser.parse_args()
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(flag)
    browser = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        with tempfile.TemporaryDirectory() as folder:
            page = Path(folder) / "page.html"
            script = [sys.executable, str(ROOT / "explore.py"), "--ckpt-dir", arguments.ckpt_dir]
            subprocess.run([*script, "--html", str(page)], check=True, stdout=subprocess.DEVNULL)
            loads = []
            for _ in range(10):
                browser.get("about:blank")
                browser.get(page.as_uri())
                # From the beginning of the navigation to a page that answers.
                loads.append(
                    browser.execute_script(
                        "const {loadEventEnd, navigationStart} = performance.timing;"
                        "return loadEventEnd - navigationStart"
                    )
                )
            times = browser.execute_script(TIMES, arguments.count)
            size = page.stat().st_size
        version = browser.capabilities["browserVersion"]
    finally:
        browser.quit()
    print(f"By benchmarks/explorer.py on {machine()}; Chromium {version}; {size / 1e6:.1f} MB.\n")
    print("| | n | median, ms | worst, ms |")
    print("|---|---|---|---|")
    named = {
        "loading": loads,
        "decoding every class": times["decode"],
        "preparing a drawing": times["prepare"],
        "encoding it": times["encode"],
    }
    for name, each in named.items():
        print(f"| {name} | {len(each)} | {statistics.median(each):.1f} | {max(each):.1f} |")


if __name__ == "__main__":
    main()
