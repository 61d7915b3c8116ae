"""The label scheme, in its one place. `data/CODEBOOK.md` is the guideline behind it."""

from typing import Final, Literal, get_args

Label = Literal["none", "pro_negotiation", "rejection", "skepticism", "maximalist_demand"]

LABELS: Final[tuple[Label, ...]] = get_args(Label)
"""All labels; the position of a label is its class index in every model."""

STANCES: Final[tuple[Label, ...]] = LABELS[1:]
"""The labels that convey a stance, and so may have a holder."""

LABEL_TO_ID: Final[dict[str, int]] = {label: index for index, label in enumerate(LABELS)}
ID_TO_LABEL: Final[dict[int, str]] = dict(enumerate(LABELS))

QUESTIONS: Final[dict[Label, str]] = {
    "none": "Is no position toward negotiation conveyed?",
    "pro_negotiation": "Does the holder want, offer, accept or defend talks, a truce, mediation or an agreement?",
    "rejection": "Does the holder refuse, rule out, break off or walk away from them, or from the terms put forward?",
    "skepticism": "Does the holder doubt that they are sincere, workable or worth anything, without refusing?",
    "maximalist_demand": "Does the holder ask the other side to give up the heart of the dispute, or make peace wait for that?",
}
"""The question that each label answers, as an annotator is asked it."""
