"""Options of a method: its constructor's signature is configuration, flags and help at once.

Each option is written once, as a keyword-only parameter with one of the annotations below, and a
line in the docstring's "Args". From there come the run's configuration, the check of values from
Python and from files, and the flags of the method's script. Those of a tool come from a dataclass
in the same way (`mnist/commands/flags.py`).
"""

from __future__ import annotations

import ast
import inspect
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple, get_args

# Annotations of options; `KINDS` says what values each allows.
Count = Annotated[int, "Count"]
Whole = Annotated[int, "Whole"]
Several = Annotated[int, "Several"]
CountOrAll = Annotated[int | str, "CountOrAll"]
Positive = Annotated[float, "Positive"]
Share = Annotated[float, "Share"]
Weight = Annotated[float, "Weight"]
Sizes = Annotated[Sequence[int], "Sizes"]
Shares = Annotated[Sequence[float], "Shares"]
Folder = Annotated[str, "Folder"]
Names = Annotated[Sequence[str], "Names"]

Signature = list[tuple[str, str, Any]]  # name, annotation, default


class Kind(NamedTuple):
    """The values that an option allows.

    Attributes:
        read: one from a command line's text; raises ValueError where it is none.
        valid: whether a value is one.
        what: for an error message: "a whole number of at least 1".
        metavar: what stands for it in a help text.
        nargs: how many arguments of a command line it takes, each one that is read: "+" for one or
            more, None for one that is no list.
    """

    read: Callable[[str], Any]
    valid: Callable[[Any], bool]
    what: str
    metavar: str | None = None
    nargs: int | str | None = None

    def parse(self, text: str) -> Any:
        """A value from a command line's text.

        Raises:
            ValueError: it is not allowed.
        """
        try:
            value = self.read(text)
        except ValueError:
            value = None
        if not self.valid(value):
            raise ValueError(f"{text.strip()!r} is not {self.what}")
        return value


def whole_number(least: int) -> Kind:
    """Whole numbers of at least `least`, and below 2³²."""
    return Kind(
        int,
        lambda value: type(value) is int and least <= value < 2**32,
        f"a whole number of at least {least}",
        "N",
    )


def number(what: str, fits: Callable[[float], bool]) -> Kind:
    """Finite numbers that fit."""
    return Kind(
        float,
        lambda value: type(value) in (int, float) and math.isfinite(value) and fits(value),
        what,
        "X",
    )


def number_between(low: float, high: float) -> Kind:
    """Numbers of at least `low`, and below `high`."""
    what = f"a number of at least {low:g} and below {high:g}"
    return number(what, lambda value: low <= value < high)


def is_list_of(kind: str, value: Any) -> bool:
    """Whether it is a list of values of this kind."""
    return isinstance(value, list | tuple) and all(map(KINDS[kind].valid, value))


KINDS: dict[str, Kind] = {
    "Count": whole_number(1),
    "Whole": whole_number(0),
    "Several": whole_number(2),
    "CountOrAll": Kind(
        lambda text: text if text == "all" else int(text),
        lambda value: value == "all" or KINDS["Count"].valid(value),
        "a whole number of at least 1, or all",
        "N",
    ),
    "Positive": number("a number above zero", lambda value: value > 0),
    "Share": number("a number from 0 to 1", lambda value: 0 <= value <= 1),
    "Weight": number_between(0, 1000),
    "Sizes": Kind(
        lambda text: [int(part) for part in text.split(",")],
        partial(is_list_of, "Count"),
        "a list of whole numbers above zero, such as 512,256",
        "LIST",
    ),
    "Shares": Kind(
        lambda text: [float(part) for part in text.split(",")],
        partial(is_list_of, "Positive"),
        "a list of numbers above zero, such as 0.4,0.6",
        "LIST",
    ),
    "Names": Kind(
        lambda text: text.split(","),
        lambda value: (
            isinstance(value, list | tuple)
            and len(value) > 0
            and all(isinstance(each, str) and each for each in value)
        ),
        "a list of names such as ki,su",
        "LIST",
    ),
    "Folder": Kind(str, lambda value: isinstance(value, str) and value != "", "a directory", "DIR"),
    "int": Kind(int, lambda value: type(value) is int, "a whole number", "N"),
    "float": number("a number", lambda value: True),
    "bool": Kind(bool, lambda value: isinstance(value, bool), "true or false"),
}


