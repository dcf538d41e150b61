"""Runs inside `ray start`, at Ray's own hook: leaves out what Greenroom does not use, and the dashboard for later."""

import json
import os
import sys
from pathlib import Path
from typing import Any


class _Recorded(BaseException):
    """Carries the dashboard's command out of Ray's function, past its `except Exception`."""


def adjust(parameters: Any, head: bool) -> None:
    """Takes Ray's start parameters; Ray calls it because RAY_START_HOOK names it."""
    # A door for remote drivers, on port 10001 of every such cluster; ours live on this machine.
    parameters.ray_client_server_port = None
    if head:
        _defer_dashboard(sys.modules["ray._private.services"])


def _defer_dashboard(services: Any) -> None:
    # Ray waits seconds for its dashboard before it goes on. Here the command is written down for the supervisor.
    start_process, start_api_server = services.start_ray_process, services.start_api_server

    def record(command: list[str], *_: Any, **__: Any) -> None:
        raise _Recorded(command)

    def prepare(include_dashboard: bool, *arguments: Any, **options: Any) -> tuple[str, None]:
        services.start_ray_process = record
        try:
            start_api_server(include_dashboard, *arguments, **options)
        except _Recorded as recorded:
            command = [*recorded.args[0], f"--modules-to-load={os.environ['GREENROOM_DASHBOARD_MODULES']}"]
            Path(os.environ["GREENROOM_DASHBOARD_COMMAND"]).write_text(json.dumps(command))
        finally:
            services.start_ray_process = start_process
        return "", None

    services.start_api_server = prepare
