"""Which slices examples are in, what their traits are, and how they are put together for the eye."""

import numpy as np
import pytest
from sklearn.metrics import precision_recall_curve

from app.core.example_views import confusion, mean_ranks, threshold_curve
from app.core.slicing import MOST_LABELS, Slice, Traits, slices, traits_of


def named(found: tuple[Slice, ...], group: str) -> dict[str, list[list[bool]]]:
    """The members of a group's slices by name, or by label."""
    return {
        one.name if one.label is None else str(one.label): [flags.tolist() for flags in one.members]
        for one in found
        if one.group == group
    }


def texts(*lengths: int, split: str = "test", subset: str = "default") -> Traits:
    return traits_of(split, subset, ["a" * length for length in lengths])


class TestTraits:
    @pytest.mark.parametrize(
        ("text", "number", "other"),
        [
            ("order 66", True, False),
            ("٣ تذاكر", True, True),
            ("Việt Nam", False, False),
            ("façade", False, False),
            ("привет", False, True),
            ("日本", False, True),
            ("mostly Latin, one я", False, True),
            ("!? — …", False, False),
            ("", False, False),
        ],
    )
    def test_of_a_text(self, text: str, number: bool, other: bool) -> None:
        found = traits_of("test", "default", [text])
        assert (found.numbers.tolist(), found.other_letters.tolist()) == ([number], [other])
        assert found.chars.tolist() == [len(text)]

    def test_of_no_text(self) -> None:
        assert traits_of("test", "default", []).chars.shape == (0,)

    def test_of_some_places_all_are_taken(self) -> None:
        whole = traits_of("test", "de", ["a", "b1", "ccc"], relevant=np.array([1, 2, 3]), labels=np.array([7, 8, 9]))
        some = whole.at(np.array([2, 0]))
        assert some.relevant is not None
        assert some.labels is not None
        assert (some.chars.tolist(), some.relevant.tolist(), some.labels.tolist()) == ([3, 1], [3, 1], [9, 7])
        assert (some.split, some.subset) == ("test", "de")


class TestSlices:
    def test_lengths_are_cut_in_three_over_all_cells(self) -> None:
        found = named(slices([texts(1, 2, 3, subset="a"), texts(4, 5, 6, subset="b")]), "Length")
        assert found == {
            "short, up to 2 characters": [[True, True, False], [False, False, False]],
            "medium, to 4 characters": [[False, False, True], [True, False, False]],
            "long, over 4 characters": [[False, False, False], [False, True, True]],
        }

    def test_a_group_of_one_slice_is_left_out(self) -> None:
        assert slices([texts(5, 5, 5)]) == ()

    def test_parts_by_what_tells_them_apart(self) -> None:
        subsets = slices([texts(5, subset="de"), texts(5, subset="fr")])
        assert named(subsets, "Part") == {"de": [[True], [False]], "fr": [[False], [True]]}
        splits = slices([texts(5, split="dev"), texts(5, split="test")])
        assert list(named(splits, "Part")) == ["dev", "test"]
        both = slices([texts(5, split="dev", subset="de"), texts(5, split="test", subset="fr")])
        assert list(named(both, "Part")) == ["dev de", "test fr"]

    def test_relevant_documents(self) -> None:
        cell = traits_of("test", "default", ["a"] * 5, relevant=np.arange(5))
        assert named(slices([cell]), "Relevant documents") == {
            "1": [[False, True, False, False, False]],
            "2 or 3": [[False, False, True, True, False]],
            "4 or more": [[False, False, False, False, True]],
        }

    def test_the_most_frequent_labels_first_and_ten_at_most(self) -> None:
        labels = [3, 3, 3, 1, 1, *range(10, 30)]
        cell = traits_of("test", "default", ["a"] * len(labels), labels=np.array(labels))
        found = named(slices([cell]), "Label")
        assert list(found)[:3] == ["3", "1", "10"]
        assert len(found) == MOST_LABELS
        assert found["1"] == [[label == 1 for label in labels]]

    def test_labels_that_only_one_cell_has_are_not_sliced_by(self) -> None:
        one, other = traits_of("test", "a", ["a", "b"], labels=np.arange(2)), texts(1, 1, subset="b")
        assert named(slices([one, other]), "Label") == {}

    def test_numbers_and_script(self) -> None:
        found = slices([traits_of("test", "default", ["room 1", "salle", "room 2 日"])])
        assert named(found, "Numbers")["contains a number"] == [[True, False, True]]
        assert named(found, "Script")["other letters, too"] == [[False, False, True]]
        assert [len(one) for one in found if one.group in {"Numbers", "Script"}] == [2, 1, 2, 1]


class TestThresholds:
    def test_the_same_as_scikit_learn(self) -> None:
        generator = np.random.default_rng(5)
        similarity = generator.normal(size=200).round(1)
        labels = generator.integers(0, 2, 200)
        found = threshold_curve(similarity, labels)
        precision, recall, thresholds = precision_recall_curve(labels, similarity)
        assert np.allclose(found.thresholds, thresholds[::-1])
        assert np.allclose(found.precision, precision[:-1][::-1])
        assert np.allclose(found.recall, recall[:-1][::-1])

    def test_f1_and_its_best(self) -> None:
        found = threshold_curve([0.9, 0.5, 0.4, 0.1], [0, 1, 1, 0])
        assert found.f1.round(4).tolist() == [0.0, 0.5, 0.8, 0.6667]
        assert found.thresholds[found.best] == 0.4

    def test_nothing_matches(self) -> None:
        with pytest.raises(ValueError, match="no pair matches"):
            threshold_curve([0.5], [0])


def test_equal_values_share_the_mean_of_their_ranks() -> None:
    assert mean_ranks([3, 1, 3, 2, 3]).tolist() == [4, 1, 4, 2, 4]


def test_confusion_leaves_out_what_has_no_label() -> None:
    assert confusion([0, -1, 1], [[1, 0], [0, 0], [1, 7]], 2).tolist() == [[1, 1], [0, 1]]
