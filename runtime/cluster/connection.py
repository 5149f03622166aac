"""Connects to a Ray cluster, or starts one on this machine, quietly."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from hyperguide.errors import HyperguideError
from hyperguide.printable import shown

# Ray's least. Only names of pictures travel through its store, never pixels.
_STORE = 80 << 20
# Seconds that a cluster has to answer: first for the connection, then for Ray.
_PATIENCE, _PATIENCE_OF_RAY = 10, 45

# Ray's settings by variables, unless the user has set them: nothing is printed, no statistics are
# sent home, and workers of a cluster on this machine get as much of it as the local run does; Ray
# would give way to any other process.
_SETTINGS = {
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".*",  # leaves out what workers and Ray itself would print
    "RAY_ENABLE_AUTO_CONNECT": "0",  # nor starts a call after the end a cluster of its own
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",
}


def refuse_missing() -> None:
    """Raise HyperguideError unless Ray Data is installed."""
    for name, value in _SETTINGS.items():  # before Ray is imported
        os.environ.setdefault(name, value)
    try:
        import pyarrow  # noqa: F401
        import ray.data  # noqa: F401
    except ModuleNotFoundError as error:
        raise HyperguideError(
            f"--ray needs the package {error.name}: pip install 'hyperguide[ray]'."
        ) from None


@contextmanager
def connected(address: str, say: Callable[[str], object]) -> Iterator[None]:
    """A connection to Ray, which ends with the context; one that exists already is used and kept.

    address: `host:port` of a cluster, `auto` for the one that runs on this machine, `local` or
        empty to start one, unless the variable RAY_ADDRESS names one.
    say: called with a sentence for the user.
    Raises HyperguideError if Ray is not installed, or the cluster cannot be reached.
    """
    refuse_missing()
    import ray

    if ray.is_initialized():
        yield
        return
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    _refuse_unreachable(address)
    if address == "local":
        say("Starts a Ray cluster on this machine.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _connect(address)
        try:
            yield
        finally:
            ray.shutdown()


def _connect(address: str) -> None:
    import ray

    local = {"include_dashboard": False, "object_store_memory": _STORE}
    options = local if address == "local" else {}
    handler = signal.getsignal(signal.SIGTERM)  # which Ray replaces
    _silence()
    try:
        with _nothing_printed():
            ray.init(address, log_to_driver=False, logging_level=logging.CRITICAL, **options)
    except Exception as error:
        if address == "auto":
            raise HyperguideError(
                "No Ray cluster runs on this machine: start it with 'ray start --head', or leave "
                "out the address."
            ) from error
        raise HyperguideError(
            f"No connection to Ray at {address}: {_first_line(error)}."
        ) from error
    finally:
        if handler is not None:  # set by Python
            signal.signal(signal.SIGTERM, handler)
    _silence()  # the loggers that it made


def nodes() -> list[Mapping[str, float]]:
    """The resources of each machine of the cluster."""
    import ray

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


@contextmanager
def _nothing_printed() -> Iterator[None]:
    """Discard what libraries in C++ print on standard error, which no option of Ray turns off."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _silence() -> None:
    for name in ("ray", "ray.data", "ray.tune", "ray.serve"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.CRITICAL + 1)
        logger.propagate = False


def _refuse_unreachable(address: str) -> None:
    """Raise HyperguideError unless a cluster answers at an address; Ray itself would wait long."""
    if address in ("local", "auto"):
        return
    if address.startswith("ray://"):
        raise HyperguideError(
            f"{address} is an address of Ray Client, which Ray Data is not made for: run this on a "
            "machine of the cluster, with host:6379 or auto."
        )
    host, colon, port = address.rpartition(":")
    if not (host and colon and port.isdecimal() and int(port) < 1 << 16):
        raise HyperguideError(
            f"{shown(address)} is no address of a Ray cluster: write host:6379, or auto, or "
            "leave it out to start one on this machine."
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), _PATIENCE).close()
    except OSError as error:
        raise HyperguideError(
            f"There is no Ray cluster at {address} ({error.strerror or error}): start it with "
            "'ray start --head', or leave out the address."
        ) from None
    # In a process of its own, because Ray's client does not always give up.
    words = [sys.executable, "-m", "ray.scripts.scripts", "health-check", "--address", address]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=_PATIENCE_OF_RAY)
        lines = done.stderr.strip().splitlines() if done.returncode else []
        healthy = done.returncode == 0
    except subprocess.TimeoutExpired:
        lines, healthy = ["it does not answer"], False
    if not healthy:
        reason = lines[-1].rstrip(".") if lines else "it is not healthy"
        raise HyperguideError(
            f"What listens at {address} is no Ray cluster that can be used ({reason}): check the "
            "address, and that both have the same version of Ray."
        )


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".")
