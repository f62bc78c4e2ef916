"""The flags of each tool: a field of its class is a flag, with its kind, default and help at once.

No torch here, so that --help is instant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from mnist import options
from mnist.options import Count, Kind, Positive, Several, Weight, Whole, number_between

CKPT_DIR = "mnist{feature_size}.ckpt"  # of an autoencoder, where none is named
CLASSIFIER_DIR = "mnist-classifier.ckpt"
WRITERS_DIR = "mnist-writers.ckpt"  # of one that tells people's handwritings apart
# The second opinion: another network, of another seed, that knows what is no digit.
SECOND_OPINION_DIR = "mnist-second-opinion.ckpt"

# Annotations of flags besides those of `mnist.options`; `KINDS` says what values each allows.
Chance = Annotated[float, "Chance"]
Numbers = Annotated[Sequence[float], "Numbers"]
WholeNumbers = Annotated[Sequence[int], "WholeNumbers"]
Texts = Annotated[Sequence[str], "Texts"]
TextPair = Annotated[Sequence[str], "TextPair"]
TextTriple = Annotated[Sequence[str], "TextTriple"]
Wholes = Annotated[Sequence[int], "Wholes"]
WholePair = Annotated[Sequence[int], "WholePair"]
NumberPair = Annotated[Sequence[float], "NumberPair"]


def whole_numbers(text: str) -> list[int]:
    """Digits with commas between them, and nothing else, as whole numbers.

    Raises:
        ValueError: the text is otherwise.
    """
    parts = text.split(",")
    if not all(map(str.isdecimal, parts)):
        raise ValueError(text)
    return list(map(int, parts))


def is_numbers(value: object) -> bool:
    """Whether it is a list of finite numbers."""
    return isinstance(value, list | tuple) and all(map(options.KINDS["float"].valid, value))


TEXT = Kind(str, lambda value: isinstance(value, str), "a text")
KINDS = options.KINDS | {
    "str": TEXT,
    "Path": TEXT,  # which becomes one later: "" is for the usual place, and Path("") for this one
    "Chance": number_between(0.1, 1),
    "Numbers": Kind(
        lambda text: [float(part) for part in text.split(",")],
        is_numbers,
        "a list of numbers such as 0.3,-1.2",
        "NUMBERS",
    ),
    "WholeNumbers": Kind(
        whole_numbers, is_numbers, "a list of whole numbers such as 0,3,7", "LIST"
    ),
    "Texts": TEXT._replace(nargs="+"),
    "TextPair": TEXT._replace(nargs=2),
    "TextTriple": TEXT._replace(nargs=3),
    "Wholes": options.KINDS["Whole"]._replace(nargs="+"),
    "WholePair": options.KINDS["Whole"]._replace(nargs=2),
    "NumberPair": options.KINDS["float"]._replace(nargs=2),
}


class Flags:
    """A command's flags, which know those that were given from those at their defaults.

    Attributes:
        given: names of the fields that were given, be it with the value of the default.
    """

    given: frozenset[str]

    def __new__(cls, **given: object) -> Flags:
        flags = super().__new__(cls)
        object.__setattr__(flags, "given", frozenset(given))  # since the dataclasses are frozen
        return flags


@dataclass(frozen=True, kw_only=True)
class ToolFlags(Flags):
    """What all tools on trained runs share.

    Args:
        feature_size (N): dimensions of the style, which name the run directory: mnistN.ckpt.
        ckpt_dir (DIR): directory of the run (default: mnistN.ckpt).
        data_dir (D): where the data set's files are (default: $MNIST_DATA_DIR, then ./data).
        device: where to compute.
        seed (S): of what is drawn or chosen.
    """

    feature_size: Count = 4
    ckpt_dir: str | Texts | None = None  # one, or several: the tool's own flags say which
    data_dir: str | None = None
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    seed: Whole = 0


@dataclass(frozen=True, kw_only=True)
class RunFlags(ToolFlags):
    """What the tools on a single run share."""

    ckpt_dir: str | None = None

    @property
    def directory(self) -> Path:
        """The run's."""
        return Path(self.ckpt_dir or CKPT_DIR.format(feature_size=self.feature_size))


