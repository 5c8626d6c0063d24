"""`hms tools`: which outside tools there are, and from where; what is missing is installed."""

import json
from collections.abc import Sequence
from typing import get_args

import click

from hms.errors import UsageError
from hms.paths import tools_bin
from hms.tools.catalogue import ON_DEMAND, Catalogue, Group, Tool
from hms.tools.install import installer, toolbox
from hms.tools.listing import as_document, as_table


@click.command()
@click.argument("names", nargs=-1, metavar="[TOOL|GROUP]...")
@click.option("--list", "only_list", is_flag=True, help="Say how it stands and install nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.option("--path", "only_path", is_flag=True, help="Print the folder to put first on the path, and nothing else.")
def tools(names: tuple[str, ...], only_list: bool, as_json: bool, only_path: bool) -> None:
    """List the outside tools, and install or build those that are missing.

    For each tool: what the machine has, if its version serves; else the ordinary installation (the publisher's
    download, or apt-get); else a build from Go modules whose versions and sums are pinned in tools/. What is
    downloaded or built is kept in the user's cache, and links to all commands in one folder (--path).

    Without a name all are meant that a user needs; a GROUP is stack, cluster, images, build or tests.
    Exit code 1 if one could not be had.
    """
    if only_path:
        click.echo(tools_bin())
        return
    able = installer(lambda line: click.echo(line, err=True))
    chosen = _chosen(able.pins, names)
    if only_list:
        standings = able.survey(chosen, thorough=True)
    else:
        # Go is had when a build asks for it, what only the tests need when they are run, each when the user names it.
        wanted = [tool for tool in chosen if names or not ON_DEMAND.issuperset(tool.groups)]
        standings = able.install(wanted, thorough=True)
        standings += able.survey([tool for tool in chosen if tool not in wanted])
    click.echo(json.dumps(as_document(standings), indent=2) if as_json else as_table(standings))
    if not only_list:
        toolbox([standing for standing in standings if standing.installed or names or not standing.on_demand])


def _chosen(pins: Catalogue, names: Sequence[str]) -> tuple[Tool, ...]:
    """Return the tools that the arguments name, by themselves or by their group; all if there are none."""
    groups = {name for name in names if name in get_args(Group)}
    wanted = {tool.name for tool in pins.tools.values() if not names or groups & set(tool.groups)}
    try:
        return pins.select(wanted | (set(names) - groups))
    except UsageError as error:
        raise UsageError(error.message, remedy=f"{error.remedy} Groups are {', '.join(get_args(Group))}.") from error
