"""`hms`: every command is a file of this folder, loaded when it is called so that `hms --help` is quick."""

import importlib
import sys

import click

from hms import __version__
from hms.errors import HmsError

COMMANDS = {
    "tools": ("tools", "List the outside tools, and install or build those that are missing."),
    "cluster": ("cluster", "The test cluster: a real three-node Kubernetes on this machine."),
    "images": ("images", "Build the images and load them into the cluster."),
    "up": ("stack", "Provision a stack: `pulumi up`."),
    "preview": ("stack", "Show what `up` would change: `pulumi preview`."),
    "destroy": ("stack", "Remove a stack: `pulumi destroy`."),
    "env": ("stack", "Print the environment in which `pulumi` finds its tools and state, for `eval`."),
    "smoke": ("smoke", "Check that the running stack is what it declares."),
    "load": ("load", "Load the stack and record throughput and latency."),
    "data": ("data", "Fill the stack with a history of releases and of searches, for loads at millions of rows."),
    "drill": ("drill", "Break the stack and record what was lost and for how long."),
    "bench": ("bench", "Measure the service alone, on this machine, beside what raw SQL gives."),
    "judge": ("judge", "Hold the claims against evidence and print the verdicts."),
    "verify": ("judge", "Recompute evidence's digests, figures and verdicts."),
    "report": ("report", "Write the report of evidence as one HTML file."),
    "prove": ("prove", "All of it: provision, check, load, break, judge, report."),
}


class LazyGroup(click.Group):
    """A group that imports a command's file when the command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order of a user's work."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command `cmd_name`, found in its file by the same name."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"hms.cli.{COMMANDS[cmd_name][0]}")
        command = getattr(module, cmd_name)
        if not isinstance(command, click.Command):
            raise TypeError(f"hms.cli.{COMMANDS[cmd_name][0]}.{cmd_name} is not a command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="hms")
def cli() -> None:
    """Provision, load, break and prove the ICD-10 terminology stack.

    Exit codes: 0 all is well; 1 a claim was breached or something failed; 2 the command or a file of yours
    is wrong.
    """


def main() -> None:
    """Run the command line; errors of ours are one clear message, never a traceback."""
    try:
        cli.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except HmsError as error:
        click.echo(f"hms: {error}", err=True)
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("hms: interrupted", err=True)
        sys.exit(130)
