"""Methods and images from outside: every tool takes them, or says in one line what is missing."""

import io
import json
import os
import re
import signal

import numpy as np
import pytest
import torch
from conftest import ROOT, assert_refused, bundled, one_line
from PIL import Image
from strangers import ToySemi, ToyVAE, ToyWGAN, toy_letters

import mnist
from mnist.data import DATASETS, Dataset
from mnist.errors import Diverged, Interrupted, UserError
from mnist.methods import METHODS
from mnist.training.plan import hold_out
from mnist.training.run_directory import RunDirectory

TOYS = {each.name: each for each in (ToyWGAN, ToyVAE, ToySemi)}
OURS = {
    "sae": {"hidden": [16, 8], "feature_size": 2},
    "aae": {"hidden": [16, 8], "discriminator_hidden": [8]},
    "classifier": {"layers": 2},
}
LETTER_RUNS = [("toy-letters", method) for method in (*TOYS, *OURS)]
RUNS = LETTER_RUNS + [("mnist-5k", method) for method in TOYS]
HOW = {
    "toy-letters": {"batch_size": 40, "epochs": 2},  # of seven steps each
    "mnist-5k": {"batch_size": 500, "epochs": 1},  # of eight
}
CLASS = {"toy-letters": "K", "mnist-5k": "7"}  # asked for by its name

every_run = pytest.mark.parametrize("pair", RUNS, ids="-".join)


@pytest.fixture(scope="module", autouse=True)
def registered():
    """As a file from outside registers its methods and data sets."""
    digits = bundled()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mnist.networks.classifier.WIDTH", 64)  # tiny, as all here is
        for name, kind in TOYS.items():
            patch.setitem(METHODS, name, kind)
        patch.setitem(DATASETS, "toy-letters", toy_letters)
        patch.setitem(DATASETS, "mnist-5k", lambda data_dir=None: digits)  # read once
        yield


