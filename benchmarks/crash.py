#!/usr/bin/env python3
"""Try to lose a run: kills, faults, full disks, damaged and hostile files. Prints a table.

The long versions of what the tests do; docs/checkpoints.md says what is promised. Everything works
on small networks and runs made for it, but "cost", which trains default epochs on the full MNIST
in $MNIST_DATA_DIR. Linux only; a mount needs root, and what cannot be tried is said.

example: python benchmarks/crash.py --kills 1000
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import pickle
import random
import re
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from unittest import mock

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from machine import machine

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from faults import with_fault  # noqa: E402

from mnist import files  # noqa: E402
from mnist.data import Dataset, Split, load_dataset  # noqa: E402
from mnist.data.mnist import MNIST  # noqa: E402
from mnist.errors import Interrupted, StorageFailed, UserError  # noqa: E402
from mnist.methods import METHODS, Method  # noqa: E402
from mnist.training.checkpoint import CONTENTS, Progress, contents  # noqa: E402
from mnist.training.environment import choose_precision  # noqa: E402
from mnist.training.log import Report  # noqa: E402
from mnist.training.loop import train  # noqa: E402
from mnist.training.run_directory import RunDirectory  # noqa: E402

MODEL = {"feature_size": 2, "labels": True, "prior_std": 1.0, "lr": 1e-3, "seed": 0, "hidden": [2]}
SMALL = {
    "sae": MODEL,
    "aae": MODEL | {"discriminator_hidden": [3]},
    "vae": MODEL,
    "bigan": {"feature_size": 2, "width": 2, "lr": 1e-3, "seed": 0},
    "categorical_aae": {"feature_size": 2, "hidden": [2], "labelled": 20, "lr": 1e-3, "seed": 0},
    "gan": {"feature_size": 2, "network": "mlp", "hidden": [2], "lr": 1e-3, "seed": 0},
    "classifier": {"layers": 1, "lr": 1e-3, "seed": 0},
}
TRAINING = {"dataset": "noise", "dataset_sha256": "", "batch_size": 5, "epochs": 8}
MEMORY = 2**30  # bytes that reading hostile files may take beyond what the process has already


def noise() -> Dataset:
    """60 + 20 images of nothing."""
    generator = torch.Generator().manual_seed(0)

    def digits(count: int) -> Split:
        images = torch.randint(0, 256, (count, 28, 28), generator=generator, dtype=torch.uint8)
        return Split(images, torch.arange(count) % 10)

    return Dataset("noise", MNIST, digits(60), digits(20), "crash.py")


def small(name: str) -> Method:
    """A method with next to no weights."""
    return METHODS[name](MNIST, **SMALL[name])


def run(directory: Path, name: str, dataset: Dataset, tell: Callable[[Path], None], **options):
    """Train a small run to its end from wherever it stands, telling of each checkpoint."""
    with RunDirectory(directory) as run_dir:
        if directory.exists():
            run_dir.lock()
        there = run_dir.newest()
        if there:
            method = there.build()
            progress = there.restore(method)
            run_dir.set_aside(there.damaged)
        else:
            method, progress = small(name), Progress()
        config = {"method": name, "model": method.config, "training": TRAINING}
        run_dir.start(config, progress.rows)
        save = run_dir.save

        def save_and_tell(*arguments):
            tell(path := save(*arguments))
            return path

        run_dir.save = save_and_tell
        report = Report(method.headline, quiet=True)
        settings_ = {"epochs": 8, "batch_size": 5, "seed": 0, "log_every": 100, "report": report}
        train(method, dataset, run_dir, progress, **settings_ | options)


def result(directory: Path) -> dict[str, bytes]:
    """What a run came to: its newest checkpoint and its table, byte for byte."""
    kept = [*RunDirectory(directory).folders()[-1].iterdir(), directory / "metrics.csv"]
    return {path.name: path.read_bytes() for path in kept}


def refused(directory: Path, reason: str) -> bool:
    """Whether going on with a run fails for a reason of the disk, and leaves what was there."""
    kept = result(directory)
    try:
        run(directory, "aae", noise(), lambda _: None, epochs=2)
    except StorageFailed as problem:
        if reason not in str(problem) or result(directory) != kept:
            raise
        return True
    return False


def tell(pipe: int, path: Path) -> None:
    """Report a checkpoint to whoever watches this process."""
    os.write(pipe, f"{path.name}\n".encode())


def check_table(directory: Path) -> None:
    """metrics.csv has whole rows, and none twice."""
    path = directory / "metrics.csv"
    if path.exists():
        header, *rows = path.read_text().splitlines()
        assert all(row.count(",") == header.count(",") for row in rows)
        assert [row.split(",")[0] for row in rows] == [str(i + 1) for i in range(len(rows))]


# --- what is tried: each yields lines "what | how often | what came of it" ------------------------


def kills(folder: Path, count: int) -> Iterator[str]:
    """SIGKILL at random moments of runs that save at every step."""
    torch.set_num_threads(1)  # others would not survive a fork
    dataset, chance, done, runs, amid = noise(), random.Random(0), 0, 0, 0
    straight = {}
    for name in METHODS:
        run(folder / name, name, dataset, lambda _: None)
        straight[name] = result(folder / name)
    while done < count:
        runs += 1
        name = list(METHODS)[runs % len(METHODS)]
        directory = folder / f"run-{runs}"
        code = None
        while code != 0:
            reading, writing = os.pipe()
            child = os.fork()
            if child == 0:
                with contextlib.suppress(BaseException):
                    os.close(reading)
                    run(directory, name, dataset, partial(tell, writing), save_every=1)
                    os._exit(0)
                os._exit(1)
            os.close(writing)
            time.sleep(chance.uniform(0, 0.35))
            os.kill(child, signal.SIGKILL)
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            with open(reading) as pipe:
                told = pipe.read().split()
            assert code in (0, -signal.SIGKILL), f"the resumed run failed: {code}"
            done += code != 0
            newest = RunDirectory(directory).newest() if directory.exists() else None
            assert not told or newest.folder.name >= told[-1], (newest, told[-1])
            assert newest is None or newest.damaged == {}
            check_table(directory)
            amid += any((directory / "checkpoints").glob(".partial/*"))
        assert result(directory) == straight[name]
        shutil.rmtree(directory)
    yield (
        f"SIGKILL at a random moment of a run that saves at every step | {done:,} kills of "
        f"{runs} runs, {amid} amid the writing of a checkpoint | all resumed, never behind the "
        "last checkpoint reported, every run's end bit-identical to an undisturbed one's"
    )


def script_kills(folder: Path, count: int) -> Iterator[str]:
    """The same to the script itself, as a person runs it."""
    flags = ["--dataset", "mnist-5k", "--epochs", "6", "--save-every", "5", "--log-every", "5"]
    command = [sys.executable, str(ROOT / "mnist-aae.py"), *flags, "--ckpt-dir"]
    quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    began = time.perf_counter()
    subprocess.run([*command, folder / "straight"], check=True, **quiet)
    whole = time.perf_counter() - began
    chance, done, runs = random.Random(0), 0, 0
    while done < count:
        runs += 1
        code = None
        while code != 0:
            with subprocess.Popen([*command, folder / f"{runs}"], **quiet) as process:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(chance.uniform(0.3, 1) * whole)
                process.kill()
                out, error = process.communicate()
            code = process.returncode
            assert code in (0, -signal.SIGKILL), error
            done += code != 0
            told = re.findall(r"saved \S*/(step-\d+)", out)
            if told:
                assert RunDirectory(folder / f"{runs}").newest().folder.name >= told[-1]
        assert result(folder / f"{runs}") == result(folder / "straight")
    yield (
        f"SIGKILL of ./mnist-aae.py on the bundled images | {done} kills of {runs} runs | the same"
    )


def process_kills(folder: Path, count: int) -> Iterator[str]:
    """A run by 1, 2 and 4 processes in turn, of which any is killed, or torchrun is stopped."""
    flags = ["--dataset", "mnist-5k", "--epochs", "8", "--hidden", "64", "--save-every", "5"]
    script = [str(ROOT / "mnist-aae.py"), *flags, "--log-every", "5", "--ckpt-dir"]
    quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node"]
    chance, stops, slowest, runs = random.Random(0), {"killed": 0, "stopped": 0}, 0.0, 0
    whole = {}  # seconds of an undisturbed run, by the number of processes
    while sum(stops.values()) < count:
        runs += 1
        directory, newest = folder / f"{runs}", ""
        while True:
            processes = chance.choice([1, 2, 4])
            began = time.perf_counter()
            with subprocess.Popen([*torchrun, str(processes), *script, directory], **quiet) as job:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    job.wait(chance.uniform(0.3, 1) * whole.get(processes, 600))
                at, over = time.perf_counter(), job.poll() is not None
                ranks = children(job.pid)
                if not over and ranks and chance.random() < 0.8:
                    os.kill(chance.choice(ranks), signal.SIGKILL)
                    stops["killed"] += 1
                elif not over:
                    job.terminate()
                    stops["stopped"] += 1
                out, error = job.communicate()
            if not over:
                slowest = max(slowest, time.perf_counter() - at)
                assert not any(map(alive, ranks)), "a process lives on"
            told = re.findall(r"saved \S*/(step-\d+)", out)
            if directory.exists() and (there := RunDirectory(directory).newest()):
                assert there.folder.name >= max([newest, *told]), (there.folder, newest, told)
                assert there.damaged == {}
                newest = there.folder.name
                check_table(directory)
            if over:
                assert job.returncode == 0, error
                whole.setdefault(processes, time.perf_counter() - began)
                break
        assert newest == "step-00000128", newest
    yield (
        f"1, 2 and 4 processes in turn, SIGKILL of any of them or SIGTERM to torchrun "
        f"| {stops['killed']} killed, {stops['stopped']} stopped, of {runs} runs | all ended "
        f"within {slowest:.0f} s and went on with another number of processes, never behind the "
        "last checkpoint reported"
    )


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    found = Path(f"/proc/{pid}/task/{pid}/children")
    return list(map(int, found.read_text().split())) if found.exists() else []


def alive(pid: int) -> bool:
    """Whether there is a process of that number."""
    return Path(f"/proc/{pid}").exists()


def faults(folder: Path) -> Iterator[str]:
    """An error or a kill at every single disk call of one save."""
    for fault in ("error", "kill"):
        directory = folder / fault
        method, progress = small("aae"), Progress()
        with RunDirectory(directory) as run_dir:
            run_dir.start({"method": "aae", "model": method.config, "training": TRAINING}, [])
            for progress.step in (1, 2):
                progress.history.append({"a": torch.zeros(()), "b": torch.zeros(())})
                run_dir.save(method, progress)
            progress.finish_epoch(3, train={"mse": 0.5}, test={"mse": 0.5})
            pristine = folder / "pristine"
            shutil.rmtree(pristine, ignore_errors=True)
            shutil.copytree(directory, pristine)
            kept = 0
            for at in itertools.count(1):
                files.discard(directory / "checkpoints")
                (directory / "metrics.csv").unlink(missing_ok=True)
                shutil.copytree(pristine / "checkpoints", directory / "checkpoints")
                there = with_fault(
                    fault, at, partial(run_dir.save, method, progress), StorageFailed
                )
                newest = RunDirectory(directory).newest()
                assert newest.folder.name in ("step-00000002", "step-00000003")
                assert newest.damaged == {}
                check_table(directory)
                if newest.folder.name == "step-00000002":
                    kept += 1
                    run_dir.save(method, progress)  # what was left there is in nobody's way
                    assert RunDirectory(directory).newest().folder.name == "step-00000003"
                if not there:
                    break
        what = "an error from" if fault == "error" else "a SIGKILL at"
        yield (
            f"{what} each open, write, fsync, rename, unlink, mkdir, rmdir of a save | {at - 1} "
            f"calls | whole each time: the checkpoint before {kept} times, the new one "
            f"{at - 1 - kept} times"
        )


def small_run(directory: Path) -> tuple[Path, Path]:
    """A run with two small checkpoints: (the older, the newest)."""
    run(directory, "aae", noise(), lambda _: None, epochs=2)
    older, newest = RunDirectory(directory).folders()
    return older, newest


def flips(folder: Path) -> Iterator[str]:
    """Every byte of a checkpoint inverted in turn."""
    older, newest = small_run(folder / "run")
    count = 0
    for path in sorted(newest.iterdir()):
        content = bytearray(path.read_bytes())
        with open(path, "r+b", buffering=0) as file:
            for place in range(len(content)):
                os.pwrite(file.fileno(), bytes([content[place] ^ 0xFF]), place)
                found = RunDirectory(folder / "run").newest()
                assert (found.folder, list(found.damaged)) == (older, [newest]), (path, place)
                os.pwrite(file.fileno(), content[place : place + 1], place)
                count += 1
    assert RunDirectory(folder / "run").newest().folder == newest
    yield (
        f"each byte of a small checkpoint inverted | {count:,} bytes | all seen, none loaded, "
        "the checkpoint before it used"
    )


def truncations(folder: Path) -> Iterator[str]:
    """Every file of a checkpoint cut at every length."""
    older, newest = small_run(folder / "run")
    count = 0
    for path in sorted(newest.iterdir()):
        content = path.read_bytes()
        for length in reversed(range(len(content))):
            os.truncate(path, length)
            found = RunDirectory(folder / "run").newest()
            assert (found.folder, list(found.damaged)) == (older, [newest]), (path, length)
            count += 1
        path.write_bytes(content)
    assert RunDirectory(folder / "run").newest().folder == newest
    yield f"each file of a small checkpoint cut at each length | {count:,} lengths | the same"


def hostile(folder: Path, count: int) -> Iterator[str]:
    """Generated headers, configurations and shapes, sealed as if they were true."""
    method = small("aae")
    config = {"method": "aae", "model": method.config, "training": TRAINING}
    true = contents(config, method, Progress())
    step = folder / "run" / "checkpoints" / "step-00000000"
    step.parent.mkdir(parents=True)
    numbers = st.integers() | st.integers(0, 2**70) | st.floats()
    values = st.recursive(
        st.none() | st.booleans() | numbers | st.text(max_size=9),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
        max_leaves=8,
    )
    shapes = st.lists(st.integers(0, 2**62), max_size=4)
    headers = st.dictionaries(
        st.sampled_from([*method.state_dict(), "history", "generator", "x"]),
        st.fixed_dictionaries(
            {
                "dtype": st.sampled_from(["F32", "F64", "I64", "U8", "BOOL", "F99"]),
                "shape": shapes,
                "data_offsets": st.tuples(st.integers(0, 2**63), st.integers(0, 2**63)),
            }
        ),
        max_size=5,
    )
    seen = {"refused": 0, "accepted": 0}
    slowest = 0.0

    @settings(
        max_examples=count, deadline=None, database=None, derandomize=True,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(data=st.data())
    def attack(data) -> None:
        nonlocal slowest
        name = data.draw(st.sampled_from(CONTENTS))
        if name.endswith(".json"):
            whole = json.loads(true[name])
            part = data.draw(st.sampled_from([None, "model", "training"]))
            inner = whole.get(part, whole)
            inner[data.draw(st.sampled_from(sorted(inner)) | st.text(max_size=9))] = data.draw(
                values
            )
            content = files.json_bytes(whole)
        else:
            header = json.dumps(data.draw(headers)).encode()
            length = data.draw(st.just(len(header)) | st.integers(0, 2**64 - 1))
            content = length.to_bytes(8, "little") + header + data.draw(st.binary(max_size=64))
        files.discard(step)
        files.write_folder(step, true | {name: content})
        began = time.perf_counter()
        try:
            checkpoint = RunDirectory(folder / "run").newest()
            checkpoint.restore(checkpoint.build())
            seen["accepted"] += 1
        except UserError:
            seen["refused"] += 1
        slowest = max(slowest, time.perf_counter() - began)

    with open("/proc/self/statm") as file:
        have = int(file.read().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (have + MEMORY, before[1]))
    try:
        attack()
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
    yield (
        f"generated headers, configurations and shapes, sealed as if true | {sum(seen.values()):,} "
        f"| {seen['refused']:,} refused in one line, {seen['accepted']:,} harmless and loaded; at "
        f"most {1000 * slowest:.0f} ms and under {MEMORY >> 30} GiB each"
    )


@contextlib.contextmanager
def mounted(folder: Path, *flags: str) -> Iterator[bool]:
    """A file system mounted on a folder, if that is allowed here."""
    folder.mkdir(exist_ok=True)
    ok = not subprocess.run(["mount", *flags, str(folder)], capture_output=True).returncode
    try:
        yield ok
    finally:
        if ok:
            subprocess.run(["umount", str(folder)], check=True)


def disks(folder: Path) -> Iterator[str]:
    """Disks with less and less room, and one that became read-only."""
    with mounted(folder / "tmpfs", "-t", "tmpfs", "-o", "size=4m", "tmpfs") as ok:
        if not ok:
            yield "a full disk | 0 | not tried: mounting is not allowed here"
        else:
            directory = folder / "tmpfs" / "run"
            run(directory, "aae", noise(), lambda _: None, epochs=1)
            times, ballast = 0, folder / "tmpfs" / "ballast"
            for pages in range(1024):
                room = os.statvfs(folder / "tmpfs").f_bavail * 4096
                ballast.write_bytes(bytes(max(room - 4096 * pages, 0)))
                full = refused(directory, "No space left")
                ballast.unlink()
                times += full
                if not full:
                    break
            run(directory, "aae", noise(), lambda _: None, epochs=2)
            yield (
                f"a tmpfs with 0, 1, 2, … free pages | {times} times full, then enough | exit "
                "code 4 in one line, the checkpoint before untouched; with room it goes on"
            )
    run(folder / "readonly", "aae", noise(), lambda _: None, epochs=1)
    with mounted(folder / "readonly", "--bind", str(folder / "readonly")) as ok:
        if not ok:
            yield "a read-only directory | 0 | not tried: mounting is not allowed here"
            return
        subprocess.run(["mount", "-o", "remount,bind,ro", folder / "readonly"], check=True)
        assert refused(folder / "readonly", "Read-only file system"), "it was written to"
        yield "a read-only directory | 1 | exit code 4 in one line, nothing changed"


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def pickles(folder: Path) -> Iterator[str]:
    """A pickle that would create a file, under every name that is read."""
    count = 0
    for sealed in (False, True):
        for name in (
            *CONTENTS,
            files.MANIFEST,
            "../../config.json",
            "../../metrics.csv",
            "../../.lock",
        ):
            directory = folder / f"run-{count}"
            _, newest = small_run(directory)
            trap = pickle.dumps(Trap(folder / "sprung"))
            if sealed and name in CONTENTS:
                whole = files.read_folder(newest, CONTENTS)
                files.discard(newest)
                files.write_folder(newest, whole | {name: trap})
            else:
                (newest / name).write_bytes(trap)
            with contextlib.suppress(UserError):
                run(directory, "aae", noise(), lambda _: None)
            assert not (folder / "sprung").exists()
            count += 1

    def refuse(*_, **__):
        raise AssertionError("unpickled")

    with (
        mock.patch.object(pickle, "Unpickler", refuse),
        mock.patch.object(pickle, "load", refuse),
        mock.patch.object(pickle, "loads", refuse),
        mock.patch.object(torch, "load", refuse),
    ):
        checkpoint = RunDirectory(folder / "run-0").newest()
        checkpoint.restore(checkpoint.build())
    yield f"a pickle in each file's place, sealed or not | {count} | never unpickled"
    yield "loading with pickle.Unpickler and torch.load patched to raise | 1 | loads"


def stops(folder: Path) -> Iterator[str]:
    """Default networks stopped at 25 random steps of three epochs."""
    dataset, steps = load_dataset("mnist-5k"), 3 * 16
    options = {"epochs": 3, "batch_size": 250, "seed": 0, "log_every": 100}
    precision = {"precision": choose_precision("auto", torch.device("cpu"))}

    def build(name: str) -> Method:
        return METHODS[name](MNIST, **precision)

    def go(directory: Path, name: str, stop: int | None) -> None:
        with RunDirectory(directory) as run_dir:
            if directory.exists():
                run_dir.lock()
            there = run_dir.newest()
            method = there.build() if there else build(name)
            progress = there.restore(method) if there else Progress()
            run_dir.start(
                {"method": name, "model": method.config, "training": TRAINING}, progress.rows
            )
            step = method.step

            def counted(*arguments):
                if progress.steps + 1 == stop:
                    os.kill(os.getpid(), signal.SIGTERM)
                return step(*arguments)

            method.step = counted
            report = Report(method.headline, quiet=True)
            train(method, dataset, run_dir, progress, report=report, **options)

    for name in METHODS:
        go(folder / name, name, None)
        where = sorted(random.Random(1).sample(range(1, steps), 25))
        for stop in where:
            directory = folder / f"{name}-{stop}"
            try:
                go(directory, name, stop)
            except Interrupted:
                go(directory, name, None)
            else:
                raise AssertionError("it did not stop")
            assert result(directory) == result(folder / name)
            shutil.rmtree(directory)
        yield (
            f"{name.upper()} with default networks on mnist-5k, 3 epochs, SIGTERM at steps "
            f"{', '.join(map(str, where))} | {len(where)} | weights, optimisers, random numbers "
            "and metrics.csv bit-identical to the undisturbed run's"
        )


def cost(folder: Path) -> Iterator[str]:
    """What saving takes of a default epoch."""
    if not os.environ.get("MNIST_DATA_DIR"):
        yield "saving, of an epoch's time | 0 | not measured: $MNIST_DATA_DIR is not set"
        return
    dataset, epochs = load_dataset("mnist"), 6
    precision = choose_precision("auto", torch.device("cpu"))
    method = METHODS["aae"](MNIST, precision=precision)
    saves, ends = [], []
    with RunDirectory(folder / "run") as run_dir:
        run_dir.start({"method": "aae", "model": method.config, "training": TRAINING}, [])
        save = run_dir.save

        def timed(*arguments):
            began = time.perf_counter()
            path = save(*arguments)
            saves.append(time.perf_counter() - began)
            ends.append(time.perf_counter())
            return path

        run_dir.save = timed
        report = Report(method.headline, quiet=True)
        options = {"epochs": epochs, "batch_size": method.batch_size, "seed": 0}
        train(method, dataset, run_dir, Progress(), report=report, log_every=100, **options)
    epoch = [b - a for a, b in itertools.pairwise(ends)]
    share = [s / e for s, e in zip(saves[1:], epoch, strict=True)]
    size = sum(path.stat().st_size for path in RunDirectory(folder / "run").folders()[-1].iterdir())
    yield (
        f"saving {size / 1e6:.0f} MB, of a default epoch on the full MNIST ({precision}) "
        f"| {len(share)} epochs after the first | {1000 * statistics.median(saves[1:]):.0f} ms of "
        f"{statistics.median(epoch):.2f} s: {100 * statistics.median(share):.1f} % "
        f"({100 * min(share):.1f} to {100 * max(share):.1f} %)"
    )


def order(folder: Path) -> Iterator[str]:
    """The system calls of one save, as the kernel saw them."""
    if not shutil.which("strace"):
        yield "order of system calls | 0 | not traced: there is no strace here"
        return
    code = (
        "import os, sys; sys.path[:0] = sys.argv[2:]\n"
        "from crash import *\n"
        "method, progress = small('aae'), Progress()\n"
        "run_dir = RunDirectory(sys.argv[1])\n"
        "run_dir.start({'method': 'aae', 'model': method.config, 'training': TRAINING}, [])\n"
        "os.access('/save-begins', 0)\n"
        "run_dir.save(method, progress)\n"
        "os.access('/save-ends', 0)\n"
    )
    calls = (
        "access,faccessat,faccessat2,openat,write,pwrite64,fsync,fdatasync,rename,renameat,mkdir"
    )
    log = folder / "strace.log"
    python = [sys.executable, "-c", code, str(folder / "run"), str(ROOT / "benchmarks")]
    command = ["strace", "-f", "-y", "-o", str(log), "-e", f"trace={calls}", *python]
    subprocess.run(command, check=True, capture_output=True)
    trace = log.read_text()
    traced = trace[trace.index("/save-begins") : trace.index("/save-ends")]
    seen = []
    for line in traced.splitlines()[1:]:
        call = re.match(r"\d+ +(\w+)\(", line)
        if not call or call[1] == "access" or "O_RDONLY" in line or "= -1" in line:
            continue
        paths = [Path(p).name for p in re.findall(r'[<"]([^">]*/[^">]*)[">]', line)]
        seen.append(" ".join([call[1], *dict.fromkeys(paths)]))
    wanted = ["mkdir .partial"]
    for name in (*CONTENTS, files.MANIFEST):
        wanted += [f"openat {name}", f"write {name}", f"fsync {name}"]
    wanted += ["fsync .partial", "rename .partial step-00000000", "fsync checkpoints"]
    tidied = [re.sub(r"^(openat) .* (\S+)$", r"\1 \2", line) for line in seen]
    tidied = [line for line, _ in itertools.groupby(tidied)]  # one file may take several writes
    assert tidied == wanted, tidied
    yield ("order of system calls of one save, by strace | 1 | as documented: " + ", ".join(tidied))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=1000, help="(default: 1000)")
    parser.add_argument("--script-kills", type=int, default=20, help="(default: 20)")
    parser.add_argument("--process-kills", type=int, default=100, help="(default: 100)")
    parser.add_argument("--inputs", type=int, default=10_000, help="hostile ones (default: 10000)")
    trials: dict[str, Callable] = {
        "order": order,
        "cost": cost,
        "stops": stops,
        "kills": lambda folder: kills(folder, arguments.kills),
        "script": lambda folder: script_kills(folder, arguments.script_kills),
        "processes": lambda folder: process_kills(folder, arguments.process_kills),
        "faults": faults,
        "flips": flips,
        "truncations": truncations,
        "hostile": lambda folder: hostile(folder, arguments.inputs),
        "disks": disks,
        "pickles": pickles,
    }
    parser.add_argument("--only", nargs="+", choices=trials, default=list(trials))
    arguments = parser.parse_args()
    if len(arguments.only) > 1:
        print(machine(), flush=True)
        print("\n| what | how often | what came of it |\n|---|---|---|", flush=True)
        numbers = ("kills", "script_kills", "process_kills", "inputs")
        flags = [f"--{n.replace('_', '-')}={getattr(arguments, n)}" for n in numbers]
        for name in arguments.only:  # each in a process of its own, as forks and limits ask for
            subprocess.run([sys.executable, __file__, *flags, "--only", name], check=True)
        return
    with tempfile.TemporaryDirectory() as folder:
        for line in trials[arguments.only[0]](Path(folder)):
            print(f"| {line} |", flush=True)


if __name__ == "__main__":
    main()
