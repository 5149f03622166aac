"""The optimizer of a network and its step sizes during a run."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.optim import Optimizer

from .muon import MuonWithAdam
from .preset import Schedule


def build_optimizer(network: nn.Module, schedule: Schedule, lr: float) -> Optimizer:
    """The schedule's optimizer for a network; `lr` is the step size of its convolutions."""
    if schedule.optimizer == "muon":
        return MuonWithAdam.for_network(network, lr, schedule.adam_lr)
    # The paper's beta_1 and beta_2 (Sec. 5.1.1) are torch's defaults.
    optimizer = torch.optim.Adam(network.parameters(), lr)
    for group in optimizer.param_groups:
        group["base_lr"] = lr
    return optimizer


def set_lr_factor(optimizer: Optimizer, factor: float) -> None:
    """Scale every step size to `factor` of its base value."""
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * factor


def lr_factor(schedule: Schedule, outer: int) -> float:
    """Factor on the base step size at an outer step; 1 before the first (the warm-up)."""
    share = max(outer, 0) / schedule.steps
    match schedule.shape:
        case "cosine":
            return 0.5 * (1 + math.cos(math.pi * share))
        case "milestones":
            return float(schedule.gamma ** sum(share >= m for m in schedule.milestones))
        case "constant":
            return 1.0


def step_size(optimizer: Optimizer) -> float:
    """The current step size of the first group, for the log."""
    return float(optimizer.param_groups[0]["lr"])
