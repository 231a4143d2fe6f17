// page.js: the head of the page, its choices, and drawing all of it.

function modelName(path) { return path.split('/').pop().replace(/\.gguf$/, ''); }

function protocol(r) {
  return (r.evict === 'context' ? 'context alone is read and cut, the question follows' : 'question inside the prompt')
    + ', ' + (r.template === 'raw' ? 'raw text' : 'chat template');
}

function runName(r) {
  const alike = data.runs.filter((x) => x.evict === r.evict && x.template === r.template && x.model === r.model);
  return modelName(r.model) + ', --evict ' + r.evict + ', ' + r.template + (alike.length > 1 ? ' (' + r.run.slice(0, 6) + ')' : '');
}

function tile(name, value, more) {
  return el('div', { class: 'tile' }, el('div', { class: 'name' }, name), el('div', { class: 'value' }, value), el('div', { class: 'more' }, more || '\u00a0'));
}

// At each budget the policy nearest to the full cache.
function drawHead() {
  const r = run(), tasks = ofRun(data.tasks), lines = ofRun(data.summary).filter((x) => !isReference(x) && x.kl !== null);
  fill('lead', modelName(r.model) + ' under ' + plural(policies().length, 'policy', 'policies') + ' on ' + plural(r.n_prompt, 'prompt', 'prompts') + ' of '
    + plural(tasks.length, 'task', 'tasks') + '. Protocol: ' + protocol(r) + ', context of ' + tokens(r.n_ctx) + ' tokens.');
  for (const part of document.querySelectorAll('.alone')) part.hidden = !isAlone();
  for (const part of document.querySelectorAll('.beside-full')) part.hidden = isAlone();
  const best = budgets().map((b) => lines.filter((x) => x.budget === b).sort((x, y) => x.kl - y.kl)[0]).filter((x) => x);
  fill('tiles', best.slice(0, 4).map((x) => tile('Nearest to the full cache ' + (x.budget ? 'at ' + x.budget : 'without a budget'), breakable(x.policy), 'KL ' + figures(x.kl) + ' ' + interval(x.kl_ci95, figures))),
    tile('Records', count(r.n_record), r.n_failed ? plural(r.n_failed, 'record', 'records') + ' failed' : 'none failed'));
  const said = ofRun(data.notes), notes = fill('notes', said.map((x) => el('li', {}, x.note)));
  notes.hidden = said.length === 0;
}

function drawBar() {
  const names = data.runs.map((_, i) => i), chooser = document.getElementById('run');
  chooser.replaceChildren(...names.map((i) => el('option', { selected: i === state.run }, runName(data.runs[i]))));
  chooser.onchange = () => { state.run = chooser.selectedIndex; curve.hidden = null; drawAll(); };
  document.getElementById('run-choice').hidden = names.length < 2;
  const all = budgets();
  if (!all.includes(state.budget)) state.budget = all[Math.min(1, all.length - 1)] || '';
  document.getElementById('budget-choice').hidden = all.length < 2;
  fill('budget', group('Budget', all, state.budget, (b) => { state.budget = b; drawAll(); }, budgetName));
  for (const at of document.querySelectorAll('.at')) {
    at.textContent = ' ' + [!at.matches('.all') && state.budget ? 'at ' + state.budget : '', '--evict ' + run().evict].filter((x) => x).join(', ');
  }
  document.getElementById('bar').hidden = names.length < 2 && all.length < 2;
}

function drawMethod() {
  const r = run();
  fill('method-text',
    el('p', {}, 'KL is sum p log(p / q) over the vocabulary, p from the full cache and q from the policy, after each token of the gold answer; NLL is that token\u2019s negative log-likelihood; both in nats. A prompt\u2019s tokens are averaged first, then prompts; seeds of one prompt are averaged before. Intervals are BCa bootstrap intervals over prompts.'),
    el('p', {}, 'Cache share while answering is tokens held over tokens seen, mean over the steps of the answer; as papers count it, right behind the last cut of the prompt. Both count full-attention layers alone, sinks, recent and pinned tokens included. Policies that evict while reading hold less at their peak and decide without having seen the question.'),
    el('p', {}, 'A score\u2019s ratio to the full cache is averaged over tasks, each counting the same, and only over tasks where the full cache stands at least 5 points above the same prompts without their context on 10 prompts or more.'));
  const facts = [['Run', r.run], ['Model', r.model + ' (hash ' + r.model_hash + ')'], ['Protocol', '--evict ' + r.evict + ', --template ' + r.template], ['Context', count(r.n_ctx) + ' tokens'],
    ['Seed', r.seed], ['Options', r.options], ['Program', 'mneme ' + r.version + ', commit ' + r.git_commit], ['Machine', r.machine], ['Begun', r.created],
    ['Records', count(r.n_record) + ', ' + count(r.n_failed) + ' of them failed']];
  fill('method-table', el('table', {}, el('tbody', {}, facts.map(([name, value]) => el('tr', {}, el('th', { class: 'first', scope: 'row' }, name), el('td', { class: 'text' }, el('code', {}, value)))))));
}

function drawAll() {
  drawBar();
  drawHead();
  drawSummary();
  drawCurves();
  drawFamilies();
  drawTasks();
  drawPairs();
  drawNeedles();
  drawKept();
  drawCost();
  drawPrompts();
  drawMethod();
}

Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
darkMode.addEventListener('change', drawAll);
drawAll();
