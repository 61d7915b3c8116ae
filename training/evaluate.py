"""Measure a model on labelled sentences: the same as `olivebranch evaluate`, as a script.

python training/evaluate.py --data data/statements/test.jsonl
python training/evaluate.py --model runs/minilm-seed0 --data my.jsonl --misread misread.jsonl --json
"""

from olivebranch.cli import main

if __name__ == "__main__":
    main("evaluate")
