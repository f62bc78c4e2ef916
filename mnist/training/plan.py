"""From settings to a trained run: data, device, the run directory, and off."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, NamedTuple

import torch

from mnist import files
from mnist.data import (
    Dataset,
    Unavailable,
    known_name,
    load_dataset,
    load_same_dataset,
    more_data_than,
    title_of,
)
from mnist.errors import Diverged, Interrupted, UserError
from mnist.methods import METHODS, Classifies, Method
from mnist.networks import shares
from mnist.networks.random import child_seed
from mnist.options import configuration, flag_of, options_of
from mnist.reading import Reading
from mnist.training import processes
from mnist.training.checkpoint import Checkpoint, Progress, contents
from mnist.training.environment import (
    be_deterministic,
    choose_device,
    choose_precision,
    machine,
    versions,
)
from mnist.training.log import Report
from mnist.training.loop import steps_per_epoch, train, waited
from mnist.training.run_directory import CURVES, Elsewhere, RunDirectory
from mnist.training.samples import draw_curves
from mnist.training.settings import Settings
from mnist.training.tensorboard import TensorBoard, summary_writer
from mnist.version import __version__

METHODS_PACKAGE = Method.__module__.rpartition(".")[0]
# Training images of mnist and mnist-5k, for which a method has its epochs; and so many steps an
# epoch shall have of few images, as long as its batches are of so many.
LARGE, SMALL = 60_000, 4_000
FEWEST_STEPS, SMALLEST_BATCH = 10, 32
HELD_OUT = 12  # a share of 1/12 of the training images, where early stopping needs some


class Plan(NamedTuple):
    """What is to be trained: made by `resumed` or `fresh`, carried out by `train_run`."""

    method: Method
    dataset: Dataset
    config: dict[str, Any]
    progress: Progress
    note: str
    parent: Checkpoint | None = None  # the run whose networks it starts from


def train_run(
    settings: Settings, report: Report, tell: Callable[[dict[str, float]], None] = lambda row: None
) -> None:
    """Train, from scratch or from where the run in the directory stands.

    Args:
        settings: what and how.
        report: who is told.
        tell: called after each epoch with its row of metrics.csv.

    Raises:
        UserError: any user error.
    """
    refuse_unknown(settings)
    if settings.tensorboard:
        summary_writer()
    device = choose_device(settings.device or "auto")
    with processes.joined(device):
        if shares.rank() > 0:
            follow(settings, device)
            return
        with RunDirectory(settings.ckpt_dir, settings.keep) as run_dir:
            with processes.first_word() as say:
                plan = planned(run_dir, settings, device, report)
                if plan and shares.count() > 1:
                    said = contents(plan.config, plan.method, plan.progress)
                    say({name: b"".join(files.pieces(each)) for name, each in said.items()})
            if plan is None:
                return
            report.headline = plan.method.headline
            report.file = run_dir.path / "train.log"
            report.line(header(plan))
            told, board = [tell], run_dir.path / "tensorboard"
            if settings.tensorboard:
                told.append(TensorBoard(board, plan.progress.rows, report.warn).tell)
            dataset = processes.once_a_machine(lambda: plan.dataset)
            carry_out(plan._replace(dataset=dataset), device, run_dir, settings, report, told)
            leave_curves(run_dir, plan.config, plan.progress.rows)
    report.line(f"Done: {run_dir.path} is trained to epoch {plan.progress.epoch}.")


def follow(settings: Settings, device: torch.device) -> None:
    """Train what the first process says, beside it.

    Raises:
        UserError: what this process alone cannot do.
        SystemExit: with the first process's exit code, which says why.
    """
    content = processes.hear()
    if isinstance(content, int):
        raise SystemExit(content)
    checkpoint = Checkpoint.of(settings.ckpt_dir, content, {})
    config = checkpoint.config
    if config["training"].get("deterministic"):
        be_deterministic()
    method = checkpoint.build().to(device)
    progress = checkpoint.restore(method)

    def read() -> Dataset:
        dataset = load_same_dataset(config["training"], settings.data_dir)
        return as_seen(dataset, config["training"], method)

    plan = Plan(method, processes.once_a_machine(read), config, progress, "")
    report = Report(quiet=True, warn=lambda line: None)
    try:
        carry_out(plan, device, Elsewhere(settings.ckpt_dir), settings, report, [])
    except (Diverged, Interrupted) as error:  # as every process
        raise SystemExit(error.exit_code) from error


def planned(
    run_dir: RunDirectory, settings: Settings, device: torch.device, report: Report
) -> Plan | None:
    """What is to be done, with the directory made ready for it; None where nothing is left to do.

    Raises:
        UserError: any user error.
    """
    run_dir.refuse_other_contents()
    if run_dir.path.exists():
        run_dir.lock()  # or stop here: no two runs write to a directory
    there = run_dir.newest()
    if there and there.damaged:
        report.warn(f"damaged, and set aside: {there.damage}; going on from {there.folder}")
        run_dir.set_aside(there.damaged)
    if there and (line := more_data_than(there.config["training"], settings.data_dir)):
        report.warn(f"{run_dir.path}: {line}")
    if there and there.config["method"] == settings.method:
        # As it is rebuilt: what came with a later version is at its default.
        config = there.config | {"model": there.build().config}
        refuse_contradictions(run_dir, config, settings)
        if flag := has_ended(there, settings.epochs, settings.patience):
            run_dir.start(there.config, there.progress["rows"])
            if not (run_dir.path / CURVES).exists():  # the disk was full, or an older version
                leave_curves(run_dir, there.config, there.progress["rows"])
            report.notice(
                f"{run_dir.path} (on {there.config['training']['dataset']}) is already "
                f"trained to epoch {there.epoch}; give a larger {flag} to go on"
            )
            return None
        plan = resumed(run_dir, there, settings, device, report)
    else:
        plan = fresh(run_dir, there, settings, device, report)
    refuse_unknown_writers(plan)
    if settings.cuda_graph:
        refuse_uncapturable(plan.method)
    if there and plan.parent:
        run_dir.archive(there.config["method"])
    run_dir.start(plan.config, plan.progress.rows)
    if plan.parent:
        run_dir.save(plan.method, plan.progress)  # from here on the directory is the new run's
    return plan


def carry_out(
    plan: Plan,
    device: torch.device,
    run_dir: RunDirectory,
    settings: Settings,
    report: Report,
    told: Sequence[Callable[[dict[str, float]], None]],
) -> None:
    """Train as planned; who is told gets each row of metrics.csv.

    Raises:
        UserError: as `train`.
    """
    training = plan.config["training"]

    def tell(row: dict[str, float]) -> None:
        for each in told:
            each(row)

    train(
        plan.method,
        plan.dataset.to(device),
        run_dir,
        plan.progress,
        epochs=training["epochs"],
        batch_size=training["batch_size"],
        seed=plan.config["model"]["seed"],
        log_every=settings.log_every,
        save_every=settings.save_every,
        patience=training.get("patience"),
        keep_best=training.get("keep_best", False),
        capture=settings.cuda_graph,
        report=report,
        tell=tell,
    )


def leave_curves(run_dir: RunDirectory, config: Mapping[str, Any], rows: list[Any]) -> None:
    """Write the picture of a run's numbers into its directory.

    Raises:
        StorageFailed: the disk refuses it; the run is whole.
    """
    method, data = METHODS[config["method"]], title_of(config["training"]["dataset"])
    if png := draw_curves(rows, f"{method.__name__} of {data}, {run_dir.path}"):
        run_dir.write_picture(CURVES, png)


def refuse_unknown(settings: Settings) -> None:
    """Stop where there is no such method, or it cannot be trained so.

    Raises:
        UserError: which.
    """
    if settings.method not in METHODS:
        raise UserError(f"no method named {settings.method!r}: choose from {', '.join(METHODS)}")
    if METHODS[settings.method].headline is None and (flag := goes_by_headline(settings)):
        raise UserError(
            f"{flag} goes by a method's headline, and {settings.method} has none: leave it out"
        )


def goes_by_headline(settings: Settings) -> str | None:
    """The flag that was given which goes by the headline on images held out, if one was."""
    return "--patience" if settings.patience else "--keep-best" if settings.keep_best else None


def resumed(
    run_dir: RunDirectory,
    checkpoint: Checkpoint,
    settings: Settings,
    device: torch.device,
    report: Report,
) -> Plan:
    """The run in a directory, from where it stands."""
    config = copy.deepcopy(checkpoint.config)
    training = config["training"]
    for name in ("epochs", "deterministic", "patience", "keep_best"):  # what may change
        if getattr(settings, name) is not None:
            training[name] = getattr(settings, name)
    dataset = load_same_dataset(training, settings.data_dir)
    if training.get("deterministic"):
        be_deterministic()
    method = checkpoint.build().to(device)
    progress = checkpoint.restore(method)
    config["machine"] = machine(device)
    if config["machine"] != checkpoint.config.get("machine"):
        report.warn(
            f"{run_dir.path} was trained so far on {checkpoint.config.get('machine')}, and "
            f"this is {config['machine']}: its numbers will differ in their last digits from "
            "those of a run that was not moved"
        )
    where = f"epoch {progress.epoch + 1}, batch {progress.step + 1}"
    note = f"continuing {run_dir.path} from {where}"
    return Plan(method, as_seen(dataset, training, method), config, progress, note)


def fresh(
    run_dir: RunDirectory,
    there: Checkpoint | None,
    settings: Settings,
    device: torch.device,
    report: Report,
) -> Plan:
    """A new run, or one that starts from the networks of a run by another method.

    Raises:
        UserError: an option has no such value, or another user error.
    """
    kind = METHODS[settings.method]
    options = dict(settings.options)
    precision = options.get("precision") or "auto"
    options["precision"] = choose_precision(precision, device)
    parent = find_parent(run_dir, there, settings.method)
    source = None
    if parent is None:
        dataset = find_dataset(settings, report)
        note = f"a new run in {run_dir.path}"
        if folder := options.get("from_"):
            source = read_source(folder, kind)
            theirs = source.config
            shared = {name: theirs[name] for name in kind.taken_over}
            asked = replace(settings, patience=None, keep_best=None)
            refuse_contradictions(RunDirectory(folder), {"model": shared, "training": {}}, asked)
            options |= shared
            note += f", from the layers of {folder}"
    else:
        theirs = parent.config
        model = parent.build().config
        refuse_lost(run_dir, theirs["method"], model, kind)
        shared = {key: model[key] for key in inherited(theirs["method"], kind)}
        training = {"dataset": theirs["training"]["dataset"]}
        refuse_contradictions(run_dir, {"model": shared, "training": training}, settings)
        options |= shared
        dataset = load_same_dataset(theirs["training"], settings.data_dir)
        note = (
            f"a new run in {run_dir.path}, from the autoencoder that "
            f"{script_of(theirs['method'])} trained to epoch {parent.epoch}, now in "
            f"{run_dir.path / theirs['method']}; the rest starts fresh"
        )
    if settings.deterministic:
        be_deterministic()
    options = kind.defaults_for(dataset, options) | options
    try:
        config = configuration(kind, options)
    except (TypeError, ValueError) as error:
        raise UserError(str(error)) from error
    refuse_unused(kind, settings.options, config)
    method = kind(dataset.spec, **options).to(device)
    if source:
        try:
            method.start_from(source)
        except UserError as error:
            raise UserError(f"--from {options['from_']}: {error}") from error
    if parent:
        parent.load_weights(method, strict=False)
    config = describe(method, dataset, settings)
    dataset = as_seen(dataset, config["training"], method)
    # Or complain before anything is written.
    steps_per_epoch(dataset, config["training"]["batch_size"])
    return Plan(method, dataset, config, Progress(), note, parent)


def refuse_lost(
    run_dir: RunDirectory, parent: str, model: Mapping[str, Any], kind: type[Method]
) -> None:
    """Raise a UserError where a run has what a method that is to go on from it knows nothing of."""
    for name, option in options_of(METHODS[parent]).items():
        if name not in options_of(kind) and model[name] != option.default:
            raise UserError(
                f"{run_dir.path} was trained with {flag_of(name)} {model[name]}, from which "
                f"{script_of(kind.name)} cannot go on: name another --ckpt-dir"
            )


def read_source(folder: str, kind: type[Method]) -> Method:
    """The method, with its weights, whose layers a new run starts from.

    Raises:
        UserError: there is none in that directory, or one of another kind.
    """
    checkpoint = RunDirectory(folder).require_newest()
    name = checkpoint.config["method"]
    if name != kind.name:
        raise UserError(
            f"--from {folder} was trained by {script_of(name)}: name a run of "
            f"{script_of(kind.name)}"
        )
    method = checkpoint.build()
    checkpoint.load_weights(method)
    return method


def refuse_unused(kind: type[Method], given: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """Raise a UserError where an option was given that says nothing without another."""
    for name, others in kind.only_with.items():
        if not given.get(name):  # what is turned off says nothing, and does no harm either
            continue
        for other, value in others.items():
            on_or_off = isinstance(value, bool)
            if (bool(config[other]) if on_or_off else config[other]) != value:
                if value is True and options_of(kind)[other].default is True:
                    off = flag_of(f"no_{other}")
                    raise UserError(
                        f"{flag_of(name)} says nothing with {off}: leave one of them out"
                    )
                needed = flag_of(f"no_{other}" if value is False else other)
                needed += "" if on_or_off else f" {value}"
                raise UserError(
                    f"{flag_of(name)} says something only with {needed}: give both, or neither"
                )


def inherited(parent: str, kind: type[Method]) -> list[str]:
    """What a run that starts from another's networks has in common with it."""
    own = options_of(Method)
    return [name for name in options_of(METHODS[parent]) if name in options_of(kind) - own.keys()]


