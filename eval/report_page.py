"""The template of the HTML report: one page, its style inside, made for screen and paper."""

from __future__ import annotations

STYLE = """
:root { --ink: #1d2733; --quiet: #5d6b79; --line: #dfe5ea; --paper: #fbfcfd; --card: #fff;
  --accent: #1f6f8b; --good: #1b7f4b; --bad: #b3372f; --warn: #8a5f00; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 2.2rem 1.5rem 4rem; }
h1 { font-size: 1.65rem; margin: 0 0 .2rem; letter-spacing: -.01em; }
h2 { font-size: 1.05rem; margin: 2.4rem 0 .7rem; }
p { margin: .3rem 0 .8rem; }
.quiet { color: var(--quiet); }
.small { font-size: .84rem; }
.verdict { background: var(--card); border: 1px solid var(--line); border-radius: 6px;
  border-left: 4px solid var(--tone); padding: .9rem 1.1rem; margin: 1.4rem 0; }
.verdict b { color: var(--tone); display: block; margin-bottom: .2rem; }
.verdict p { margin: 0; }
.pass { --tone: var(--good); } .block { --tone: var(--bad); }
.need_more_samples { --tone: var(--warn); }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); gap: .7rem; }
.fact { background: var(--card); border: 1px solid var(--line); border-radius: 6px;
  padding: .6rem .9rem; break-inside: avoid; }
.fact b { display: block; font-size: 1.35rem; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; background: var(--card);
  border: 1px solid var(--line); }
th, td { text-align: left; padding: .45rem .75rem; border-bottom: 1px solid var(--line);
  vertical-align: top; overflow-wrap: anywhere; }
thead th { font-weight: 600; color: var(--quiet); font-size: .82rem; overflow-wrap: normal; }
tbody th { font-weight: 600; white-space: nowrap; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.number small { display: block; color: var(--quiet); }
.loss { color: var(--bad); } .gain { color: var(--good); }
.future { color: var(--quiet); }
.matrix td { min-width: 5rem; }
.matrix .own { box-shadow: inset 0 0 0 2px var(--accent); }
.plot { background: var(--card); border: 1px solid var(--line); border-radius: 6px;
  padding: .3rem; margin-bottom: 1rem; break-inside: avoid; overflow: hidden; }
.lost { display: grid; grid-template-columns: repeat(auto-fill, minmax(18rem, 1fr)); gap: .8rem; }
.item { display: flex; gap: .9rem; background: var(--card); border: 1px solid var(--line);
  border-radius: 6px; padding: .8rem; break-inside: avoid; }
.item img { width: 6rem; height: 6rem; object-fit: contain; image-rendering: pixelated;
  background: var(--paper); border: 1px solid var(--line); flex: none; }
.item p { margin: 0 0 .35rem; overflow-wrap: anywhere; white-space: pre-line; }
.item dl, dl.training { display: grid; grid-template-columns: max-content 1fr; gap: .1rem .7rem;
  margin: 0; }
dt { color: var(--quiet); } dd { margin: 0; overflow-wrap: anywhere; }
footer { margin-top: 3rem; border-top: 1px solid var(--line); padding-top: .8rem; }
@media print {
  @page { margin: 14mm; }
  html { font-size: 11px; }
  body { background: #fff; font-size: 1rem; }
  .plot { zoom: .72; }
  main { max-width: none; padding: 0; }
  h2 { break-after: avoid; margin-top: 1.4rem; }
  .facts { grid-template-columns: repeat(4, 1fr); }
  tr { break-inside: avoid; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<!--policy-->
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ report.version }} · forgetting report</title>
<style>{{ style }}</style>
</head>
<body><main>
{% macro signed(change) -%}
  {% if change is none %}<span class="quiet">-</span>
  {%- else %}<span class="{{ 'loss' if change <= -0.05 else 'gain' if change >= 0.05 }}">
    {{- '%+.1f'|format(change|round(1) + 0.0) }}</span>{% endif %}
{%- endmacro %}
{% macro points(cell) -%}
  {% if cell %}{{ '%.1f'|format(cell.accuracy) }}<small>n={{ cell.n }}</small>{% else %}-{% endif %}
{%- endmacro %}
<h1>{{ report.version }}</h1>
<p class="quiet">Forgetting report. Learned <b>{{ report.task }}</b>, starting from
  {{ report.parent }}.
  {%- if report.created_at %} Evaluated {{ report.created_at.strftime('%Y-%m-%d %H:%M %Z') }}.
  {%- endif %}</p>

{% if report.verdict %}
<section class="verdict {{ report.verdict.outcome }}">
<b>Gate: {{ outcomes[report.verdict.outcome] }}</b><p>{{ report.verdict.explanation }}</p>
</section>
{% else %}<section class="verdict"><b>Gate</b><p>{{ not_judged }}</p></section>{% endif %}

<section class="facts" aria-label="Summaries">
{% for entry in report.summaries %}
<div class="fact"><span class="small quiet">{{ names[entry.name] }}</span>
<b>{{ ('%+.2f' if entry.name.startswith('bwt') else '%.2f')|format(entry.value) }}</b>
<span class="small quiet">{{ entry.meaning }}; {{ entry.num_tasks }} task
  {{- 's' if entry.num_tasks > 1 }}, n={{ entry.n }}</span></div>
{% endfor %}
</section>

<h2>Change per task</h2>
<div class="scroll"><table>
<thead><tr><th>task</th><th>metric</th><th class="number">now</th>
<th class="number">{{ report.parent }}</th><th class="number">change</th>
<th class="number">just learned</th><th class="number">change</th></tr></thead>
<tbody>{% for change in report.changes %}
<tr><th>{{ change.task }}</th><td>{{ change.now.metric }}</td>
<td class="number">{{ points(change.now) }}</td><td class="number">{{ points(change.parent) }}</td>
<td class="number">{{ signed(change.since_parent) }}</td>
<td class="number">{{ points(change.just_learned) }}</td>
<td class="number">{{ signed(change.since_learned) }}</td></tr>
{% endfor %}</tbody></table></div>
<p class="small quiet">Points, 0 to 100; a change is now minus then, so a loss is negative.</p>

<h2>Accuracy matrix</h2>
<div class="plot">{{ heatmap }}</div>
<div class="scroll"><table class="matrix">
<thead><tr><th>version</th>{% for task in report.matrix.tasks %}<th class="number">{{ task }}</th>
{%- endfor %}</tr></thead>
<tbody>{% for row in report.matrix.rows %}
<tr><th>{{ row.version }}{% if row.task is none %} <span class="quiet">zero-shot</span>{% endif %}
</th>{% for task in report.matrix.tasks %}<td class="number {{ 'own' if task == row.task }}">
{{- points(row.cells.get(task)) }}</td>{% endfor %}</tr>
{% endfor %}</tbody></table></div>
<p class="small quiet">Points. A framed cell is the task that the version had just learned.</p>

<h2>Accuracy over versions</h2>
<div class="plot">{{ curves }}</div>

<h2>Right before, wrong now</h2>
{% if report.worst_items %}
<div class="lost">{% for item in report.worst_items %}
<article class="item">
{% for digest in item.images[:1] if images.get(digest, '').startswith('data:image/') %}
<img src="{{ images[digest] }}" alt="image {{ digest[:12] }}">{% endfor %}
<div><p>{{ item.question }}</p>
<dl class="small"><dt>before</dt><dd>{{ item.before or '(empty)' }}</dd>
<dt>now</dt><dd class="loss">{{ item.after or '(empty)' }}</dd>
<dt>reference</dt><dd>{{ item.reference }}</dd>
<dt>task</dt><dd class="quiet">{{ item.task }}, {{ item.item_id }}</dd></dl></div>
</article>{% endfor %}</div>
<p class="small quiet">The {{ report.worst_items|length }} shown are examples, chosen evenly over
  the tasks.</p>
{% else %}<p class="quiet">
{{- 'No such item was found.' if report.verdict else no_answers }}</p>{% endif %}

<h2>What was trained</h2>
{% if training %}<dl class="training">{% for name, value in training %}
<dt>{{ name }}</dt><dd>{{ value }}</dd>{% endfor %}</dl>
{% else %}<p class="quiet">Not recorded.</p>{% endif %}

<footer class="small quiet">n counts evaluation items.
{%- if report.verdict %} Gate policy: at most
{{ report.verdict.policy.max_drop_per_task }} points lost per old task and
{{ report.verdict.policy.max_mean_drop }} on their mean, at least
{{ report.verdict.policy.min_samples }} items per task.{% endif %}</footer>
</main></body></html>
"""
