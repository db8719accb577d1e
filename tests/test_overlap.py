"""Who of the tested people was seen in a training on another dataset."""

import pytest

from stages.recognition.overlap import seen


def test_people_of_mlfw_whom_lfw_shows_are_named_once_and_sorted():
    train = ["Bo_Li", "Abel_Pacheco", "Amelie_Mauresmo"]
    tested = ["Zico", "Bo_Li", "Jean-David_Levitte", "Abel_Pacheco", "Bo_Li"]
    assert seen(train, tested) == ["Abel_Pacheco", "Bo_Li"]
    assert seen(iter(train), iter(tested)) == ["Abel_Pacheco", "Bo_Li"]
    assert seen([], tested) == seen(train, []) == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Abel_Pacheco", "abel pacheco"),
        ("Adrien_Brody", "AdrienBrody"),  # as MFR2 writes
        ("Jean-David_Levitte", "Jean_David__Levitte"),
        ("Amelie_Mauresmo", "Am\u00e9lie_Mauresmo"),  # a letter with its accent
        ("Amelie_Mauresmo", "Ame\u0301lie_Mauresmo"),  # a letter and an accent
        ("Bo_Li", "\uff22\uff4f_\uff2c\uff49"),  # wide letters
        ("Bo_Li", "_Bo_Li "),
    ],
)
def test_one_name_written_in_two_ways(one: str, other: str):
    assert seen([one], [other]) == [other]
    assert seen([other], [one]) == [one]


@pytest.mark.parametrize(
    "label", ["s1", "0001", "0001_0002", "anna", "photo-0001", "m-001", "Abel_2", "_Zico_", "", "_"]
)
def test_labels_and_single_words_are_no_names(label: str):
    assert seen([label], [label]) == []


@pytest.mark.parametrize("other", ["Bo_Lin", "Li_Bo", "Bo", "Mo_Li"])
def test_other_names_are_other_people(other: str):
    assert seen(["Bo_Li"], [other]) == []