def refuse_unknown_writers(plan: Plan) -> None:
    """Raise a UserError where a method is to learn who wrote the images, and that is not known."""
    if plan.method.needs_writers and plan.dataset.train.writers is None:
        raise UserError(
            f"who wrote the images of {plan.dataset.name} in {plan.dataset.source} is not known, "
            "which this training needs: for MNIST put QMNIST's labels there (docs/handwriting.md)"
        )


def refuse_uncapturable(method: Method) -> None:
    """Raise a UserError where the steps of a method cannot be captured, or not where it is."""
    if method.device.type != "cuda":
        raise UserError(f"--cuda-graph needs a GPU, and this is trained on {method.device.type}")
    if shares.count() > 1:
        raise UserError("--cuda-graph is for one process: leave it out, or torchrun")
    if not method.capturable:
        raise UserError(
            f"--cuda-graph: a step of {method.title} with these options depends on the host, and "
            "cannot be captured: leave it out"
        )


def hold_out(dataset: Dataset, training: dict[str, Any]) -> Dataset:
    """A data set with the training images held out that a run's configuration says."""
    if training.get("hold_out"):
        return dataset.hold_out(training["hold_out"])
    # Up to version 0.5.0 the rule was in no configuration.
    return dataset.hold_out_every_twelfth() if training.get("patience") else dataset


