"""A style space to play with, in a window or as a page: what explore.py does."""

from __future__ import annotations

from contextlib import nullcontext

from mnist.commands.explore_page import described
from mnist.commands.explored import Explored
from mnist.commands.flags import ExploreFlags
from mnist.commands.tools import check_output, open_run, write
from mnist.figures.display import Probe
from mnist.figures.page import page

PAGE = "explore.html"  # in the run's own directory, where there can be no window


def explore(flags: ExploreFlags) -> None:
    """Do what the command line says.

    Raises:
        UserError: any user error.
    """
    output = check_output(flags.html, (".html", ".htm"), "--html")
    with nullcontext() if output else Probe() as probe:
        space = Explored(open_run(flags, "generate"), flags)
        obstacle = probe.obstacle() if probe else None
    if output is None and obstacle is None:
        open_window(space, flags)
        return
    if output is None:
        print(f"no window, as {obstacle}")
        output = flags.directory / PAGE
    content = page(space.title, described(space))
    write(output, content)
    print(f"page written to {output}: {len(content) / 1e6:.1f} MB; open it in a browser")


def open_window(space: Explored, flags: ExploreFlags) -> None:
    """Show the window until it is closed."""
    from mnist.figures.explorer_window import show_explorer  # late: it takes Qt

    show_explorer(space, f"explore: {flags.directory}", flags.directory / "explore.png")
