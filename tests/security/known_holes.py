"""Holes of dependencies that are known and mended: from which release on, so that nobody goes back behind one.

Kept by hand, and read without a network: it says that what is pinned has these, not that there are no others.
"""

from typing import NamedTuple


class Hole(NamedTuple):
    """A hole of a package that is closed since a release."""

    package: str
    closed_in: str
    name: str


CLOSED = (
    Hole("aiohttp", "3.13.3", "CVE-2025-69228 memory by multipart"),
    Hole("aiohttp", "3.13.3", "CVE-2025-69229 blocking by chunks"),
    Hole("aiohttp", "3.13.4", "CVE-2026-22815 headers without end"),
    Hole("aiosmtpd", "1.4.6", "CVE-2024-34083 commands before STARTTLS"),
    Hole("certifi", "2024.7.4", "CVE-2024-39689 a root that is trusted no more"),
    Hole("cryptography", "44.0.1", "CVE-2024-12797 raw public keys unverified"),
    Hole("filelock", "3.20.1", "CVE-2025-68146 a link followed"),
    Hole("idna", "3.7", "CVE-2024-3651 time by long names"),
    Hole("protobuf", "6.31.1", "CVE-2025-4565 depth without end"),
    Hole("pydantic", "2.4.0", "CVE-2024-3772 time by e-mail addresses"),
    Hole("pyjwt", "2.4.0", "CVE-2022-29217 key confusion"),
    Hole("pyjwt", "2.10.1", "CVE-2024-53861 issuer compared in part"),
    Hole("pyyaml", "5.4", "CVE-2020-14343 objects from text"),
    Hole("ray", "2.52.0", "CVE-2025-62593 jobs by a browser's page"),
    Hole("requests", "2.32.4", "CVE-2024-47081 credentials to another host"),
    Hole("setuptools", "78.1.1", "CVE-2025-47273 paths out of the folder"),
    Hole("urllib3", "2.5.0", "CVE-2025-50181 redirects followed"),
    Hole("urllib3", "2.6.0", "CVE-2025-66418 decompression without end"),
    Hole("virtualenv", "20.26.6", "CVE-2024-53899 commands in activation"),
)
