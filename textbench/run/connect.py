"""A connection to a Ray cluster; Ray is imported here alone, and only when it is asked for."""

from __future__ import annotations

import importlib
import logging
import os
import socket
from contextlib import suppress
from typing import Any

from textbench.contracts.errors import UserError, one_line

ANSWERS = 10.0
"""Seconds within which an address must answer."""


def connect(address: str, cores: int) -> Any:
    """Connect to a cluster, or start one on this machine; return the module ``ray``.

    Args:
        address: ``host:port`` of a cluster; ``RAY_ADDRESS`` counts where it is empty.
        cores: How many runs a cluster that is started here takes at once.

    Raises:
        UserError: Ray is not installed, or no cluster answers there.
    """
    try:
        ray = importlib.import_module("ray")
    except ImportError:
        hint = "`pip install 'textbench[ray]'`"
        raise UserError(f"--engine ray needs Ray, which is not installed: {hint}") from None
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    address = address or os.environ.get("RAY_ADDRESS", "")
    options: dict[str, Any] = {"address": address}
    if not address:
        options = {"address": "local", "num_cpus": cores, "include_dashboard": False}
        options["_node_ip_address"] = "127.0.0.1"  # nobody else's business
    elif address != "auto":
        _check_address(address)
    try:
        ray.init(log_to_driver=False, logging_level=logging.CRITICAL, **options)
    except Exception as error:  # Ray raises several kinds, none of them documented
        what = f"--address {address}" if address else "--engine ray"
        hint = "; where it asks for a token, set RAY_AUTH_MODE and RAY_AUTH_TOKEN" * bool(address)
        raise UserError(f"{what}: no Ray cluster: {one_line(error)}{hint}") from None
    _hush()
    return ray


def _hush() -> None:
    """Keep Ray from printing pages of a dead machine's log over the progress.

    It has no switch for that. Where a later version has another name for it, it prints.
    """
    with suppress(ImportError):
        worker = importlib.import_module("ray._private.worker")
        if hasattr(worker, "print_to_stdstream"):
            worker.__dict__["print_to_stdstream"] = lambda *_, **__: None


def _check_address(address: str) -> None:
    """Refuse an address where nobody answers: Ray would wait for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise UserError(f"--address {address}: expected HOST:PORT, e.g. 10.0.0.5:6379")
    try:
        socket.create_connection((host.strip("[]"), int(port)), ANSWERS).close()
    except OSError as error:
        raise UserError(f"--address {address}: nobody answers there: {one_line(error)}") from None
