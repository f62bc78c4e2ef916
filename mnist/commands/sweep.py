"""What mnist-sweep.py does: runs of one training script at many settings, several at once."""

from __future__ import annotations

import argparse
import csv
import io
import itertools
import json
import os
import re
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, NamedTuple

import mnist
from mnist.commands.arguments import Parser, add_option, argument, main
from mnist.commands.train import SETTINGS, or_auto, signature
from mnist.errors import UserError
from mnist.options import KINDS, Option, flag_of

SCRIPTS = Path(mnist.__file__).parent.parent
METHODS = {path.stem.removeprefix("mnist-") for path in SCRIPTS.glob("mnist-*.py")} - {"sweep"}
OURS = "ckpt_dir", "log_every", "seed"  # options of a training that a sweep has in its own way
ON_A_GPU = 8  # runs at once: one does not fill it (docs/performance.md)
WAIT = 2.0  # seconds between two looks at a directory that another process writes to
EXIT_CODES = """\
exit codes: 0 done; 1 a bug, with its traceback; 2 a user error, in one line; 3 a run diverged, or 4
could not be written, and all others are done; 129/130/143 stopped by SIGHUP/Ctrl-C/SIGTERM, with
every run saved."""

Values = Mapping[str, str]


class Job(NamedTuple):
    """One run of a sweep.

    Attributes:
        values: of the options that have several in the sweep, by name, in words.
        folder: its run directory.
        flags: that its script is given.
    """

    values: Values
    folder: Path
    flags: Sequence[str]


class Failed(UserError):
    """Some runs of a sweep came to nothing.

    Args:
        message: how many.
        exit_code: of the first of them.
    """

    def __init__(self, message: str, exit_code: int):
        super().__init__(message)
        self.exit_code = exit_code


def sweep_command(doc: str, usual: str) -> None:
    """Do what mnist-sweep.py does.

    Args:
        doc: the script's docstring.
        usual: the method that is trained where none is named.
    """
    asked = re.search(r"--method[ =](\w+)", " ".join(sys.argv[1:]))
    method = asked[1] if asked and asked[1] in METHODS else usual
    options = swept_options(method)
    main(sweep_parser(doc, usual, options), lambda given: sweep(method, options, given))


def swept_options(method: str) -> dict[str, Option]:
    """Options of a method's training of which a sweep may have several values."""
    both = {**signature(method)[0], **SETTINGS}
    both["precision"] = or_auto(both["precision"])
    return {name: option for name, option in both.items() if name not in OURS}


def sweep_parser(doc: str, usual: str, options: Mapping[str, Option]) -> Parser:
    """The flags of a sweep, and those of the training."""
    parser = Parser(doc, EXIT_CODES)
    help_ = f"what is trained, by mnist-METHOD.py (default: {usual})"
    parser.add_argument("--method", choices=sorted(METHODS), help=help_)
    seeds = "seeds, such as 0-4 or 0 7 9 (default: 0)"
    parser.add_argument("--seeds", nargs="+", type=seeds_of, metavar="SEEDS", help=seeds)
    parser.add_argument(
        "--sweep-dir",
        metavar="DIR",
        help="where the runs, the table and the figure go (default: sweep)",
    )
    jobs = f"runs at once (default: as many as cores; on a GPU {ON_A_GPU})"
    parser.add_argument("--jobs", type=argument(KINDS["Count"]), metavar="N", help=jobs)
    group = parser.add_argument_group("of the training, each with one value or several")
    for option in options.values():
        add_option(several(group.add_argument), option)
    return parser


def several(add: Callable[..., Any]) -> Callable[..., Any]:
    """A parser's `add_argument`, for flags of one value or more, which are kept in words."""

    def add_several(*flags: str, **how: Any) -> Any:
        if "action" not in how:  # as on or off has, which is no value
            how["nargs"] = "+"
        if parse := how.get("type"):
            how["type"] = checked(parse)
        return add(*flags, **how)

    return add_several


def checked(parse: Callable[[str], Any]) -> Callable[[str], str]:
    """An argument type that lets a text be as it is, once it is seen to be a value of another."""

    def as_it_is(text: str) -> str:
        parse(text)
        return text.strip()

    return as_it_is


