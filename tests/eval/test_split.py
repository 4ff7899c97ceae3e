import pytest

from eval.errors import PredictionsMissing
from eval.probes import FREE_KINDS, Probe, ProbeKind, build_probes
from eval.split import TaskSplit, lost_items, split_task
from eval.split_rules import rules_version
from tests.bench.eval_split import (
    Believer,
    answers,
    divide,
    minicoin_items,
    native,
    sentence,
    split_assigned_right_pct,
    split_of,
    vague,
)


@pytest.fixture(scope="module")
def signs():
    return minicoin_items("signs", 60)


def believer(items, *, wrong=0, style=native, beliefs=True):
    """Return a model that is wrong about the first `wrong` items."""
    texts = sorted({it.references[0] for it in items})
    truth = {it.digest: it.references[0] for it in items}
    for it in items[:wrong]:
        truth[it.digest] = next(text for text in texts if text != it.references[0])
    known = {it.digest: it for it in items}
    return Believer(truth if beliefs else {}, known, style)


def test_constructed_answers_are_assigned_right():
    assert split_assigned_right_pct(per_case=8) >= 98


def test_a_shifted_style_is_superficial_and_a_moved_fact_essential():
    style, _ = split_of("signs", 100, "format_only", vague)
    facts, _ = split_of("signs", 100, "content_only", vague)

    assert style.lost == facts.lost == 100
    assert style.superficial.percent >= 90
    assert facts.superficial.percent <= 10
    assert facts.essential.percent >= 90


def test_counts_are_those_of_the_items(signs):
    card, items = signs
    learned = believer(items, wrong=10)
    split = divide(
        items, card, learned, believer(items, style=vague), believer(items, beliefs=False)
    )

    assert (split.compared, split.learned, split.lost, split.probed) == (60, 50, 50, 50)
    assert split.task == "signs"
    assert split.rules == rules_version()
    assert set(split.by_kind) == set(ProbeKind)
    assert all(it.n == 50 for it in split.by_kind.values())
    assert split.by_kind[ProbeKind.LENIENT].now == 0
    assert split.by_kind[ProbeKind.FORCED].now == split.overall.now == 50


def test_a_mixture_is_divided_in_its_proportion():
    card, items = minicoin_items("signs", 400)
    now = believer(items, style=sentence)
    for forgotten in items[:100]:
        del now.beliefs[forgotten.digest]
    split = divide(items, card, believer(items), now, believer(items, beliefs=False))

    share = split.superficial
    assert split.lost == 400
    assert share.low <= 75 <= share.high
    assert share.percent == pytest.approx(75, abs=4)
    assert split.essential.percent == pytest.approx(100 - share.percent)


def test_of_firmly_wrong_answers_chance_takes_too_much_off():
    """Who is sure of something wrong does not guess: the truth is between corrected and raw."""
    card, items = minicoin_items("signs", 400)
    now = believer(items, wrong=100, style=sentence)
    split = divide(items, card, believer(items), now, believer(items, beliefs=False))

    assert split.superficial.percent < 75 <= split.overall.raw.percent + 1


def test_a_model_that_only_guesses_has_nothing_beyond_chance():
    card, items = minicoin_items("compose", 400)
    known = {it.digest: it for it in items}
    now, before = (Believer({}, known, vague, seed) for seed in (1, 2))
    split = divide(items, card, believer(items), now, before)

    assert split.overall.raw.percent > 30  # one of four labels, and yes and no by coin
    assert split.superficial.percent <= 10
    assert split.superficial.low == 0


def test_what_was_known_before_the_task_is_chance_too(signs):
    card, items = signs
    knows = believer(items, style=vague)
    split = divide(items, card, believer(items), knows, knows)

    assert split.overall.raw.percent == split.overall.chance.percent == 100
    assert split.superficial is split.essential is None


def test_nothing_lost_is_no_share(signs):
    card, items = signs
    knows = believer(items)
    split = divide(items, card, knows, knows, knows)

    assert (split.lost, split.probed, split.by_kind) == (0, 0, {})
    assert split.superficial is None
    assert split.overall.n == 0