def as_seen(dataset: Dataset, training: dict[str, Any], method: Method) -> Dataset:
    """A data set as a method is to see it: without images held out, and labels it may not know.

    Raises:
        UserError: it may know too few of them, or more than there are.
    """
    dataset = hold_out(dataset, training)
    if method.needs_labels and not len(dataset.train.labelled):
        raise UserError(f"{dataset.name} has no labelled training images to learn classes from")
    if method.label_count is None:
        return dataset
    by = next((name for name in ("patience", "keep_best") if training.get(name)), None)
    if by and isinstance(method, Classifies):
        raise UserError(
            f"{flag_of(by)} goes by the labels of images held out, which this training is not to "
            "know: leave it out"
        )
    seed = child_seed(method.seed, "labelled")
    return replace(dataset, train=dataset.train.with_few_labels(method.label_count, seed))


def has_ended(
    there: Checkpoint, epochs: int | None = None, patience: int | None = None
) -> str | None:
    """The flag to be given in order to train a run any further, or None if it has not ended."""
    training = there.config["training"]
    if there.epoch >= (epochs or training["epochs"]):
        return "--epochs"
    method, rows = METHODS[there.config["method"]], there.progress["rows"]
    patience = patience or training.get("patience")
    if patience and waited(rows, method) >= patience:
        return "--patience"
    return None