def seeds_of(text: str) -> list[str]:
    """ "0-4" or "7" -> seeds, in words.

    Raises:
        ArgumentTypeError: it is neither.
    """
    match = re.fullmatch(r"(\d+)(?:-(\d+))?", text)
    found = range(int(match[1]), int(match[2] or match[1]) + 1) if match else ()
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a seed nor a range such as 0-4")
    return list(map(str, found))


def sweep(method: str, options: Mapping[str, Option], given: Mapping[str, Any]) -> None:
    """Train every run, and say what came out.

    Raises:
        UserError: any user error; runs that failed are named before.
    """
    from mnist.training.processes import started  # late: torch takes a second or two to import

    if started() > 1:
        raise UserError("a sweep starts its processes itself: give it without torchrun")
    place = Path(given.get("sweep_dir", "sweep"))
    seeds = list(itertools.chain(*given.get("seeds", [["0"]])))
    jobs = jobs_of(options, {name: given[name] for name in options if name in given}, seeds, place)
    count = given.get("jobs") or usual_jobs(given.get("device", ["auto"]))
    script = SCRIPTS / f"mnist-{method}.py"
    failed = run_all(script, jobs, min(count, len(jobs)))
    rows = [{**job.values, **numbers_of(job.folder)} for job in jobs if job.folder not in failed]
    if rows:
        report(rows, list(jobs[0].values), place, method)
    if failed:
        raise Failed(
            f"{len(failed)} of {len(jobs)} runs failed, as said above; mend that and give the same "
            "command again",
            next(iter(failed.values())),
        )


def jobs_of(
    options: Mapping[str, Option], given: Mapping[str, Any], seeds: Sequence[str], place: Path
) -> list[Job]:
    """Every combination of values, in the order in which they were given."""
    fixed: list[str] = []
    swept: dict[str, Sequence[str]] = {}
    for name, values in given.items():
        if isinstance(values, bool):
            fixed.append(flag_of(name if values else f"no_{name}"))
        elif len(values) == 1:
            fixed += [flag_of(name), values[0]]
        else:
            swept[name] = list(dict.fromkeys(values))
    swept["seed"] = list(dict.fromkeys(seeds))
    jobs = []
    for combination in itertools.product(*swept.values()):
        values = dict(zip(swept, combination, strict=True))
        name = "-".join(f"{flag_of(key)[2:]}-{value}" for key, value in values.items())
        flags = [text for key, value in values.items() for text in (flag_of(key), value)]
        jobs.append(Job(values, place / re.sub(r"[^\w.,-]", "_", name), [*fixed, *flags]))
    return jobs


def usual_jobs(device: Sequence[str]) -> int:
    """How many runs are trained at once by default."""
    if device[0] in ("auto", "cuda"):
        import torch  # late: it takes a second or two to import

        if torch.cuda.is_available():
            return ON_A_GPU
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


# --- training -------------------------------------------------------------------------------------


def run_all(script: Path, jobs: Sequence[Job], count: int) -> dict[Path, int]:
    """Train all runs, so many at once: exit codes of those that failed, by directory.

    Raises:
        Interrupted: a signal asked to stop; all runs are saved.
    """
    from mnist.training.signals import Signals

    with Signals() as signals, ThreadPoolExecutor(count) as pool, Trainings(script, jobs) as all_:
        codes = {job.folder: pool.submit(all_.train, job) for job in jobs}
        while not all(code.done() for code in codes.values()):
            signals.agree()
            if signals.stop is not None:
                all_.stop()
            time.sleep(0.1)
        signals.stop_if_asked("every run is saved")
        found = {folder: code.result() for folder, code in codes.items()}
    return {folder: code for folder, code in found.items() if code}


