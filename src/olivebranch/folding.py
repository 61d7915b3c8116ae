"""Mean pooling in a plain classifier: one transformer layer more, whose first token comes to hold the mean.

Transformers' classifiers of the BERT family read the first token only. A layer with queries of zero attends to all
tokens alike; with values passed through and scaled up, its normalised output at the first token is the normalised
mean. So a model that pools by the mean loads anywhere, at the price of one layer.
"""

from typing import Any, Final

import torch
from torch import nn
from transformers import AutoModelForSequenceClassification

from olivebranch.networks import StanceNetwork

SCALE: Final = 4096.0
"""How much louder the mean is than the first token itself, which the layer adds to it. fp16 holds means up to 16."""
SMALL: Final = 2.0**-10
"""Inputs scaled so far down pass a tanh unchanged, to one part in ten thousand."""


def fold_pooling(network: StanceNetwork) -> StanceNetwork:
    """A network with `pooling` "folded" that answers as the given one, whose `pooling` is "mean"."""
    old = network.classifier
    settings = {**old.config.to_dict(), "num_hidden_layers": old.config.num_hidden_layers + 1}
    new: Any = AutoModelForSequenceClassification.from_config(type(old.config)(**settings))  # type: ignore[no-untyped-call]
    new.load_state_dict(old.state_dict(), strict=False)
    with torch.no_grad():
        _mean_layer(new.base_model.encoder.layer[-1])
        if getattr(new.base_model, "pooler", None) is not None:
            _pass_through(new.base_model.pooler.dense, SMALL)
            new.classifier.weight.div_(SMALL)
    folded = StanceNetwork(new, old.config.hidden_size, pooling="folded")
    folded.holder.load_state_dict(network.holder.state_dict())
    return folded


def _mean_layer(layer: nn.Module) -> None:
    for weight in layer.parameters():
        weight.zero_()
    for name, module in layer.named_modules():
        if isinstance(module, nn.LayerNorm):
            module.weight.fill_(1)
        elif name == "attention.self.value":
            _pass_through(module, 1)
        elif name == "attention.output.dense":
            _pass_through(module, SCALE)


def _pass_through(linear: Any, scale: float) -> None:
    nn.init.eye_(linear.weight).mul_(scale)
    linear.bias.zero_()