def refuse_contradictions(
    run_dir: RunDirectory, config: dict[str, Any], settings: Settings
) -> None:
    """Stop where a setting says something else than the run in the directory.

    Raises:
        UserError: naming the flag and both values.
    """
    saved = config["model"] | config["training"]
    instead = "leave {} out, or name another --ckpt-dir"
    held_out = saved.get("patience") or saved.get("hold_out")
    if (flag := goes_by_headline(settings)) and not held_out:
        raise UserError(
            f"{run_dir.path} was trained without {flag}, so no images were held out for "
            f"it: {instead.format('it')}"
        )
    given = {k: v for k, v in settings.options.items() if not (k == "precision" and v == "auto")}
    for name in ("batch_size", "hold_out"):
        if getattr(settings, name) is not None:
            given[name] = getattr(settings, name)
    if settings.dataset is not None:
        given["dataset"] = known_name(settings.dataset)
    saved |= dict.fromkeys(asdict(Reading())) | config["training"].get("reading", {})
    given |= Reading.of(settings).as_config()
    for key, value in given.items():
        value = list(value) if isinstance(value, tuple) else value
        if key not in saved or value == saved[key]:
            continue
        flag = flag_of(key)
        if value is False:
            was, flag = f"with {key}", flag_of(f"no_{key}")
            raise UserError(
                f"{run_dir.path} was trained {was}, and {flag} was given: {instead.format('it')}"
            )
        missing = saved[key] is None or saved[key] is False
        how = f"without {flag}" if missing else f"with {flag} {saved[key]}"
        not_this = "" if value is True else f", not {value}"
        raise UserError(f"{run_dir.path} was trained {how}{not_this}: {instead.format('the flag')}")