class Option(NamedTuple):
    """A keyword of a constructor.

    Attributes:
        name: of the parameter.
        annotation: as written: a key of `kinds` or Literal[...], and perhaps "| None".
        default: `inspect.Parameter.empty` where there is none.
        help: from the docstring.
        metavar: likewise, in brackets before the help; without one it is that of the kind.
        kinds: that there are.
    """

    name: str
    annotation: str
    default: Any
    help: str
    metavar: str | None = None
    kinds: Mapping[str, Kind] = KINDS

    @property
    def choices(self) -> tuple[str, ...] | None:
        """The values of a Literal[...]."""
        match = re.fullmatch(r"Literal\[(.*)\]", self.type)
        return ast.literal_eval(f"({match[1]},)") if match else None

    @property
    def type(self) -> str:
        """The annotation, None aside."""
        return self.annotation.removesuffix("| None").strip()

    @property
    def kind(self) -> Kind:
        """What it allows, None aside."""
        if self.choices:
            return Kind(str, self.choices.__contains__, f"one of {', '.join(self.choices)}")
        if self.type not in self.kinds:
            raise TypeError(
                f"the option {self.name} is annotated as {self.type}: make it one of "
                f"{', '.join(self.kinds)} or Literal[...]"
            )
        return self.kinds[self.type]

    def check(self, value: Any) -> Any:
        """A value as a configuration has it, in JSON's types.

        Raises:
            ValueError: it is not allowed.
        """
        if value is None and self.annotation.endswith("| None"):
            return None
        if not self.kind.valid(value):
            raise ValueError(f"{self.name} is {value!r}, not {self.kind.what}")
        return list(value) if isinstance(value, tuple) else value


def flag_of(option: str) -> str:
    """The flag of an option: prior_std -> --prior-std, from_ -> --from."""
    return "--" + option.rstrip("_").replace("_", "-")


def options_of(method: type, kinds: Mapping[str, Kind] = KINDS) -> dict[str, Option]:
    """The options of a class, and of those that it derives from, by name."""
    own = (
        (signature_of(each), each.__doc__)
        for each in method.__mro__
        if "__init__" in vars(each) and each.__module__.split(".")[0] not in ("torch", "builtins")
    )
    return merged(own, kinds)


def options_in(folder: Path, name: str) -> dict[str, Option]:
    """The options of the class in `folder/name.py` that has this name, without importing anything.

    `--help` is thus instant: importing torch takes over a second.

    Raises:
        FileNotFoundError: there is no such file.
    """
    return merged(
        (signature_in(each), ast.get_docstring(each)) for each in classes_in(folder, name)
    )


def attribute_in(folder: Path, name: str, attribute: str) -> Any:
    """The value of a class attribute of it, likewise; None where no class gives it one."""
    values = (class_attribute(each, attribute) for each in classes_in(folder, name))
    return next((value for value in values if value is not None), None)


def classes_in(folder: Path, name: str) -> Iterator[ast.ClassDef]:
    """The class in `folder/name.py` that has this name, and those that it derives from.

    Its bases are looked for in the modules of that folder that it imports them from.
    """
    module: str | None = name
    wanted: str | None = None
    while module is not None:
        tree = ast.parse((folder / f"{module}.py").read_text(encoding="utf-8"))
        classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
        node = next(
            each
            for each in classes
            if each.name == wanted or (wanted is None and class_attribute(each, "name") == name)
        )
        yield node
        wanted = next((base.id for base in node.bases if isinstance(base, ast.Name)), None)
        module = next(
            (
                imported.module.rsplit(".", 1)[1]
                for imported in tree.body
                if isinstance(imported, ast.ImportFrom)
                and imported.module
                and any(alias.name == wanted for alias in imported.names)
                and (folder / f"{imported.module.rsplit('.', 1)[-1]}.py").exists()
            ),
            None,
        )