@dataclass(frozen=True, kw_only=True)
class EncoderVisFlags(RunFlags):
    """Flags of encoder-vis.py.

    Args:
        output (FILE): FILE.png, FILE.svg or FILE.pdf; without it a window opens.
        sample_size (K): test images to draw; by default no more than there are.
        dims: dimensions to draw, as 0,3,7.
        projection: all pairs of dimensions, or the plane of a PCA or t-SNE.
        space: what PCA and t-SNE see of an image.
        means: the mean of each image's posterior, instead of a style drawn from it.
        csv (FILE): write image number, digit and style there too.
        manifold: decoded styles instead: a map, or a line per dimension.
        digit (D): which digit --manifold writes, instead of all.
        style: the style that --manifold's lines cross.
    """

    output: str | None = None
    sample_size: Count = 500
    dims: WholeNumbers | None = None
    projection: Literal["matrix", "pca", "tsne"] = "matrix"
    space: Literal["style", "pixels"] = "style"
    means: bool = False
    csv: str | None = None
    manifold: bool = False
    digit: str | None = None
    style: Numbers | None = None


@dataclass(frozen=True, kw_only=True)
class GenerateAllFlags(RunFlags):
    """Flags of generate-all.py.

    Args:
        output (FILE): FILE.png or .jpg, FILE.npz (arrays) or DIR (a PNG per image, a CSV), for
            --text also FILE.svg; without it a window opens.
        count (K): styles to draw from the prior.
        style: a style instead, as 0.3,-1.2,0,2.
        from_image (FILE): the style of your own picture of a digit, or of whoever wrote several.
        digit (D): which digit, or other class, each --from-image shows.
        from_images (FOLDER): likewise, of all pictures there: their names begin with the digit, or
            index.csv says it.
        draws (K): so many styles that these, or --from-test, allow, instead of the likeliest.
        digits (LIST): only these, as 3,8.
        from_test (INDEX): the style of a test image.
        writer (W): what some writers of test images wrote, and each digit as the run writes it
            from their other digits.
        blend (A B STEPS): styles on the line from A to B, each a style or a test image such as
            test17.
        text: write this, such as 31415926, instead of every digit.
        sharpness (K): 1 for the mean of what a style may stand for, more for black and white
            (default: the run's own, at which digits look as real ones do).
    """

    output: str | None = None
    count: Count = 1
    style: Numbers | None = None
    from_image: Texts | None = None
    digit: Texts | None = None
    from_images: str | None = None
    draws: Count | None = None
    digits: str | None = None
    from_test: Whole | None = None
    writer: Wholes | None = None
    blend: TextTriple | None = None
    text: str | None = None
    sharpness: Positive | None = None


@dataclass(frozen=True, kw_only=True)
class ExploreFlags(RunFlags):
    """Flags of explore.py.

    Args:
        html (FILE): write a page for a browser there, instead of opening a window.
    """

    html: str | None = None


@dataclass(frozen=True, kw_only=True)
class ExportFlags(RunFlags):
    """Flags of export.py.

    Args:
        output (DIR): a directory for the files (default: export in the run's own).
        onnx: write encoder.onnx and decoder.onnx.
        torch_export: write encoder.pt2 and decoder.pt2, programs of torch.export.
        safetensors: write model.safetensors, the weights, and config.json.
    """

    output: str | None = None
    onnx: bool = False
    torch_export: bool = False
    safetensors: bool = False


