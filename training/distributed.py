"""Several processes that train one pair: what torchrun starts, one rank for each device.

Every rank draws its own share of each batch, and each network is wrapped on its own, because the
inner and the outer step send gradients to one of them only.
"""

from __future__ import annotations

import os
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
    """Where this process stands.

    rank: number of this process, 0 is the one that validates, saves and reports.
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
        if proxy is not None and any(p.requires_grad for p in proxy.parameters()):
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

    def wait(self) -> None:
        """Wait until every process is here."""
        if self.size > 1:
            torch.distributed.barrier()


@contextmanager
def join(device: str) -> Iterator[World]:
    """Join the processes that torchrun started, or be the only one.

    device: `auto` takes a GPU where there is one; `cpu`; `cuda`.
    Raises HyperguideError if a GPU is asked for that is not there.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    rank = int(os.environ.get("RANK", "0"))
    there = torch.cuda.is_available()
    if device == "cuda" and not there:
        raise HyperguideError("There is no GPU that torch can use: train with --device cpu.")
    if device == "cpu" or not there:
        chosen = torch.device("cpu")
    else:
        chosen = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(chosen)
    if size == 1:
        yield World(0, 1, chosen)
        return
    torch.distributed.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield World(rank, size, chosen)
    finally:
        torch.distributed.destroy_process_group()
