"""The reference engine: torch in fp32 on the CPU, bf16 on a GPU that has it."""

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch

from olivebranch.checkpoints import Manifest, load_network, tokenizer_source
from olivebranch.engines.encoder import EncoderEngine
from olivebranch.networks import load_tokenizer


class TorchEngine(EncoderEngine):
    """Runs a fine-tuned network."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        super().__init__(load_tokenizer(tokenizer_source(folder, manifest)), manifest.max_length)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.network = load_network(folder, manifest).to(self.device).eval()

    @torch.inference_mode()
    def forward(self, inputs: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """See `EncoderEngine`."""
        tensors = {name: torch.from_numpy(block).to(self.device) for name, block in inputs.items()}
        lower = self.device.type == "cuda" and torch.cuda.is_bf16_supported()
        with torch.autocast("cuda", torch.bfloat16) if lower else nullcontext():
            output = self.network(**tensors)
        tags = output["tag_logits"].float().softmax(-1)
        return output["logits"].float().cpu().numpy(), tags.cpu().numpy()
