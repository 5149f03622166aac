"""How many workers there are, and what each of them uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hyperguide.engines import CALLS_ON_GPU, Device
from hyperguide.engines.devices import NUMBERED
from hyperguide.errors import HyperguideError

# Cores of a worker, unless the user sets the number of workers. A process for each core would load
# the model and the libraries (about 200 MB) that often; threads of one process share them, and read
# and write while others compute.
_CORES = 4


@dataclass(frozen=True)
class Sizing:
    """The workers of a run.

    cores, gpus: of each. calls: pictures that each computes at once.
    on_machine: pictures that all workers of a machine compute at once, at most.
    """

    workers: int
    cores: int
    gpus: int
    calls: int
    on_machine: int


def size_crew(
    nodes: Sequence[Mapping[str, float]], device: Device, wanted: int | None, pictures: int
) -> Sizing:
    """Choose the workers for a cluster.

    nodes: the resources of each machine, `CPU` and `GPU`.
    wanted: number of workers; None for all machines.
    Raises HyperguideError if the cluster has nothing that the device needs.
    """
    gpus = [int(node.get("GPU", 0)) for node in nodes]
    if device.kind in NUMBERED or (device.kind == "auto" and any(gpus)):
        return _on_gpus(gpus, device, wanted, pictures)
    cores = [int(node.get("CPU", 0)) for node in nodes]
    if not sum(cores):
        raise HyperguideError(
            "The Ray cluster has no machine with CPUs for the workers: start one with "
            "'ray start --address=...'."
        )
    each = _cores_of_worker([count for count in cores if count], wanted)
    workers = min(wanted or sum(cores), sum(count // each for count in cores))
    on_machine = max(count // each * each for count in cores)
    return Sizing(min(workers, -(-pictures // each)), each, 0, each, on_machine)


def _on_gpus(gpus: list[int], device: Device, wanted: int | None, pictures: int) -> Sizing:
    if device.index:
        raise HyperguideError(
            f"With --ray the cluster gives each worker a GPU: write --device {device.kind} "
            f"instead of {device}."
        )
    if not sum(gpus):
        raise HyperguideError(
            f"No machine of the Ray cluster has a GPU for --device {device}: add one, or leave out "
            "--device."
        )
    workers = min(wanted or sum(gpus), sum(gpus), pictures)
    return Sizing(workers, 1, 1, CALLS_ON_GPU, CALLS_ON_GPU * max(gpus))


def _cores_of_worker(cores: list[int], wanted: int | None) -> int:
    """The cores of each worker: as many as let the wanted number of workers run."""
    if wanted is None:
        return min(_CORES, *cores)
    each = max(cores)
    while each > 1 and sum(count // each for count in cores) < wanted:
        each -= 1
    return each
