"""The `greenroom` command: what players' backends need from a terminal, from serve to inspect."""

import importlib
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

app = typer.Typer(
    no_args_is_help=True,
    help="Greenroom: a game backend of durable actors.",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

# Imported when they are called, completed or asked for help, so that `greenroom --help` answers at once.
TOOLS = {
    "doctor": ("scripts.doctor:doctor", "Show every setting, and whether all is well."),
    "migrate": ("scripts.migrate:migrate", "Bring the database's schema up to date."),
    "admin": ("scripts.admin:app", "Administrators, roles, bans and keys."),
    "inspect": ("scripts.inspect.command:app", "Look at any actor, awake or asleep, now or in the past."),
    "verify": ("scripts.verify.command:verify", "Prove on the data itself that nothing is lost, doubled or wrong."),
    "backup": ("scripts.backup.command:backup", "Write everything into one file, while the game goes on."),
    "restore": ("scripts.backup.command:restore", "Fill an empty Postgres from a backup."),
    "chaos": ("scripts.chaos.command:chaos", "Kill processes under load, and prove that nothing was lost."),
    "cluster": ("scripts.cluster_command:app", "Nodes, hosts and gateways: status, drain, rebalance, restart."),
    "content": ("scripts.content_command:app", "Check and publish what designers write."),
    "fraud": ("scripts.fraud:app", "Cases of suspicious players: list, show, confirm, dismiss."),
    "dead-letters": ("scripts.dead_letters:app", "Messages that could not be delivered: list, show, replay, discard."),
    "import-scores": ("scripts.import_scores:import_scores", "Import a history of goals from a CSV file."),
    "demo": ("scripts.demo:demo", "Bots play a living world on a server."),
    "bench": ("scripts.bench.command:bench", "Measure Greenroom against plain programs on this machine."),
}


@app.command()
def serve() -> None:
    """Start everything in the foreground: Postgres, Redis, Ray, hosts and gateways. Ctrl-C stops it."""
    from schemas.settings import Settings
    from scripts.serve import serve as run

    raise typer.Exit(run(Settings()))


@app.command()
def version() -> None:
    """Print the version."""
    from importlib.metadata import version as of

    print(of("greenroom"))


class Tool(TyperCommand):
    """A command that stands for one in a module that is not imported yet."""

    def __init__(self, name: str, path: str, help_text: str) -> None:
        super().__init__(name, help=help_text, short_help=help_text)
        self.path = path

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Everything that is done with a command begins with its context: hand over to the real one."""
        return self.real().make_context(info_name, args, parent, **extra)

    def real(self) -> Any:
        module, _, name = self.path.partition(":")
        found = getattr(importlib.import_module(module), name)
        if isinstance(found, typer.Typer):
            return get_command(found)
        alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        alone.command(self.name)(found)
        return get_command(alone)


def group() -> TyperGroup:
    """The whole command with all tools."""
    root = get_command(app)
    assert isinstance(root, TyperGroup)  # noqa: S101 - an app of several commands is a group
    for name, (path, help_text) in TOOLS.items():
        root.add_command(Tool(name, path, help_text))
    return root


def main() -> None:
    group()(prog_name="greenroom")


if __name__ == "__main__":
    main()
