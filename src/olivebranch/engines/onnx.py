"""The quantised engine: ONNX Runtime with dynamic int8 weights, for CPUs."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime
from scipy.special import softmax

from olivebranch.checkpoints import ONNX, Manifest, tokenizer_source
from olivebranch.engines.encoder import EncoderEngine
from olivebranch.networks import load_tokenizer


class OnnxEngine(EncoderEngine):
    """Runs what `olivebranch export --onnx` wrote."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        super().__init__(load_tokenizer(tokenizer_source(folder, manifest)), manifest.max_length)
        self.session = onnxruntime.InferenceSession(folder / ONNX, providers=["CPUExecutionProvider"])
        self.names = {item.name for item in self.session.get_inputs()}

    def forward(self, inputs: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """See `EncoderEngine`."""
        logits, tags = self.session.run(None, {name: block for name, block in inputs.items() if name in self.names})
        return logits, softmax(tags, axis=-1)
