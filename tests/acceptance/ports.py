"""Where a server and all that it started listen."""

from ipaddress import IPv6Address, ip_address

import psutil


def listening_elsewhere(root: int) -> list[str]:
    """Sockets of this process and its descendants that listen on another address than loopback."""
    family = {root, *(child.pid for child in psutil.Process(root).children(recursive=True))}
    return [
        f"{connection.pid} {connection.laddr}"
        for connection in psutil.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
        and connection.pid in family
        and not _is_loopback(connection.laddr.ip)
    ]


def _is_loopback(address: str) -> bool:
    parsed = ip_address(address)
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return (mapped or parsed).is_loopback