def train(directory, dataset, method, **changes):
    options = {"device": "cpu"} | HOW[dataset] | OURS.get(method, {}) | changes
    return mnist.train(method, ckpt_dir=directory, dataset=dataset, **options)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The directory of each run, trained without a disturbance, beside a classifier."""
    folder, found = tmp_path_factory.mktemp("strangers"), {}
    for dataset, method in (*RUNS, ("mnist-5k", "classifier")):
        found[dataset, method] = folder / dataset / f"mnist-{method}.ckpt"
        train(found[dataset, method], dataset, method)
    return found


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.*")}


def picture(content):
    image = Image.open(io.BytesIO(content))
    image.load()
    return image


def ask(run_here, runs, pair, script, *flags, lacks=None, code=2):
    """Run a tool on a run. If it lacks something, it says so in a line and leaves all as it was."""
    before = contents(runs[pair])
    done = run_here(script, "--ckpt-dir", runs[pair], *flags)
    if lacks is None:
        assert done.returncode == 0, done.stderr
        return done
    assert_refused(done, lacks, code)
    assert contents(runs[pair]) == before
    assert not [path for path in runs[pair].parent.iterdir() if path.name.startswith(".")]
    return None


NO_ENCODER = {"classifier": "has no encoder"}
NO_DECODER = {"classifier": "has no decoder"}
NO_GENERATOR = {
    "toy-semi": "has no prior, so that it cannot generate",
    "classifier": "has no prior and decoder, so that it cannot generate",
}


# --- training -------------------------------------------------------------------------------------


@every_run
def test_a_run_leaves_a_picture_and_its_configuration(runs, pair):
    dataset, method = pair
    run = mnist.load(runs[pair])
    assert run.spec == DATASETS[dataset]().spec
    assert run.config["data"] == run.spec.as_config()
    assert run.config["training"]["dataset"] == dataset
    assert run.config["method"] == method
    assert run.epoch == HOW[dataset]["epochs"]
    for epoch in range(run.epoch):
        png = runs[pair] / "samples" / f"epoch-{epoch + 1:03d}.png"
        assert min(picture(png.read_bytes()).size) > 100
    able = {name for name in ("encode", "decode", "generate", "classify") if can(run, name)}
    lacks = {"classifier": {"encode", "decode", "generate"}}
    lacks["toy-semi"] = {"generate"}
    everything = {"encode", "decode", "generate", "classify"}
    assert able == everything - lacks.get(method, {"classify"})
    with pytest.raises(UserError, match="has no prior"):
        mnist.load(runs["toy-letters", "classifier"]).prior.sample(1)


def can(run, name):
    return getattr(run, f"can_{name}")


@every_run
def test_stopped_twice_amid_epochs_a_run_is_the_undisturbed_run(runs, pair, tmp_path, monkeypatch):
    """The first stop comes before one of the players of two methods has made a step."""
    kind = METHODS[pair[1]]
    step, calls = kind.step, []

    def step_and_stop(self, *arguments):
        calls.append(None)
        if len(calls) in (3, 6):
            os.kill(os.getpid(), signal.SIGINT)
        return step(self, *arguments)

    monkeypatch.setattr(kind, "step", step_and_stop)
    directory = tmp_path / runs[pair].name
    for stopped_after in (3, 6):
        with pytest.raises(Interrupted, match=f"step-{stopped_after:08d}"):
            train(directory, *pair)
    train(directory, *pair)
    last = "checkpoints/" + RunDirectory(directory).folders()[-1].name
    for part in (last, "samples"):
        assert contents(directory / part) == contents(runs[pair] / part)
    tables = [(each / "metrics.csv").read_bytes() for each in (directory, runs[pair])]
    assert tables[0] == tables[1]


def test_a_step_is_given_the_batch_with_all_that_is_known_of_it(tmp_path, monkeypatch):
    batches, step = [], ToySemi.step
    monkeypatch.setattr(
        ToySemi, "step", lambda self, batch, at: batches.append(batch) or step(self, batch, at)
    )
    train(tmp_path / "run", "toy-letters", "toy-semi", epochs=1)
    data = toy_letters().train
    assert any((batch.labels == -1).any() for batch in batches)
    for batch in batches:
        assert torch.equal(batch.labels, data.labels[batch.index])
        assert torch.equal(batch.writers, data.writers[batch.index])
        assert torch.equal(batch.images, data.batch(batch.index).images)
        assert batch.images.shape == (40, 3, 20, 24)


def test_a_nan_in_the_first_of_several_updates_of_a_step_stops_the_run(tmp_path, monkeypatch):
    step = ToyVAE.step

    def update_twice(self, batch, at):
        player = self.players["both"]
        kept = {name: tensor.clone() for name, tensor in self.state_dict().items()}
        memory = {name: tensor.clone() for name, tensor in player.state().items()}
        spoil = torch.nan if at.number == 9 else 1.0  # amid the second epoch
        player.update(
            self.elbo(batch.images, self.encode(batch.images), torch.zeros(40, 3)) * spoil
        )
        self.load_state_dict(kept)  # as if nothing had been
        player.load_state(memory)
        return step(self, batch, at)

    monkeypatch.setattr(ToyVAE, "step", update_twice)
    with pytest.raises(Diverged, match="both_gradient became nan in epoch 2, batch 3") as caught:
        train(tmp_path / "run", "toy-letters", "toy-vae")
    assert caught.value.exit_code == 3
    assert mnist.load(tmp_path / "run").epoch == 1


def test_a_step_that_breaks_on_its_own_nan_is_divergence(tmp_path, monkeypatch):
    """A distribution refuses NaN, before the loop looks at any number."""
    step = ToyVAE.step

    def spoilt(self, batch, at):
        if at.number == 9:
            self.players["both"].update(self.encode(batch.images).mean.sum() * torch.nan)
        return step(self, batch, at)

    monkeypatch.setattr(ToyVAE, "step", spoilt)
    with pytest.raises(Diverged, match="both_gradient became nan in epoch 2, batch 3"):
        train(tmp_path / "run", "toy-letters", "toy-vae")


def test_averaged_weights_are_used_and_others_trained_on(runs):
    run = mnist.load(runs["toy-letters", "toy-wgan"])
    saved = RunDirectory(runs["toy-letters", "toy-wgan"]).newest().weights
    for name, weights in run.method.generator.state_dict().items():
        assert torch.equal(weights, saved[f"averages.generator.module.{name}"])
    first = "generator.layers.0.weight"
    assert not torch.equal(run.method.generator.layers[0].weight, saved[first])


def test_numbers_differ_from_step_to_step(runs):
    numbers = mnist.load(runs["toy-letters", "toy-wgan"]).numbers
    assert {"train_distance", "train_generator", "train_penalty"} < numbers.keys()
    assert np.isfinite([*numbers.values()]).all()


def test_early_stopping_goes_by_a_headline_that_is_to_be_large(tmp_path):
    run = train(tmp_path / "vae", "toy-letters", "toy-vae", epochs=3, patience=2)
    assert "held_out_elbo" in run.numbers
    with pytest.raises(UserError, match="--patience goes by a method's headline, and toy-wgan has"):
        train(tmp_path / "wgan", "toy-letters", "toy-wgan", patience=2)
    assert not (tmp_path / "wgan").exists()


def test_what_is_held_out_is_in_the_configuration(tmp_path):
    run = train(tmp_path / "vae", "toy-letters", "toy-vae", epochs=1, patience=2)
    training, letters = run.config["training"], toy_letters()
    assert training["hold_out"] == len(letters.train) // 12
    for config, expected in (
        (training, letters.hold_out(training["hold_out"])),
        ({"patience": 2}, letters.hold_out_every_twelfth()),  # of version 0.5.0
        ({"patience": None}, letters),
    ):
        assert torch.equal(hold_out(letters, config).train.images, expected.train.images)


def test_a_headline_that_validation_does_not_give_is_no_measure(tmp_path, monkeypatch):
    monkeypatch.setattr(ToyVAE, "headline", "luck")
    with pytest.raises(UserError, match="headline of toy-vae, luck, is none of its numbers"):
        train(tmp_path / "vae", "toy-letters", "toy-vae", patience=2)


@pytest.mark.parametrize("method", TOYS)
def test_half_precision_is_no_hindrance(tmp_path, method):
    run = train(tmp_path / "run", "toy-letters", method, epochs=1, precision="bf16")
    assert np.isfinite([*run.numbers.values()]).all()


def test_a_classifier_learns_from_labelled_images_alone(tmp_path, monkeypatch):
    data = toy_letters()
    data.train.labels[:40] = -1
    data.train.labels[40:] = 3
    monkeypatch.setitem(DATASETS, "toy-letters", lambda data_dir=None: data)
    run = train(tmp_path / "run", "toy-letters", "classifier")
    assert np.isfinite([*run.numbers.values()]).all()
    assert (run.read(data.test.batch(slice(None)).images) == 3).all()
    data.train.labels[:] = -1
    run = train(tmp_path / "none", "toy-letters", "classifier")
    assert run.numbers["train_loss"] == 0


def test_a_method_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match="no method named 'flow': choose from sae, aae, "):
        train(tmp_path / "run", "toy-letters", "flow")
    with pytest.raises(UserError, match=r"no data set named 'numbers': choose from .*IMPORT"):
        mnist.train("sae", ckpt_dir=tmp_path / "run", dataset="numbers")
    train(tmp_path / "run", "toy-letters", "toy-semi")
    with pytest.raises(UserError, match=r"trained by the method toy-semi: .* for mnist-aae\.py"):
        train(tmp_path / "run", "toy-letters", "aae")


def test_an_option_of_no_known_kind_is_named(tmp_path, monkeypatch):
    class Odd(ToySemi):
        def __init__(self, spec, *, colour: str = "red", **common):
            super().__init__(spec, **common)

    monkeypatch.setitem(METHODS, "toy-semi", Odd)
    with pytest.raises(UserError, match="option colour is annotated as str: make it one of Count"):
        train(tmp_path / "run", "toy-letters", "toy-semi")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"name": "letters"}, "calls itself 'letters'"),
        ({"images": lambda t: t[..., 0]}, r"training images uint8 \[304, 20, 24\]: .*20, 24, 3\]"),
        ({"images": lambda t: t / 255}, "training images float32"),
        ({"labels": lambda t: t + 1}, "training labels outside -1 to 25"),
        ({"labels": lambda t: t.int()}, "labels that are not int64"),
    ],
)
def test_a_data_set_that_contradicts_itself_is_told_how(tmp_path, monkeypatch, change, says):
    data = toy_letters()
    for name, new in change.items():
        if name == "name":
            data = Dataset(new, *(getattr(data, k) for k in ("spec", "train", "test", "source")))
        else:
            object.__setattr__(data.train, name, new(getattr(data.train, name)))
    monkeypatch.setitem(DATASETS, "toy-letters", lambda data_dir=None: data)
    with pytest.raises(UserError, match=says):
        train(tmp_path / "run", "toy-letters", "sae")


def test_test_images_have_to_be_labelled(tmp_path, monkeypatch):
    data = toy_letters()
    data.test.labels[0] = -1
    monkeypatch.setitem(DATASETS, "toy-letters", lambda data_dir=None: data)
    with pytest.raises(UserError, match=r"test labels outside 0 to 25.*have to be labelled"):
        train(tmp_path / "run", "toy-letters", "sae")


# --- tools ----------------------------------------------------------------------------------------


@every_run
def test_styles_are_drawn(runs, pair, run_here, tmp_path):
    lacks = NO_ENCODER.get(pair[1])
    flags = ("--output", "vis.png", "--csv", "vis.csv", "--sample-size", 60)
    if ask(run_here, runs, pair, "encoder-vis.py", *flags, lacks=lacks):
        picture((tmp_path / "vis.png").read_bytes())
        header = (tmp_path / "vis.csv").read_text().splitlines()[0]
        word = DATASETS[pair[0]]().spec.class_word
        assert header.startswith(f"index,{word},style_0,")
    else:
        assert not [*tmp_path.iterdir()]


@every_run
def test_a_style_space_is_drawn(runs, pair, run_here, tmp_path):
    flags = ["--manifold", "--output", "map.png"]
    if pair[1] in ("toy-wgan", "sae", "aae"):
        flags += ["--digit", CLASS[pair[0]]]
    if ask(run_here, runs, pair, "encoder-vis.py", *flags, lacks=NO_GENERATOR.get(pair[1])):
        picture((tmp_path / "map.png").read_bytes())


@every_run
def test_images_are_generated(runs, pair, run_here, tmp_path):
    spec = DATASETS[pair[0]]().spec
    lacks = NO_DECODER.get(pair[1]) or NO_GENERATOR.get(pair[1])
    each = spec.classes if pair[1] in ("toy-wgan", "sae", "aae") else 1
    for output in ("some.png", "some.npz", "some"):
        flags = ("--count", 2, "--output", output)
        if not ask(run_here, runs, pair, "generate-all.py", *flags, lacks=lacks):
            assert not [*tmp_path.iterdir()]
            return
    picture((tmp_path / "some.png").read_bytes())
    with np.load(tmp_path / "some.npz") as arrays:
        channels, *sides = spec.image_shape
        shape = (2 * each, *sides, *([channels] if channels > 1 else []))
        assert arrays["images"].shape == shape
        single = picture((tmp_path / "some" / "000001-3.png").read_bytes()) if each > 1 else None
        if single is not None:
            assert np.array_equal(np.asarray(single), arrays["images"][each + 3])
    assert len([*(tmp_path / "some").glob("*.png")]) == 2 * each


@every_run
def test_an_images_style_is_taken_or_found(runs, pair, run_here, tmp_path):
    lacks = NO_DECODER.get(pair[1]) or NO_ENCODER.get(pair[1])
    flags = ("--from-test", 5, "--output", "like.png")
    if ask(run_here, runs, pair, "generate-all.py", *flags, lacks=lacks):
        picture((tmp_path / "like.png").read_bytes())


@every_run
def test_a_class_is_asked_for_by_its_name(runs, pair, run_here, tmp_path):
    flags = ("--digit", CLASS[pair[0]], "--steps", 5, "--output", "guide.png")
    if ask(run_here, runs, pair, "guide.py", *flags, lacks=NO_GENERATOR.get(pair[1])):
        picture((tmp_path / "guide.png").read_bytes())
        assert (tmp_path / "guide-path.csv").read_text().startswith("start,step,loss,p0,")


@every_run
def test_a_geodesic_is_found(runs, pair, run_here, tmp_path):
    flags = ("--output", "way.png")
    if ask(run_here, runs, pair, "geodesic.py", *flags, lacks=NO_GENERATOR.get(pair[1])):
        picture((tmp_path / "way.png").read_bytes())
        assert Image.open(tmp_path / "way.gif").n_frames > 1


@pytest.mark.parametrize("dataset", HOW)
def test_runs_are_evaluated_by_what_they_can_do(runs, dataset, run_here):
    pairs = [pair for pair in RUNS if pair[0] == dataset]
    done = run_here("evaluate.py", "--quick", "--ckpt-dir", *(runs[pair] for pair in pairs))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    found = {m: json.loads((runs[d, m] / "evaluation.json").read_text()) for d, m in pairs}
    assert {"agreement", "frechet", "cas", "mse"} <= found["toy-wgan"].keys()
    assert "leakage_knn" not in found["toy-wgan"]
    assert found["toy-wgan"]["inverted_images"] == 100  # which have no encoder to go through
    assert {"mse", "ks_worst", "leakage_knn", "frechet"} <= found["toy-vae"].keys()
    assert found["toy-vae"]["agreement"] is None  # it is told no class
    assert {"accuracy", "mse", "leakage_knn"} <= found["toy-semi"].keys()
    assert not {"ks_worst", "frechet", "agreement"} & found["toy-semi"].keys()
    labelled = int((DATASETS[dataset]().train.labels >= 0).sum())
    assert found["toy-vae"]["train_images"] == min(6000, labelled)


def test_styles_are_drawn_from_mixtures_of_rare_classes(runs, run_here):
    flags = ("--quick", "--ex-post", "gmm", "--ckpt-dir", runs["toy-letters", "toy-vae"])
    done = run_here("evaluate.py", *flags)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_classifier_without_features_guides_but_does_not_judge(runs, run_here, tmp_path):
    pair, other = ("toy-letters", "toy-vae"), runs["toy-letters", "toy-semi"]
    guide = ("--digit", "A", "--steps", 5, "--output", "guide.png", "--classifier", other)
    ask(run_here, runs, pair, "guide.py", *guide)
    ask(run_here, runs, pair, "evaluate.py", "--judge", other, lacks="has no features of images")
    flags = ("--space", "features", "--classifier", other)
    ask(run_here, runs, pair, "geodesic.py", *flags, lacks="has no features of images")
    guide = (*guide[:-1], runs["toy-letters", "toy-wgan"])
    ask(run_here, runs, pair, "guide.py", *guide, lacks="cannot classify (toy-wgan)")


def test_a_survey_names_every_class(runs, run_here, tmp_path):
    options = {"layers": 2, "outliers": True, "epochs": 1}
    train(tmp_path / "second.ckpt", "toy-letters", "classifier", **options)
    flags = ("--survey", "--starts", 2, "--steps", 2, "--output", "survey.png")
    second = ("--independent", tmp_path / "second.ckpt")
    done = ask(run_here, runs, ("toy-letters", "toy-wgan"), "guide.py", *flags, *second)
    assert re.search(r"^ +Z ", done.stdout, re.MULTILINE)
    assert "digit" not in done.stdout
    picture((tmp_path / "survey.png").read_bytes())


def test_a_style_of_a_run_without_a_prior(runs, run_here, tmp_path):
    pair = ("toy-letters", "toy-semi")
    flags = ("--style", "0,0", "--output", "style.png")
    ask(run_here, runs, pair, "generate-all.py", *flags, lacks="has no prior of styles")
    flags = ("--blend", "test0", "test1", 3, "--output", "blend.png")
    ask(run_here, runs, pair, "generate-all.py", *flags)
    ask(run_here, runs, pair, "encoder-vis.py", "--feature-size", 3, lacks="has no prior of styles")


@pytest.mark.parametrize("bad", ["Ä", "26", ""])
def test_a_class_that_is_not_there(runs, run_here, bad):
    flags = ("--digit", bad, "--output", "guide.png")
    ask(run_here, runs, ("toy-letters", "aae"), "guide.py", *flags, lacks="there is no letter")


# --- files named in MNIST_IMPORT ------------------------------------------------------------------

FILE = """
from strangers import ToyVAE, toy_letters
from mnist.data import DATASETS
from mnist.methods import METHODS

