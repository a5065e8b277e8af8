"""Finds the cluster, or says clearly why there is none."""

from __future__ import annotations

import atexit
import socket
from typing import TYPE_CHECKING, Any

from headrace import _core

if TYPE_CHECKING:
    from headrace._internal.ray_backend.bridge import Bridge

# What the bridge needs of Ray: to be called when an output of a task is there, and to read the
# outputs of a task in pairs.
_NEEDED_VERSION = "2.60"
# How long the head of a cluster may take to answer: Ray itself tries for minutes.
_SECONDS_TO_ANSWER = 10.0


def connect(address: str | None, **options: Any) -> Bridge:
    """Returns the bridge to the Ray cluster at `address`.

    A process that is connected to a cluster already stays with it. Else None means what it means to
    `ray.init`: the cluster that RAY_ADDRESS names, or a new one on this machine.

    Args:
        address: as `ray.init` takes it.
        options: further arguments of `ray.init`.

    Raises:
        ImportError: Ray is not installed, or too old.
        ConnectionError: there is no cluster at `address`.
        NotImplementedError: `address` is that of a Ray client, "ray://...".
    """
    ray = _import_ray()
    from headrace._internal.ray_backend.bridge import Bridge

    owns = not ray.is_initialized()
    if owns:
        _check_address(address)
        given = {name: value for name, value in options.items() if value is not None}
        try:
            ray.init(address=address, **given)
        except (ConnectionError, TimeoutError) as error:
            raise _no_cluster(address, error) from error
        # Before Ray's own, which was registered when it was imported.
        atexit.register(_core.shutdown)
    return Bridge(owns)


def _check_address(address: str | None) -> None:
    """Raises ConnectionError if nobody listens at "host:port"."""
    if address is None:
        return
    if address.startswith("ray://"):
        raise NotImplementedError(
            f"the driver must be a process of the cluster, not a Ray client as {address!r} makes "
            "it: run it on one of the nodes, or submit it as a Ray job"
        )
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_SECONDS_TO_ANSWER).close()
    except OSError as error:
        raise _no_cluster(address, error) from error


def _no_cluster(address: str | None, error: Exception) -> ConnectionError:
    where = f"at {address!r}" if address else "where RAY_ADDRESS says"
    return ConnectionError(
        f"there is no Ray cluster {where}: {error}. Start one with `ray start --head`, or leave "
        "the address out to run one on this machine"
    )


def _import_ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise ImportError(
            f"backend='ray' needs Ray, which is not installed: pip install 'ray>={_NEEDED_VERSION}'"
        ) from error
    has_all = hasattr(ray.ObjectRef, "_on_ready") and hasattr(
        ray.ObjectRefGenerator, "_get_next_ref_n"
    )
    if not has_all:
        raise ImportError(
            f"backend='ray' needs Ray {_NEEDED_VERSION} or newer, this is {ray.__version__}"
        )
    return ray
