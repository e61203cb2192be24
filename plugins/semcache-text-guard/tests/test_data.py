"""The data files of English, and what the loader refuses in any such file: with the file, the line and the remedy."""

from __future__ import annotations

import shutil
from importlib.resources import files
from pathlib import Path

import pytest

from semcache_text_guard.language.files import DataError
from semcache_text_guard.language.loader import load

SHIPPED = Path(str(files("semcache_text_guard") / "data" / "en"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the shipped data, to be spoiled."""
    return Path(shutil.copytree(SHIPPED, tmp_path / "en"))


def refusal(folder: Path) -> str:
    with pytest.raises(DataError) as caught:
        load(folder)
    return str(caught.value)


def test_the_shipped_data_loads() -> None:
    english = load(SHIPPED)

    assert english.groups[english.stem("pay")] == english.groups[english.stem("salary")]
    assert english.stem("disable") in english.opposites[english.stem("enable")]
    assert english.sets[english.stem("paris")] == {"city"}


def test_no_group_names_a_word_of_another() -> None:
    english = load(SHIPPED)
    lines = [line.partition("#")[0].split() for line in (SHIPPED / "synonyms.txt").read_text("utf-8").splitlines()]

    for words in filter(None, lines):
        assert {english.groups[english.stem(word)] for word in words} == {english.stem(words[0])}


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        (
            "synonyms.txt",
            "fast quick\n# a comment\nrapid quickly quick\n",
            "synonyms.txt:3: 'quick' stands in another group, synonyms.txt:1; keep it in one of the two, or make them "
            "one group",
        ),
        (
            "synonyms.txt",
            "book tome\nvolume books\n",
            "synonyms.txt:2: 'books' stands in another group, synonyms.txt:1; keep it in one of the two, or make them "
            "one group",
        ),
        ("synonyms.txt", "fast quick\nquick fast\n", "synonyms.txt:2: says what line 1 says; remove one of the two"),
        (
            "synonyms.txt",
            "cause reason causes\n",
            "synonyms.txt:1: 'causes' has the stem of a word before it; remove 'causes'",
        ),
        (
            "synonyms.txt",
            "\nalone  # a comment\n",
            "synonyms.txt:2: 'alone' is alone; a group needs two words, or remove the line",
        ),
        (
            "antonyms.txt",
            "hot - cold\n\ncold - hot\n",
            "antonyms.txt:3: says what line 1 says; remove one of the two",
        ),
        (
            "antonyms.txt",
            "hot cold\n",
            'antonyms.txt:1: expected two sides with " - " between them; write "open - close shut"',
        ),
        (
            "antonyms.txt",
            "hot - \n",
            'antonyms.txt:1: expected two sides with " - " between them; write "open - close shut"',
        ),
        (
            "antonyms.txt",
            "open - opens\n",
            "antonyms.txt:1: 'open' and 'opens' have one stem; remove one of the two",
        ),
        (
            "irregular.tsv",
            "buy\tbought\nbring\tbought\n",
            "irregular.tsv:2: 'bought' is a form of 'buy' already; remove one of the two",
        ),
        (
            "irregular.tsv",
            "buy\tbought\nbuy\tbought\n",
            "irregular.tsv:2: says what line 1 says; remove one of the two",
        ),
        (
            "sets.toml",
            'named = "city"\n\n[sets]\ncity = """\nparis rome\nparis"""\n',
            "sets.toml:6: 'paris' stands twice in the list 'city'; remove one of the two",
        ),
        ("sets.toml", 'named = "city"\n', "sets.toml:1: there is no table [sets]; add it"),
        ("sets.toml", '[sets]\ncity = "rome"\n', "sets.toml:1: there is no list 'named'; write named = \"...\""),
        ("sets.toml", "named = \n", "sets.toml: Invalid value (at line 1, column 9); correct the TOML"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(folder: Path, name: str, text: str, told: str) -> None:
    (folder / name).write_text(text, "utf-8")

    assert refusal(folder) == told


def test_a_pair_that_is_both_synonym_and_antonym_is_refused(folder: Path) -> None:
    (folder / "synonyms.txt").write_text("fast quick\nopen ajar unlocked\n", "utf-8")
    (folder / "antonyms.txt").write_text("up - down\nopen - locked unlocked\n", "utf-8")

    assert refusal(folder) == (
        "antonyms.txt:2: 'open' and 'unlocked' are synonyms, synonyms.txt:2; take one out of that group, or out of "
        "this line"
    )


def test_a_word_twice_in_a_list_of_words_is_refused(folder: Path) -> None:
    file = folder / "words.toml"
    file.write_text(file.read_text("utf-8").replace('no_plurals = """\n', 'no_plurals = """\nnews\n'), "utf-8")

    assert "'news' stands twice in the list 'no_plurals'; remove one of the two" in refusal(folder)
