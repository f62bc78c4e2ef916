"""From a command line to a trained run: data, device, the run directory, and off."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import torch

from mnist import data
from mnist.commands.cli import DEFAULTS, run_directory, warn
from mnist.errors import Problem
from mnist.methods import METHODS, Method
from mnist.training.checkpoint import Checkpoint, Progress
from mnist.training.environment import (
    be_deterministic,
    choose_device,
    choose_precision,
    machine,
    versions,
)
from mnist.training.log import Report
from mnist.training.loop import steps_per_epoch, train, waited
from mnist.training.session import Session
from mnist.version import __version__

# What a run is from its first step to its last, besides its method's own flags.
FIXED = ("dataset", "batch_size")
# What a run that starts from another's autoencoder has in common with it, and its data set.
INHERITED = ("feature_size", "labels", "prior_std", "hidden")
CHANGEABLE = ("epochs", "deterministic", "patience")  # when a run is continued
AUTOMATIC = ("dataset", "device", "precision")  # whose "auto" is as if they were not given


class Plan(NamedTuple):
    """What is to be trained: made by `continued` or `fresh`, carried out by `train_run`."""

    method: Method
    dataset: data.Dataset
    config: dict[str, Any]
    progress: Progress
    note: str
    parent: Checkpoint | None = None  # the run whose autoencoder it starts from


def train_run(method_name: str, given: dict[str, Any], defaults: dict[str, Any] = DEFAULTS) -> None:
    """Train a method as the command line says, from scratch or from where the run stands.

    Args:
        method_name: a key of `METHODS`.
        given: the flags that were given, by name, without those that were not.
        defaults: of those.

    Raises:
        Problem: anything that its user can mend.
    """
    given = {k: v for k, v in given.items() if not (k in AUTOMATIC and v == "auto")}
    wanted = defaults | given
    device = choose_device(wanted["device"])
    with Session(run_directory(given, defaults), wanted["keep"]) as session:
        if session.directory.exists():
            session.lock()  # or stop here: no two runs write to a directory
        there = session.newest()
        if there and there.damaged:
            warn(f"damaged, and set aside: {there.damage}; going on from {there.folder}")
            session.set_aside(there.damaged)
        if there and there.config["method"] == method_name:
            # As it is rebuilt: what came with a later version is at its default.
            config = there.config | {"model": there.build().config}
            refuse_contradictions(session, config, given)
            if flag := has_ended(there, given):
                session.start(there.config, there.progress["rows"])
                say = warn if wanted["quiet"] else print
                say(
                    f"{session.directory} (on {there.config['training']['dataset']}) is already "
                    f"trained to epoch {there.epoch}; give a larger {flag} to go on"
                )
                return
            plan = continued(session, there, given, device)
        else:
            plan = fresh(method_name, session, there, wanted, given, device)
        if there and plan.parent:
            session.archive(there.config["method"])
        session.start(plan.config, plan.progress.rows)
        if plan.parent:
            session.save(plan.method, plan.progress)  # from here on the directory is the new run's

        method, training = plan.method, plan.config["training"]
        report = Report(method.wording, method.headline, quiet=wanted["quiet"])
        report.line(header(plan))
        train(
            method,
            plan.dataset.to(device),
            session,
            plan.progress,
            epochs=training["epochs"],
            batch_size=training["batch_size"],
            seed=plan.config["model"]["seed"],
            log_every=wanted["log_every"],
            save_every=wanted["save_every"],
            patience=training.get("patience"),
            report=report,
        )
    report.line(f"Done: {session.directory} is trained to epoch {plan.progress.epoch}.")


def continued(
    session: Session, checkpoint: Checkpoint, given: dict[str, Any], device: torch.device
) -> Plan:
    """The run in a directory, from where it stands."""
    config = copy.deepcopy(checkpoint.config)
    config["training"] |= {k: v for k, v in given.items() if k in CHANGEABLE}
    dataset = data.load_same_dataset(config["training"], given.get("data_dir"))
    if config["training"].get("deterministic"):
        be_deterministic()
    method = checkpoint.build().to(device)
    progress = checkpoint.restore(method)
    config["machine"] = machine(device)
    if config["machine"] != checkpoint.config.get("machine"):
        warn(
            f"{session.directory} was trained so far on {checkpoint.config.get('machine')}, and "
            f"this is {config['machine']}: its numbers will differ in their last digits from "
            "those of a run that was not moved"
        )
    where = f"epoch {progress.epoch + 1}, batch {progress.step + 1}"
    note = f"continuing {session.directory} from {where}"
    if config["training"].get("patience"):
        dataset = dataset.hold_out()
    return Plan(method, dataset, config, progress, note)


def fresh(
    method_name: str,
    session: Session,
    there: Checkpoint | None,
    wanted: dict[str, Any],
    given: dict[str, Any],
    device: torch.device,
) -> Plan:
    """A new run, or one that starts from the autoencoder of a run by another method.

    `wanted` are the flags that were `given`, and the defaults of the others.
    """
    model = {key: wanted[key] for key in METHODS[method_name].flags}
    model["precision"] = choose_precision(wanted["precision"], device)
    parent = find_parent(session, there, method_name)
    if parent is None:
        dataset = find_dataset(wanted["dataset"], wanted["data_dir"])
        note = f"a new run in {session.directory}"
    else:
        theirs = parent.config
        shared = {key: theirs["model"].get(key) for key in INHERITED}
        training = {"dataset": theirs["training"]["dataset"]}
        refuse_contradictions(session, {"model": shared, "training": training}, given)
        model |= shared
        dataset = data.load_same_dataset(theirs["training"], wanted["data_dir"])
        note = (
            f"a new run in {session.directory}, from the autoencoder that "
            f"mnist-{theirs['method']}.py trained to epoch {parent.epoch}, now in "
            f"{session.directory / theirs['method']}; the rest starts fresh"
        )
    if wanted["deterministic"]:
        be_deterministic()
    method = METHODS[method_name](**model).to(device)
    if parent:
        parent.load_weights(method, strict=False)
    config = describe(method, dataset, wanted)
    if wanted["patience"]:
        dataset = dataset.hold_out()
    steps_per_epoch(dataset, wanted["batch_size"])  # or complain before anything is written
    return Plan(method, dataset, config, Progress(), note, parent)


def has_ended(there: Checkpoint, given: dict[str, Any]) -> str | None:
    """The flag to be given in order to train a run any further, or None if it has not ended."""
    training = there.config["training"] | given
    if there.epoch >= training["epochs"]:
        return "--epochs"
    headline, rows = METHODS[there.config["method"]].headline, there.progress["rows"]
    if training.get("patience") and waited(rows, headline) >= training["patience"]:
        return "--patience"
    return None


def refuse_contradictions(session: Session, config: dict[str, Any], given: dict[str, Any]) -> None:
    """Stop where a flag says something else than the run in the directory.

    Raises:
        Problem: naming the flag and both values.
    """
    saved = config["model"] | config["training"]
    if "patience" in given and not saved.get("patience"):
        raise Problem(
            f"{session.directory} was trained without --patience, so no images were held out for "
            "it: leave it out, or name another --ckpt-dir"
        )
    for key in (*config["model"], *FIXED):
        if key not in given or key not in saved or given[key] == saved[key]:
            continue
        if key == "labels":
            raise Problem(
                f"{session.directory} was trained with labels, and --no-labels was given: "
                "leave it out, or name another --ckpt-dir"
            )
        flag = "--" + key.replace("_", "-")
        missing = saved[key] is None or saved[key] is False
        how = f"without {flag}" if missing else f"with {flag} {saved[key]}"
        instead = "" if given[key] is True else f", not {given[key]}"
        raise Problem(
            f"{session.directory} was trained {how}{instead}: "
            "leave the flag out, or name another --ckpt-dir"
        )


def find_parent(session: Session, there: Checkpoint | None, method_name: str) -> Checkpoint | None:
    """What a new run in this directory is to take the autoencoder from, if anything.

    Raises:
        Problem: the directory holds a run that this method cannot start from.
    """
    starts_from = METHODS[method_name].starts_from
    if there:
        name = there.config["method"]
        if name not in starts_from:
            raise Problem(
                f"{session.directory} was trained by mnist-{name}.py: "
                f"name another --ckpt-dir for mnist-{method_name}.py"
            )
        return there
    # Moved out of the way by a start that did not live to its first checkpoint.
    moved = (Session(session.directory / name).newest() for name in starts_from)
    return next((parent for parent in moved if parent), None)


def find_dataset(name: str, data_dir: str | None) -> data.Dataset:
    """The data set of that name; for "auto" the full MNIST, or with a warning the bundled part."""
    if name != "auto":
        return data.load_dataset(name, data_dir)
    try:
        return data.load_dataset("mnist", data_dir)
    except data.Unavailable as reason:
        warn(
            f"training on the 5,000 bundled images instead of all 70,000: {reason}; "
            "name a folder with the files by --data-dir to use them"
        )
        return data.load_dataset("mnist-5k")


def describe(method: Method, dataset: data.Dataset, wanted: dict[str, Any]) -> dict[str, Any]:
    """What goes into config.json."""
    epochs = wanted["epochs"]
    return {
        "method": method.name,
        "model": method.config,
        "training": {
            "dataset": dataset.name,
            "dataset_sha256": dataset.sha256,
            "batch_size": wanted["batch_size"],
            "epochs": epochs[dataset.name] if isinstance(epochs, dict) else epochs,
            "patience": wanted["patience"],
            "deterministic": wanted["deterministic"],
        },
        "machine": machine(method.device),
        "versions": versions("torch", "numpy", "safetensors"),
    }


def header(plan: Plan) -> str:
    """What is about to be trained, in a few lines."""
    method, dataset = plan.method, plan.dataset
    model, training = plan.config["model"], plan.config["training"]
    held_out = f", {len(dataset.held_out):,} held out" if dataset.held_out else ""
    weights = sum(p.numel() for p in method.parameters())
    threads = f", {torch.get_num_threads()} threads" if method.device.type == "cpu" else ""
    return (
        f"mnist-style {__version__}: {method.name.upper()}, {method.summary()}; "
        f"{weights:,} weights\n"
        f"data: {dataset.name} from {dataset.source}, {len(dataset.train):,} training and "
        f"{len(dataset.test):,} test images{held_out}\n"
        f"epochs: {training['epochs']}, batch size {training['batch_size']}, "
        f"learning rate {model['lr']}, seed {model['seed']}; "
        f"{method.device.type}{threads}, {model['precision']}\n"
        f"{plan.note}"
    )
