"""What of a run is style, from the answers at hand: formats kept, lost answers read leniently."""

from __future__ import annotations

from asd_rewriter.cards import TaskCard
from asd_rewriter.formats import strip_instruction
from eval.compliance import FormatCompliance, format_compliance
from eval.items import EvalItem
from eval.probes import ProbeKind, build_probes, choose_probed
from eval.results.references import FORMATS
from eval.results.scored import ScoredRun
from eval.split import TaskSplit, lost_items, split_task

MAX_READ_AGAIN = 256
"""Lost answers of a task that are read leniently; of more, a seeded sample."""


def compliance_of_run(scored: ScoredRun) -> list[FormatCompliance]:
    """Return how answers keep to their formats, of tasks whose metric or prompts tell these.

    Old tasks are compared with the stage that learned them.
    """
    last, (*old, own) = scored.run.last_stage, scored.run.tasks[: scored.run.last_stage]
    now = {task: scored.answers[last, task] for task in (*old, own)}
    learned = {task: scored.answers[stage, task] for stage, task in enumerate(old, 1)}
    return [
        *format_compliance(_telling(scored, *old), now, learned),
        *format_compliance(_telling(scored, own), now),
    ]


def splits_of_run(scored: ScoredRun) -> tuple[list[TaskSplit], list[str]]:
    """Return what was lost of each old task, divided by a lenient reading; and notes.

    No other probe is possible without the model, so the share of style is a lower bound. What came
    back by chance is measured on the stage before the task, or on the base. Where neither was asked
    the task, it is not divided, and a note says so; nothing is under the published rules.
    """
    splits, notes = list[TaskSplit](), list[str]()
    if scored.mode != "fixed":
        return splits, ["style and knowledge are told apart under the repaired rules only"]
    last = scored.run.last_stage
    for stage, task in enumerate(scored.run.tasks[: last - 1], 1):
        earlier = [it for it in ((stage - 1, task), (0, task)) if it in scored.answers]
        if earlier:
            place = earlier[0]
            splits.append(_split(scored, (stage, task), scored.answers[place]))
        else:
            notes.append(
                f"{task}: lost style and lost knowledge are not told apart; that takes the base's "
                f"answers to it, in {scored.run.expected(0, task)}"
            )
    return splits, notes


def _split(scored: ScoredRun, place: tuple[int, str], before: dict[str, str]) -> TaskSplit:
    task, items = place[1], scored.items[place[1]]
    learned, now = scored.answers[place], scored.answers[scored.run.last_stage, task]
    lost = choose_probed(lost_items(items, learned, now), MAX_READ_AGAIN)
    card = TaskCard(name="run", answer_format=items[0].format, metric=items[0].metric)
    probes = build_probes(lost, items, card, (ProbeKind.LENIENT,))
    return split_task(items, probes, learned, now, before)


def _telling(scored: ScoredRun, *tasks: str) -> list[EvalItem]:
    return [item for task in tasks for item in scored.items[task] if _tells_format(item)]


def _tells_format(item: EvalItem) -> bool:
    return item.metric in FORMATS or strip_instruction(item.prompt)[1] is not None
