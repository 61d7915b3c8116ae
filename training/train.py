"""Fine-tune a recipe: the same as `olivebranch train`, as a script.

python training/train.py minilm                                # or --recipe minilm
python training/train.py --recipe training/recipes/quick.yaml --output demo/quick
python training/train.py --init olivebranch-minilm --data my.jsonl --output runs/mine
torchrun --nproc-per-node 2 training/train.py --recipe minilm       # two GPUs, or two processes on the CPU
"""

import sys

from olivebranch.cli import main

if __name__ == "__main__":
    if len(sys.argv) > 1 and not sys.argv[1].startswith("-"):
        sys.argv.insert(1, "--recipe")
    main("train")
