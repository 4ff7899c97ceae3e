"""Caption figures against hand-made vectors and a naive second CIDEr, written from its paper."""

import math
import shutil
import sys
from collections import Counter
from random import Random

import pytest

from eval.errors import CaptionPartMissing
from eval.scorers.caption import _ptb, caption_figures, rouge_l, tokens
from eval.scoring import score_items
from tests.eval.scorers.asking import ask

NAMES = {"BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "CIDEr"}


def overall(caption, *references):
    return caption_figures({"it": caption}, {"it": references}).overall


@pytest.mark.parametrize(
    ("text", "words"),
    [  # all but the marked: what the PTB tokenizer of pycocoevalcap 1.2 gives (OpenJDK 17)
        ("A dog's toy, on the mat.", "a dog 's toy on the mat"),
        ("They don't stop!", "they do n't stop"),
        ("he cannot go, can't he", "he can not go ca n't he"),
        ("I'd've gone", "i 'd 've gone"),
        ("a T-shirt; 50% off...", "a t-shirt 50 % off"),
        ("a 2-story house and/or a 1/2 cup", "a 2-story house and/or a 1/2 cup"),
        ("price is $5.00 at 10:30 a.m.", "price is $ 5.00 at 10:30 a.m."),
        ("it’s the U.S. flag, 1,000 m", "it 's the u.s. flag 1,000 m"),
        ("two people -- one old, one young", "two people one old one young"),
        ("A dog. A cat. A bird.", "a dog a cat a bird"),
        ("café naïve\nworld", "café naïve world"),
        ("", ""),
        ("a man (left)", "a man left"),  # PTB: a man -lrb- left -rrb-
        ("?!.,", ""),  # PTB keeps "?!."
        ("Mr. Smith", "mr smith"),  # PTB: mr. smith
        ("x" * 10_001, ""),  # ours: too long
    ],
)
def test_captions_are_split_as_ptb_splits_english(text, words):
    assert tokens(text) == words


def test_a_copy_has_every_figure_in_full():
    captions = {"1": "a cat sits on the mat", "2": "two dogs run in a park"}

    found = caption_figures(
        captions, {key: ["another one", text] for key, text in captions.items()}
    )

    assert set(found.overall) == NAMES
    assert {name: round(value) for name, value in found.overall.items()} == {
        **dict.fromkeys(NAMES, 100),
        "CIDEr": 500,  # 10 for the copy and 0 for the other reference, in hundredths
    }
    assert found.items["1"]["BLEU-4"] == found.items["2"]["ROUGE-L"] == pytest.approx(1.0)


def test_bleu_clips_counts():
    """Papineni et al. 2002, example 2: modified unigram precision 2/7."""
    found = overall(
        "the the the the the the the", "the cat is on the mat", "there is a cat on the mat"
    )

    assert found["BLEU-1"] == pytest.approx(100 * 2 / 7)
    assert found["BLEU-2"] == 0.0


def test_bleu_punishes_short_captions():
    found = overall("a b", "a b c d")

    assert found["BLEU-1"] == found["BLEU-2"] == pytest.approx(100 * math.exp(-1))
    assert found["BLEU-3"] == 0.0


def test_rouge_by_hand():
    assert rouge_l("a dog runs", ["a dog quickly runs"]) == pytest.approx(2.44 * 0.75 / 2.19)
    assert rouge_l("a dog", ["two cats"]) == rouge_l("", ["a"]) == rouge_l("a", [""]) == 0.0


def test_as_published_rouge_mixes_references():
    """Precision 3/4 from the long one and recall 1 from the short one; repaired: the short one."""
    references = ["a b", "a b c x y z w v"]

    published = rouge_l("a b c d", references, repaired=False)

    assert published == pytest.approx(2.44 * 0.75 / (1 + 1.44 * 0.75))
    assert rouge_l("a b c d", references) == pytest.approx(2.44 * 0.5 / (1 + 1.44 * 0.5))
    assert overall("a b c d", *references)["ROUGE-L"] == pytest.approx(
        100 * 2.44 * 0.5 / (1 + 1.44 * 0.5)
    )


def naive_cider(captions, references):
    """CIDEr-D of Vedantam et al. 2015: clipped, length penalty with sigma 6, times 10."""

    def grams(text, n):
        words = text.split()
        return Counter(tuple(words[at : at + n]) for at in range(len(words) - n + 1))

    total = {}
    for key, caption in captions.items():
        parts = []
        for n in (1, 2, 3, 4):
            items = [set().union(*(grams(text, n) for text in its)) for its in references.values()]
            seen = Counter(gram for item in items for gram in item)
            weigh = {gram: math.log(len(references) / count) for gram, count in seen.items()}
            rare = math.log(len(references))
            for text in references[key]:
                said = {g: c * weigh.get(g, rare) for g, c in grams(caption, n).items()}
                right = {g: c * weigh[g] for g, c in grams(text, n).items()}
                lengths = math.hypot(*said.values()) * math.hypot(*right.values())
                shared = sum(min(said[g], right[g]) * right[g] for g in said.keys() & right.keys())
                gap = sum(grams(caption, 2).values()) - sum(grams(text, 2).values())
                parts.append((shared / lengths if lengths else 0.0) * math.exp(-(gap**2) / 72))
        total[key] = 10 * sum(parts) / len(parts)
    return total


def test_cider_agrees_with_a_second_implementation():
    rng = Random(4)
    words = ["dog", "cat", "runs", "sits", "on", "the", "a", "red", "blue", "mat"]

    def text():
        return " ".join(rng.choices(words, k=rng.randint(3, 9)))

    captions = {str(key): text() for key in range(12)}
    references = {key: [text() for _ in range(3)] for key in captions}

    found = caption_figures(captions, references)
    naive = naive_cider(captions, references)

    assert {key: it["CIDEr"] for key, it in found.items.items()} == pytest.approx(naive)
    assert found.overall["CIDEr"] == pytest.approx(100 * sum(naive.values()) / len(naive))


def test_one_caption_alone_has_no_cider():
    assert overall("a dog", "a dog")["CIDEr"] == 0.0


@pytest.mark.parametrize("caption", ["", "?", "one"])
def test_no_figure_is_missing_whatever_is_written(caption):
    found = overall(caption, "a dog", "")

    assert set(found) == NAMES
    assert not any(map(math.isnan, found.values()))


def test_a_task_of_captions_is_scored_by_rouge():
    items = [
        ask("caption", "a dog quickly runs", question="1").model_copy(update={"id": "1"}),
        ask("caption", "a cat sits", question="2").model_copy(update={"id": "2"}),
    ]
    answers = {items[0].digest: "A dog runs.", items[1].digest: ""}

    found = score_items(items, answers)

    assert found.accuracy == pytest.approx(100 * 2.44 * 0.75 / 2.19 / 2)
    assert list(found.scores.values()) == [pytest.approx(2.44 * 0.75 / 2.19), 0.0]
    assert found.scorer == "caption-1-fixed"


@pytest.mark.deep
@pytest.mark.skipif(shutil.which("java") is None, reason="METEOR is a Java program")
def test_with_java_the_published_figure_is_the_mean_of_seven():
    """Made with pycocoevalcap 1.2 (METEOR 1.5, PTB tokenizer) on OpenJDK 17."""
    said = ["A dog runs on the grass.", "The man's hat is red"]
    right = [
        ("A brown dog runs quickly on green grass", "a dog plays outside"),
        ("A man wears a red hat", "the hat of the man is red"),
    ]
    items = [
        ask("caption", *texts, question=texts[0]).model_copy(update={"id": texts[0]})
        for texts in right
    ]

    found = score_items(
        items, {i.digest: text for i, text in zip(items, said, strict=True)}, "published"
    )

    figures = caption_figures(
        dict(zip("ab", said, strict=True)), dict(zip("ab", right, strict=True)), meteor=True
    ).overall
    assert figures["METEOR"] == pytest.approx(35.671, abs=0.01)
    assert found.accuracy == pytest.approx(sum(figures.values()) / 7)


def test_without_java_the_error_names_what_is_missing(monkeypatch):
    monkeypatch.setenv("PATH", "")
    item = ask("caption", "a dog")

    with pytest.raises(CaptionPartMissing, match=r"METEOR.*need Java.*'java' was found.*'fixed'"):
        score_items([item], {item.digest: "a dog"}, "published")


@pytest.fixture
def java(tmp_path, monkeypatch):
    """A program `java` that does as told, in place of the PTB tokenizer."""

    def program(line):
        (tmp_path / "java").write_text(f"#!/bin/sh\necho 3 tokens a second >&2\n{line}\n")
        (tmp_path / "java").chmod(0o755)

    monkeypatch.setenv("PATH", str(tmp_path))
    return program


def test_java_says_nothing_to_the_user(java, capfd):
    java("exec /bin/cat")

    assert _ptb({"1": ["a  dog", ""], "2": ["it runs ."]}) == {
        "1": ["a dog", ""],
        "2": ["it runs"],
    }
    assert capfd.readouterr().err == ""


def test_a_tokenizer_that_fails_is_told(java):
    java("exit 1")

    with pytest.raises(CaptionPartMissing, match=r"PTB tokenizer failed: 3 tokens a second\."):
        _ptb({"1": ["a dog"]})


def test_without_its_package_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pycocoevalcap.rouge.rouge", None)

    with pytest.raises(CaptionPartMissing, match=r"pycocoevalcap.*retain\[captions\]"):
        overall("a dog", "a dog")
