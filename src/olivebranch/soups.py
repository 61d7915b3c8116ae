"""Several trainings from the same first weights, made into one network by the mean of their weights.

Model soups, Wortsman et al. 2022 (arXiv:2203.05482): near the ensemble in accuracy, as fast as one of its members.
"""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from olivebranch.networks import StanceNetwork

Weights = dict[str, Tensor]


def trained_weights(network: StanceNetwork) -> Weights:
    """Copies of the weights that training changes, by name."""
    return {name: weight.detach().cpu().clone() for name, weight in network.named_parameters() if weight.requires_grad}


def average(network: StanceNetwork, members: Sequence[Weights]) -> None:
    """Give the network the mean of its members' weights.

    The change that an adapter makes is the product of two matrices, and the mean of such products is not the product of
    the means: the members' matrices are put side by side, so that the adapter's rank grows by their number.

    Args:
        members: `trained_weights` of the same network after each training.
    """
    if len(members) > 1 and hasattr(network.classifier, "peft_config"):
        network.classifier = _widened(network.classifier, len(members))
    network.load_state_dict({name: _joined(name, [weights[name] for weights in members]) for name in members[0]}, strict=False)


def _widened(adapted: Any, times: int) -> Any:
    from peft import get_peft_model

    config = copy.deepcopy(adapted.peft_config["default"])
    config.r *= times
    config.lora_alpha *= times  # the scale of an adapter is alpha / r
    return get_peft_model(adapted.unload(), config)


def _joined(name: str, weights: Sequence[Tensor]) -> Tensor:
    if "lora_A" in name or "lora_embedding_A" in name:
        return torch.cat(list(weights), dim=0)
    if "lora_B" in name or "lora_embedding_B" in name:
        return torch.cat([weight / len(weights) for weight in weights], dim=1)
    return torch.stack(list(weights)).mean(dim=0)