METHODS[ToyVAE.name] = ToyVAE
DATASETS["toy-letters"] = toy_letters
"""


def test_scripts_see_strangers_that_are_named(runs, run_script, tmp_path):
    (tmp_path / "mine.py").write_text(FILE)
    path = f"{ROOT}:{ROOT / 'tests'}"
    flags = ("--count", 2, "--output", "a.png", "--ckpt-dir", runs["toy-letters", "toy-vae"])
    done = run_script("generate-all.py", *flags, PYTHONPATH=path, MNIST_IMPORT="mine.py")
    assert done.returncode == 0, done.stderr
    picture((tmp_path / "a.png").read_bytes())


def test_a_run_of_an_unknown_method_says_where_to_name_it(runs, monkeypatch):
    monkeypatch.delitem(METHODS, "toy-vae")
    with pytest.raises(UserError, match=r"unknown method 'toy-vae': .* MNIST_IMPORT"):
        mnist.load(runs["toy-letters", "toy-vae"])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "MNIST_IMPORT: mine.py is no .py file that is there"),
        ("1 / 0", "mine.py cannot be imported (ZeroDivisionError: division by zero)"),
        ("import nonsense_9", "(ModuleNotFoundError: No module named 'nonsense_9')"),
        ("raise SystemExit(0)", "mine.py cannot be imported (SystemExit: 0)"),
        ("x = (", "mine.py cannot be imported (SyntaxError: "),
    ],
)
def test_a_file_that_cannot_be_imported(run_here, tmp_path, monkeypatch, content, says):
    if content is not None:
        (tmp_path / "mine.py").write_text(content)
    run = run_here
    monkeypatch.setenv("MNIST_IMPORT", "mine.py")
    done = run("generate-all.py", "--output", "a.png")
    assert_refused(done, says)
    assert one_line(done.stderr)


def test_images_in_colour_are_encoded_by_convolutions_unless_asked_otherwise(tmp_path):
    for method in ("sae", "aae", "vae"):
        common = {"ckpt_dir": tmp_path / method, "dataset": "toy-letters", "batch_size": 40}
        model = mnist.train(method, epochs=1, width=2, **common).config["model"]
        assert (model["network"], model["hidden"]) == ("convolutional", [512])
        assert model.get("likelihood", "gaussian") == "gaussian"
    options = {"network": "mlp", "hidden": [8], "epochs": 1}
    run = train(tmp_path / "mlp", "toy-letters", "sae", **options)
    assert run.config["model"]["network"] == "mlp"
    assert run.method.encoder.convolutions is None
    with pytest.raises(UserError, match="--width says something only with --network convol"):
        train(tmp_path / "no", "mnist-5k", "sae", width=8)
