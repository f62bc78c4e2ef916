"""The lesson: its notebook is the same, and runs."""

import json
import re
import runpy

import nbclient
import nbformat
import pytest
from conftest import ROOT

DOCS = ROOT / "docs"
LESSON = (DOCS / "lesson.md").read_text()
STEPS = re.split(r"^## \d+\. ", LESSON, flags=re.MULTILINE)[1:]
made = runpy.run_path(str(ROOT / "examples" / "lesson.py"))


def test_each_of_ten_steps_is_a_command_a_picture_and_a_question_with_its_answer():
    assert len(STEPS) == len(list(made["STEP"].finditer(LESSON))) == 10
    for step in STEPS:
        assert len(re.findall(r"^    \./", step, flags=re.MULTILINE)) == 1
        assert len(re.findall(r"^\*\*.*\?.*\*\*", step, flags=re.MULTILINE)) == 1
        assert step.count("<details><summary>Answer</summary>") == step.count("</details>") == 1
        (picture,) = re.findall(r"!\[.+?\]\((.+?)\)", step)
        assert (DOCS / picture).stat().st_size < 250_000


def test_the_notebook_is_made_of_the_lesson():
    assert (DOCS / "lesson.ipynb").read_text() == made["notebook"](LESSON)


def test_the_notebook_has_the_commands_without_windows():
    cells = json.loads((DOCS / "lesson.ipynb").read_text())["cells"]
    code = ["".join(each["source"]) for each in cells if each["cell_type"] == "code"]
    assert len(code) == 11
    assert all("--output" in each or "--quiet" in each for each in code[1:])


@pytest.mark.slow
def test_the_notebook_runs_and_shows_ten_pictures(monkeypatch):
    monkeypatch.delenv("MNIST_DATA_DIR", raising=False)
    book = nbformat.read(DOCS / "lesson.ipynb", 4)
    place = {"metadata": {"path": str(DOCS)}}
    nbclient.NotebookClient(book, timeout=600, resources=place).execute()
    pictures = [
        output.data["image/png"]
        for each in book.cells
        if each.cell_type == "code"
        for output in each.outputs
        if "image/png" in output.get("data", {})
    ]
    assert len(pictures) == len(set(pictures)) == 10