@dataclass(frozen=True, kw_only=True)
class GuideFlags(RunFlags):
    """Flags of guide.py.

    Args:
        output (FILE): FILE.gif, FILE.mp4 or FILE.png, a contact sheet (default: guide.gif in the
            run's own).
        digit (D): which to ask for.
        classifier (DIR): a run of mnist-classifier.py; the usual is trained first.
        free: what moves, in a run with labels.
        from_digit (D): what the decoder is given at the start, instead of a mixture; with --free
            style always.
        style: the style to start from, as 0.3,-1.2,0,2.
        start_image (INDEX): start from this test image.
        starts (K): random starts, shown best first (default: 1 for a digit, 1000 for a survey).
        steps (S): of descent, at most.
        lr (LR): learning rate (default: 0.6 for adam, 0.4 without labels; 0.1 for sgd).
        optimizer: how to descend.
        stop_at (P): probability that will do, looked at when a round of 20 steps ends.
        stay_likely (W): weight of what the style's log-density lacks of a likely one's, where the
            decoder draws well; 0 lets it end in any style.
        dims: the two dimensions to draw, as 0,3.
        survey: all ten digits from many starts: a table, a picture.
        independent (DIR): a second opinion, of mnist-classifier.py --outliers; a survey trains the
            usual first.
    """

    output: str | None = None
    digit: str | None = None
    classifier: str = CLASSIFIER_DIR
    free: Literal["both", "style", "digit"] = "both"
    from_digit: str | None = None
    style: Numbers | None = None
    start_image: Whole | None = None
    starts: Count | None = None
    steps: Count = 400
    lr: Positive | None = None
    optimizer: Literal["adam", "sgd"] = "adam"
    stop_at: Chance = 0.99
    stay_likely: Weight = 4.0
    dims: WholeNumbers | None = None
    survey: bool = False
    independent: str = SECOND_OPINION_DIR

    @property
    def number_of_starts(self) -> int:
        """As many as were asked for, or are usual."""
        return self.starts or (1000 if self.survey else 1)

    def learning_rate(self, conditional: bool) -> float:
        """The one asked for, or one at which the descent in such a run simply works."""
        return self.lr or {"adam": 0.6 if conditional else 0.4, "sgd": 0.1}[self.optimizer]


@dataclass(frozen=True, kw_only=True)
class GeodesicFlags(RunFlags):
    """Flags of geodesic.py.

    Args:
        output (FILE): FILE.png, .svg or .pdf; other files go beside it (default: geodesic.png in
            the run's own, geodesic-monte-carlo.png there, or geodesic-compare.png here).
        digit (D): which is written along the path.
        from_test (I J): between two test images.
        between (A B): from one corner to another: all coordinates A, then B, in standard
            deviations.
        space: what is measured: pixels (of a decoder that says how sure it is of each its deviation
            as well), their means alone, or a classifier's features.
        classifier (DIR): whose features; the usual is trained first.
        solver: how geodesics are computed.
        monte_carlo (N): so many pairs: a table, a histogram (default: 200 for --compare).
        pairs: of --monte-carlo: random styles, or a step where the image changes fastest.
        compare (A B): the same pairs of test images in two runs.
    """

    output: str | None = None
    digit: str | None = None
    from_test: WholePair | None = None
    between: NumberPair | None = None
    space: Literal["pixels", "means", "features"] = "pixels"
    classifier: str = CLASSIFIER_DIR
    solver: Literal["gauss-newton", "adam"] = "gauss-newton"
    monte_carlo: Several | None = None
    pairs: Literal["random", "fastest"] = "random"
    compare: TextPair | None = None

    @property
    def number_of_pairs(self) -> int:
        """As many as were asked for, or --compare usually takes."""
        return self.monte_carlo or 200


@dataclass(frozen=True, kw_only=True)
class EvaluateFlags(ToolFlags):
    """Flags of evaluate.py.

    Args:
        ckpt_dir (DIR): directories of runs (default: mnistN.ckpt).
        judge (DIR): a run of mnist-classifier.py; the usual is trained first.
        writers (DIR): one of mnist-classifier.py --dataset mnist-writers; likewise.
        quick: fewer images.
        ex_post: draw styles from a density fitted to the training styles, too.
        parzen: estimate the likelihood of test images by Parzen windows, too; it says little of how
            good generated ones are.
        importance_samples (K): estimate the likelihood of test images, made black and white, by so
            many samples of each one's posterior.
        inception: the usual Inception FID too (torchmetrics and torch-fidelity; slow on a
            processor).
    """

    ckpt_dir: Texts | None = None
    judge: str = CLASSIFIER_DIR
    writers: str = WRITERS_DIR
    quick: bool = False
    ex_post: Literal["gmm"] | None = None
    parzen: bool = False
    importance_samples: Count | None = None
    inception: bool = False

    @property
    def directories(self) -> list[Path]:
        """The runs'."""
        return list(map(Path, self.ckpt_dir or [CKPT_DIR.format(feature_size=self.feature_size)]))
