"""Training one pair with several processes, started by torchrun, one rank for each device.

Every rank draws its own share of each batch. Each network is wrapped separately, because the
inner and the outer step send gradients to only one of them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from hyperguide.errors import HyperguideError

from .model import GuidedModel


@dataclass(frozen=True)
class World:
    """This process among those that train together.

    rank: number of this process; 0 validates, saves and reports.
    size: number of processes.
    device: where this process computes.
    """

    rank: int
    size: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this process validates, saves and reports."""
        return self.rank == 0

    def wrap(self, model: GuidedModel) -> GuidedModel:
        """The pair on this device, each network with a wrapper that averages its gradients."""
        model.to(self.device)
        if self.size == 1:
            return model
        proxy = model.proxy
        if proxy is not None and model.has_theta:
            proxy = self._wrap(proxy)
        return GuidedModel(proxy, self._wrap(model.reconstruction))

    def _wrap(self, network: nn.Module) -> nn.Module:
        ids = [self.device.index] if self.device.type == "cuda" else None
        return DistributedDataParallel(network, device_ids=ids)

    def mean(self, value: Tensor) -> Tensor:
        """The mean of a number over all processes."""
        if self.size > 1:
            value = value.clone()
            torch.distributed.all_reduce(value)
            value /= self.size
        return value

    def any(self, flag: bool) -> bool:
        """Whether a flag is set in any process; all processes get the same answer."""
        if self.size == 1:
            return flag  # avoids a GPU transfer in every step
        return float(self.mean(torch.tensor(float(flag), device=self.device))) > 0

    def wait(self) -> None:
        """Wait until all processes have reached this point."""
        if self.size > 1:
            torch.distributed.barrier()

    def leave(self) -> None:
        """Exit this process with status 0 if it is one of several.

        Gloo's threads outlive their group. If one releases a tensor during interpreter shutdown,
        the process aborts and torchrun kills the others, so shutdown is skipped.
        """
        if self.size > 1:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(0)

    def gather(self, sentences: list[str]) -> list[str]:
        """The sentences of all processes, in order of rank."""
        if self.size == 1:
            return sentences
        gathered: list[list[str]] = [[] for _ in range(self.size)]
        torch.distributed.all_gather_object(gathered, sentences)
        return [sentence for part in gathered for sentence in part]


@contextmanager
def join(device: str) -> Iterator[World]:
    """Join the processes that torchrun started, or be the only one.

    device: `auto` (a GPU if there is one), `cpu` or `cuda`.
    Raises HyperguideError if `cuda` finds no GPU, the processes were not started by torchrun, or
    they outnumber the GPUs.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    there = torch.cuda.device_count() if device != "cpu" else 0
    if device == "cuda" and not there:
        raise HyperguideError("There is no GPU that torch can use: train with --device cpu.")
    needed = ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT") if size > 1 else ()
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if any(name not in os.environ for name in needed) or (there and local >= there):
        raise HyperguideError(
            "Several processes are started with torchrun, at most one for each GPU: see the "
            "examples of 'hyperguide train --help'."
        )
    chosen = torch.device("cuda", local) if there else torch.device("cpu")
    if there:
        torch.cuda.set_device(chosen)
    if size == 1:
        yield World(0, 1, chosen)
        return
    torch.distributed.init_process_group("nccl" if there else "gloo")
    try:
        yield World(torch.distributed.get_rank(), size, chosen)
    finally:
        torch.distributed.destroy_process_group()