def find_parent(
    run_dir: RunDirectory, there: Checkpoint | None, method_name: str
) -> Checkpoint | None:
    """What a new run in this directory is to take networks from, if anything.

    Raises:
        UserError: the directory holds a run that this method cannot start from.
    """
    starts_from = METHODS[method_name].starts_from
    if there:
        name = there.config["method"]
        if name not in starts_from:
            theirs, ours = script_of(name), script_of(method_name)
            whose = (
                f"was trained by {theirs}"
                if theirs != ours
                else f"holds another kind of run ({name})"
            )
            raise UserError(f"{run_dir.path} {whose}: name another --ckpt-dir for {ours}")
        return there
    # Moved out of the way by a start that did not live to its first checkpoint.
    moved = (RunDirectory(run_dir.path / name).newest() for name in starts_from)
    return next((parent for parent in moved if parent), None)


def script_of(method: str) -> str:
    """What a method is called in a message: by its script, if it is one of this package's own."""
    ours = METHODS[method].__module__ == f"{METHODS_PACKAGE}.{method}"
    return f"mnist-{METHODS[method].script or method}.py" if ours else f"the method {method}"


def find_dataset(settings: Settings, report: Report) -> Dataset:
    """The data set asked for; or else the full MNIST, or with a warning the bundled part."""
    reading = Reading.of(settings)
    if settings.dataset is not None:
        return load_dataset(settings.dataset, settings.data_dir, reading, report.aside)
    try:
        return load_dataset("mnist", settings.data_dir, reading)
    except Unavailable as reason:
        report.warn(f"training on the 5,000 bundled images instead of all 70,000: {reason}")
        return load_dataset("mnist-5k", reading=reading)


def describe(method: Method, dataset: Dataset, settings: Settings) -> dict[str, Any]:
    """What goes into config.json."""
    images, hold_out = len(dataset.train), settings.hold_out
    if goes_by_headline(settings) and hold_out is None:
        hold_out = images // HELD_OUT
    return {
        "method": method.name,
        "data": dataset.spec.as_config(),
        "model": method.config,
        "training": {
            "dataset": dataset.name,
            "dataset_sha256": dataset.sha256,
            **({"reading": reading} if (reading := Reading.of(settings).as_config()) else {}),
            "batch_size": settings.batch_size or usual_batch_size(method, images),
            "epochs": settings.epochs or usual_epochs(method, method.config, images),
            "hold_out": hold_out,
            "patience": settings.patience,
            "keep_best": bool(settings.keep_best),
            "deterministic": bool(settings.deterministic),
        },
        "machine": machine(method.device),
        "versions": versions("torch", "numpy", "safetensors"),
    }


def usual_epochs(method: Method | type[Method], options: Mapping[str, Any], images: int) -> int:
    """How many epochs a training by these options on so many images has by default.

    As the method has them for the sizes of mnist and mnist-5k, and for others by a power of the
    size through both: the fewer images, the more epochs, if not as many more.
    """
    large, small = method.preset(options, images).epochs
    place = math.log(LARGE / images) / math.log(LARGE / SMALL)
    return max(1, round(large * (small / large) ** min(place, 2)))


def usual_batch_size(method: Method, images: int) -> int:
    """How many images a step has by default: as the method has it, or fewer where there are few."""
    usual = method.preset(method.config, images).batch_size or method.batch_size
    return min(usual, max(SMALLEST_BATCH, images // FEWEST_STEPS), images)


def header(plan: Plan) -> str:
    """What is about to be trained, in a few lines."""
    method, dataset = plan.method, plan.dataset
    model, training = plan.config["model"], plan.config["training"]
    held_out = f", {len(dataset.held_out):,} held out" if dataset.held_out else ""
    averages = set(method.averages.parameters())
    weights = sum(p.numel() for p in method.parameters() if p not in averages)
    threads = f", {torch.get_num_threads()} threads" if method.device.type == "cpu" else ""
    if shares.count() > 1:
        threads += f", {shares.count()} processes"
    return (
        f"mnist-style {__version__}: {method.title}, {method.summary()}; "
        f"{weights:,} weights\n"
        f"data: {title_of(dataset.name)} from {dataset.source}, "
        f"{len(dataset.train):,} training and {len(dataset.test):,} test images{held_out}\n"
        f"epochs: {training['epochs']}, batch size {training['batch_size']}, "
        f"learning rate {model['lr']}, seed {model['seed']}; "
        f"{method.device.type}{threads}, {model['precision']}\n"
        f"{plan.note}"
    )
