from olivebranch.labels import ID_TO_LABEL, LABEL_TO_ID, LABELS, QUESTIONS, STANCES


def test_none_is_class_zero_and_no_stance() -> None:
    assert LABELS[0] == "none"
    assert STANCES == ("pro_negotiation", "rejection", "skepticism", "maximalist_demand")


def test_every_label_has_an_id_and_a_question() -> None:
    assert [ID_TO_LABEL[LABEL_TO_ID[label]] for label in LABELS] == list(LABELS)
    assert set(QUESTIONS) == set(LABELS)
