"""The `greenroom` command: what players' backends need from a terminal, from serve to inspect."""

import typer

app = typer.Typer(no_args_is_help=True, help="Greenroom: a game backend of durable actors.", pretty_exceptions_enable=False)


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


def main() -> None:
    app()


if __name__ == "__main__":
    main()
