"""The tools' flags: each is written once, and read as it says."""

import inspect

import pytest

from mnist.commands.arguments import SYNONYMS, Parser, add_option
from mnist.commands.flags import (
    KINDS,
    EncoderVisFlags,
    EvaluateFlags,
    GenerateAllFlags,
    GeodesicFlags,
    GuideFlags,
    RunFlags,
)
from mnist.options import flag_of, options_of
from mnist.training.settings import Settings

TOOLS = (EncoderVisFlags, EvaluateFlags, GenerateAllFlags, GeodesicFlags, GuideFlags)


@pytest.mark.parametrize("flags", [*TOOLS, Settings])
def test_every_flag_is_explained_and_its_default_is_allowed(flags):
    for name, option in options_of(flags, KINDS).items():
        assert option.help, name
        if name not in ("method", "options") and option.default is not inspect.Parameter.empty:
            option.check(option.default)


def test_what_was_given_is_known_even_where_it_is_the_default():
    flags = GuideFlags(free="both", digit="3")
    assert flags.given == {"free", "digit"}
    assert flags.free == GuideFlags().free
    assert not GuideFlags().given


def test_defaults_that_depend_are_those_in_the_help():
    helps = {name: option.help for name, option in options_of(GuideFlags, KINDS).items()}
    adam, sgd = (GuideFlags(optimizer=name).learning_rate(True) for name in ("adam", "sgd"))
    other = GuideFlags().learning_rate(False)
    assert f"(default: {adam} for adam, {other} without labels; {sgd} for sgd)" in helps["lr"]
    digit, survey = (GuideFlags(survey=asked).number_of_starts for asked in (False, True))
    assert f"(default: {digit} for a digit, {survey} for a survey)" in helps["starts"]
    pairs = options_of(GeodesicFlags, KINDS)["monte_carlo"].help
    assert f"(default: {GeodesicFlags().number_of_pairs} for --compare)" in pairs
    assert GuideFlags(lr=0.7, starts=3).learning_rate(False) == 0.7
    assert GuideFlags(lr=0.7, starts=3).number_of_starts == 3


def test_a_run_is_named_by_its_directory_or_its_size():
    assert RunFlags(feature_size=8).directory.name == "mnist8.ckpt"
    assert RunFlags(ckpt_dir="", feature_size=8).directory.name == "mnist8.ckpt"
    assert RunFlags(ckpt_dir="mine", feature_size=8).directory.name == "mine"
    assert [path.name for path in EvaluateFlags(ckpt_dir=["a", "b"]).directories] == ["a", "b"]


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("Several", "2", 2),
        ("Chance", "0.1", 0.1),
        ("Weight", "0", 0),
        ("Numbers", " -0.3,1.2", [-0.3, 1.2]),
        ("WholeNumbers", "0,3", [0, 3]),
    ],
)
def test_texts_are_read(kind, text, value):
    assert KINDS[kind].parse(text) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("Several", "1"),
        ("Chance", "1"),
        ("Weight", "1000"),
        *[("Numbers", text) for text in ("1,,2", "nan", "1e999", "")],
        *[("WholeNumbers", text) for text in ("-1", "1.5", "0, 3", "²", "")],
    ],
)
def test_texts_that_are_not_allowed_are_named(kind, text):
    with pytest.raises(ValueError, match="is not a"):
        KINDS[kind].parse(text)


@pytest.mark.parametrize("flags", TOOLS)
def test_a_class_that_is_no_digit_is_asked_for_as_one(flags):
    parser = Parser("a tool", "")
    for option in options_of(flags, KINDS).values():
        add_option(parser.add_argument, option)
    for name in options_of(flags, KINDS):
        if "digit" in name:
            one, other = (parser.parse([flag_of(n), "ki"]) for n in (name, SYNONYMS[name]))
            assert one == other == {name: one[name]}
            assert one[name] in ("ki", ["ki"])