class Trainings:
    """Processes that train, and a bar of how far they are.

    Args:
        script: that trains.
        jobs: all of them.
    """

    def __init__(self, script: Path, jobs: Sequence[Job]):
        from tqdm import tqdm  # late, so that --help is instant

        self.script = script
        self.stopping = False
        self.processes: set[subprocess.Popen[str]] = set()
        self.lock = threading.Lock()  # of all of this
        self.bar = tqdm(
            total=len(jobs),
            bar_format="{desc} {percentage:3.0f}% |{bar}| {remaining} left",
            desc=f"{len(jobs)} runs",
            disable=not sys.stderr.isatty(),
        )

    def __enter__(self) -> Trainings:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self.bar.close()

    def stop(self) -> None:
        """Ask all to save and end; no others are begun."""
        with self.lock:
            self.stopping = True
            for process in self.processes:
                process.terminate()

    def train(self, job: Job) -> int:
        """Train a run to its end: the exit code.

        Where another process is at it, as one that a sweep left behind when it was killed, that one
        is waited for.
        """
        while True:
            with TemporaryFile("w+") as errors:
                code = self.attempt(job, errors)
                errors.seek(0)
                said = errors.read()
            if code and " is in use by " in said and not self.stopping:
                time.sleep(WAIT)
                continue
            with self.lock:
                for line in [] if self.stopping else said.splitlines():
                    self.bar.write(f"{job.folder}: {line}", file=sys.stderr)
            return code

    def attempt(self, job: Job, errors: IO[str]) -> int:
        """Start a run's script, and wait for it."""
        command = [sys.executable, self.script, *job.flags, "--ckpt-dir", job.folder, "--json"]
        with self.lock:
            if self.stopping:
                return 0
            process = subprocess.Popen(
                list(map(str, command)),
                env=os.environ | {"OMP_NUM_THREADS": "1"},  # which get in each other's way least
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,  # a terminal's Ctrl-C is for us, to be passed on
            )
            self.processes.add(process)
        done = 0.0
        assert process.stdout is not None
        for epoch in epochs_in(process.stdout):
            share = epoch / epochs_of(job.folder)
            with self.lock:
                self.bar.update(share - done)
            done = share
        code = process.wait()
        with self.lock:
            self.processes.discard(process)
            self.bar.update(0 if code else 1 - done)
        return code


def epochs_in(lines: IO[str]) -> Iterator[int]:
    """Epochs as they come to an end in what a training says."""
    for line in lines:
        if line.startswith('{"event": "epoch"'):
            yield json.loads(line)["epoch"]


def epochs_of(folder: Path) -> int:
    """How many epochs a run is to have."""
    return json.loads((folder / "config.json").read_text())["training"]["epochs"]


# --- what came out --------------------------------------------------------------------------------


def numbers_of(folder: Path) -> dict[str, str]:
    """The last row of a run's metrics.csv."""
    with open(folder / "metrics.csv", newline="") as file:
        *_, last = csv.DictReader(file)
    return last


def report(
    rows: Sequence[Mapping[str, str]], swept: Sequence[str], place: Path, method: str
) -> None:
    """Leave a table and a figure of all runs in a directory, and print the table's means."""
    from mnist.figures.plotting import picture  # late: matplotlib takes a second to import
    from mnist.figures.sweep import against
    from mnist.files import write_file
    from mnist.training.checkpoint import part_of

    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = io.StringIO()
    writer = csv.DictWriter(lines, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_file(place / "sweep.csv", lines.getvalue().encode())

    settings = [name for name in swept if name != "seed"]
    groups: dict[tuple[str, ...], list[Mapping[str, str]]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in settings), []).append(row)
    told = [name for name in names if (found := part_of(name)) and found[0] != "train"]
    table = [" | ".join(["", *settings, "runs", *told, ""]).strip()]
    table += ["|---" * (len(settings) + 1 + len(told)) + "|"]
    for values, some in groups.items():
        cells = [spread([float(row[name]) for row in some if row.get(name)]) for name in told]
        table.append(" | ".join(["", *values, str(len(some)), *cells, ""]).strip())
    print("\n".join(table))
    figure = against(groups, settings, told, f"{method.upper()}: {len(rows)} runs")
    write_file(place / "sweep.png", picture(figure, "png", 150))
    print(f"\nEvery number of every run: {place / 'sweep.csv'}; figure: {place / 'sweep.png'}")


def spread(values: Sequence[float]) -> str:
    """Mean ± standard deviation, to four figures."""
    if not values:
        return ""
    mean = f"{statistics.mean(values):.4g}"
    return f"{mean} ± {statistics.stdev(values):.1g}" if len(values) > 1 else mean
