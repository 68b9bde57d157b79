"""Names in a tag, and the models that carry it."""

import pytest

from dogs_vs_cats.data.arrays import Dataset
from dogs_vs_cats.tracking.logged_models import as_tag, from_tag
from dogs_vs_cats.training.recording import data_tags


@pytest.mark.parametrize(
    "names", [["cats", "dogs"], ["bad, rotten", "good"], ['"a"', "[b]"], ["1", "null"], ["é", "猫, 犬"]]
)
def test_names_come_out_of_a_tag_as_they_went_in(names: list[str]) -> None:
    assert from_tag(as_tag(names)) == names
    dataset = Dataset("zip", names, [], 32, "digest", {"train": 2})
    assert from_tag(data_tags(dataset)["classes"]) == names


@pytest.mark.parametrize(
    ("text", "names"), [("cats, dogs", ["cats", "dogs"]), ("[x], [y]", ["[x]", "[y]"]), ("", [""])]
)
def test_tags_of_version_0_1_are_read(text: str, names: list[str]) -> None:
    assert from_tag(text) == names