def class_attribute(node: ast.ClassDef, name: str) -> Any:
    """The value that a class gives an attribute in its body, or None."""
    for each in node.body:
        match each:
            case ast.Assign(targets=targets, value=value):
                pass
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                targets = [target]
            case _:
                continue
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            return ast.literal_eval(value)
    return None


def signature_of(method: type) -> Signature:
    """Keyword-only parameters of a class's own constructor."""
    parameters = inspect.signature(vars(method)["__init__"]).parameters.values()
    return [
        (p.name, annotation_text(p.annotation), p.default)
        for p in parameters
        if p.kind == p.KEYWORD_ONLY
    ]


def annotation_text(annotation: Any) -> str:
    """An annotation as it is written, also where it was evaluated."""
    if isinstance(annotation, str):
        return annotation
    if type(None) in (parts := get_args(annotation)):
        return f"{annotation_text(parts[0])} | None"
    if hasattr(annotation, "__metadata__"):
        return annotation.__metadata__[0]
    return inspect.formatannotation(annotation)


def signature_in(node: ast.ClassDef) -> Signature:
    """The same of a class's source."""
    found = [e for e in node.body if isinstance(e, ast.FunctionDef) and e.name == "__init__"]
    if not found:
        return []
    arguments = found[0].args
    return [
        (
            a.arg,
            ast.unparse(a.annotation) if a.annotation else "nothing",
            inspect.Parameter.empty if value is None else ast.literal_eval(value),
        )
        for a, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    ]


def merged(
    own: Iterable[tuple[Signature, str | None]], kinds: Mapping[str, Kind] = KINDS
) -> dict[str, Option]:
    """Options of classes from the most derived on, which has the last word on each."""
    found: dict[str, Option] = {}
    for signature, docstring in own:
        helps = helps_in(docstring or "")
        for name, annotation, default in signature:
            before = found.get(name)
            text, metavar = helps.get(name, ("", None))
            if before is None:
                found[name] = Option(name, annotation, default, text, metavar, kinds)
            elif not before.help:  # a class that only changes a default need not explain it again
                found[name] = before._replace(help=text, metavar=metavar)
    return found


def helps_in(docstring: str) -> dict[str, tuple[str, str | None]]:
    """What the "Args" of a docstring say of each, "name (METAVAR): help": help and metavar."""
    section = re.search(r"\n\s*Args[^\n]*:\n(.*?)(\n\s*\n|\Z)", docstring, re.S)
    if not section:
        return {}
    lines = inspect.cleandoc(section[1]).splitlines()
    found: dict[str, tuple[str, str | None]] = {}
    for line in lines:
        if match := re.match(r"(\w+)(?: \(([^)]+)\))?: (.*)", line):
            name, metavar, text = match.groups()
        elif found:
            text += " " + line.strip()
        else:
            continue
        found[name] = text.strip().rstrip("."), metavar
    return found


def configuration(method: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """Given options, and the defaults of the others.

    Raises:
        TypeError: the class has no such option, or an option of no known kind.
        ValueError: a value is not allowed.
    """
    options = options_of(method)
    if unknown := given.keys() - options.keys():
        raise TypeError(
            f"{method.__name__} has no option {', '.join(sorted(unknown))}: "
            f"it has {', '.join(options)}"
        )
    return {
        name: option.check(given.get(name, option.default))
        for name, option in options.items()
        if name in given or option.default is not inspect.Parameter.empty
    }