@pytest.mark.parametrize(
    ("kind", "says"),
    [(ProbeKind.YES_NO, "yes"), (ProbeKind.YES_NO, "no"), (ProbeKind.CHOICE, "A"),
     (ProbeKind.CHOICE, "D")],
)  # fmt: skip
def test_one_answer_to_everything_recovers_nothing(signs, kind, says):
    card, items = signs

    def biased(asked):
        return says if isinstance(asked, Probe) and asked.kind is kind else "?"

    split = divide(items, card, believer(items), biased, biased)

    assert split.by_kind[kind].now == 0
    assert split.superficial.percent == 0


@pytest.mark.parametrize(("kind", "number"), [(ProbeKind.YES_NO, 2), (ProbeKind.CHOICE, 4)])
def test_all_questions_of_a_probe_must_be_right(signs, kind, number):
    card, items = signs
    one = items[:1]
    probes = build_probes(one, items, card, [kind])
    learned = {it.digest: it.references[0] for it in items}
    now = {it.digest: "?" for it in items} | {p.digest: p.references[0] for p in probes}
    nothing = {p.digest: "?" for p in probes}
    assert len(probes) == number

    assert split_task(items, probes, learned, now, nothing).overall.now == 1
    for probe in probes:
        assert (
            split_task(items, probes, learned, now | {probe.digest: "?"}, nothing).overall.now == 0
        )


def test_a_sample_is_probed_where_many_are_lost(signs):
    card, items = signs
    now = believer(items, style=vague)
    split = divide(items, card, believer(items), now, believer(items, beliefs=False), limit=16)

    assert (split.lost, split.probed, split.overall.n) == (60, 16, 16)


def test_the_result_says_which_probes_were_asked(signs):
    card, items = signs
    learned, now = believer(items), believer(items, style=sentence)
    then, today = answers(learned, items), answers(now, items)
    probes = build_probes(lost_items(items, then, today), items, card, FREE_KINDS)
    split = split_task(
        items, probes, then, today | answers(now, probes),
        answers(believer(items, beliefs=False), probes),
    )  # fmt: skip

    assert ProbeKind.FORCED not in split.by_kind
    assert set(split.by_kind) == set(FREE_KINDS)
    assert TaskSplit.model_validate_json(split.model_dump_json()) == split


def test_items_without_an_answer_on_either_side_are_not_compared(signs):
    _, items = signs
    learned = {it.digest: it.references[0] for it in items[:40]}
    now = {it.digest: "?" for it in items[20:]}

    assert lost_items(items, learned, now) == items[20:40]
    assert split_task(items, [], learned, now, {}).compared == 20


def test_nothing_is_half_reported(signs):
    card, items = signs
    probes = build_probes(items[:3], items, card)
    learned = {it.digest: it.references[0] for it in items}
    now = {it.digest: "?" for it in (*items, *probes)}
    before = {it.digest: "?" for it in probes}
    some = dict(list(before.items())[:-1])

    with pytest.raises(PredictionsMissing, match=r"1 probes have no answer of the version before"):
        split_task(items, probes, learned, now, some)
    with pytest.raises(PredictionsMissing, match=r"of this version, the first is 'signs-0#0/"):
        split_task(items, probes, learned, {it.digest: "?" for it in items}, before)
    with pytest.raises(PredictionsMissing, match="that is not lost"):
        split_task(items, probes, learned, now | learned, before)
    with pytest.raises(PredictionsMissing, match="no item to divide"):
        split_task([], [], {}, {}, {})


def test_a_task_with_one_item():
    card, items = minicoin_items("signs", 1)
    probes = build_probes(items, items, card)
    right = {it.digest: it.references[0] for it in (*items, *probes)}
    wrong = {it.digest: "?" for it in (*items, *probes)}
    split = split_task(items, probes, right, right | {items[0].digest: "?"}, wrong)

    assert split.overall.n == 1
    assert split.superficial.percent == 100
    assert split.superficial.low < 50
