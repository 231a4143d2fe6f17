// prompts.js: every prompt, with what each policy answered. Rows of the list exist only while they
// are in sight, so that any number of prompts can be leafed through.

const field = { run: 0, task: 1, id: 2, file: 3, language: 4, tokens: 5, hash: 6, gold: 7, facts: 8, records: 9 };
const part = { arm: 0, seed: 1, status: 2, score: 3, nll: 4, kl: 5, golden: 6, written: 7, prefill: 8, decode: 9, output: 10 };
const rowHeight = 52;
const browse = { task: '', words: '', sort: 'as stored', every: false, found: [], chosen: null };

function recordOf(prompt, wanted) {
  return prompt[field.records].filter((r) => wanted(arms[r[part.arm]]));
}

function fullScore(prompt) {
  const r = recordOf(prompt, (arm) => arm.policy === 'full')[0];
  return r ? r[part.score] : null;
}

// How far the policies of the budget that is shown fall behind: what a reader looks for first.
function worst(prompt, which, full) {
  const values = recordOf(prompt, (arm) => arm.budget === state.budget && !isReference(arm))
    .map((r) => r[which]).filter((x) => x !== null).map((x) => (full === null ? x : full - x));
  return values.length ? Math.max(...values) : -Infinity;
}

const sorts = {
  'as stored': null,
  'highest KL': (p) => worst(p, part.kl, null),
  'largest loss of score': (p) => (fullScore(p) === null ? -Infinity : worst(p, part.score, fullScore(p))),
  'most tokens': (p) => p[field.tokens],
};

function matches(prompt, words) {
  if (!words) return true;
  const texts = [prompt[field.id], prompt[field.task], ...prompt[field.gold].map(String), ...prompt[field.records].map((r) => r[part.output] || '')];
  return texts.some((t) => t.toLowerCase().includes(words));
}

function search() {
  const words = browse.words.trim().toLowerCase();
  browse.found = records.filter((p) => p[field.run] === state.run && (!browse.task || p[field.task] === browse.task) && matches(p, words));
  const rank = sorts[browse.sort];
  if (!rank) return;
  const ranks = new Map(browse.found.map((p) => [p, rank(p)]));
  browse.found.sort((a, b) => (ranks.get(a) === ranks.get(b) ? 0 : ranks.get(b) - ranks.get(a)));
}

// ---- the list ----

function percentScore(x) { return x === null ? none : number(100 * x, 0); }

function item(prompt, i) {
  const of = recordOf(prompt, (arm) => arm.budget === state.budget && !isReference(arm));
  const scores = of.map((r) => r[part.score]).filter((x) => x !== null), kl = of.map((r) => r[part.kl]).filter((x) => x !== null);
  return el('div', {
    class: 'item', role: 'option', style: 'top:' + i * rowHeight + 'px', 'aria-selected': String(prompt === browse.chosen), onclick: () => choose(prompt),
  },
  el('span', {}, prompt[field.task] + ' \u00b7 ' + prompt[field.id]), el('span', { class: 'right' }, 'full ' + percentScore(fullScore(prompt))),
  el('span', { class: 'soft' }, count(prompt[field.tokens]) + ' tokens' + (prompt[field.language] ? ', ' + prompt[field.language] : '')),
  el('span', { class: 'soft right' }, scores.length ? 'others ' + percentScore(Math.min(...scores)) + ' to ' + percentScore(Math.max(...scores))
    : kl.length ? 'KL to ' + figures(Math.max(...kl)) : ''));
}

function showList() {
  const list = document.getElementById('list'), room = document.getElementById('list-room');
  room.style.height = browse.found.length * rowHeight + 'px';
  const first = Math.max(0, Math.floor(list.scrollTop / rowHeight) - 6);
  const last = Math.min(browse.found.length, first + Math.ceil(list.clientHeight / rowHeight) + 12);
  room.replaceChildren(...browse.found.slice(first, last).map((p, i) => item(p, first + i)));
  if (browse.found.length === 0) room.replaceChildren(el('p', { class: 'empty' }, 'No prompt has this.'));
}

function choose(prompt) {
  browse.chosen = prompt;
  showList();
  showDetail();
}

function step(by) {
  const at = browse.found.indexOf(browse.chosen) + by, list = document.getElementById('list');
  if (at < 0 || at >= browse.found.length) return;
  if (at * rowHeight < list.scrollTop) list.scrollTop = at * rowHeight;
  if ((at + 1) * rowHeight > list.scrollTop + list.clientHeight) list.scrollTop = (at + 1) * rowHeight - list.clientHeight;
  choose(browse.found[at]);
}

// ---- one prompt ----

function sourceOf(file) {
  return file === 'made' ? ', made' : file === 'own' ? ', from a file of your own' : file ? ', from ' + file : '';
}

function fact(name, value) {
  return [el('dt', {}, name), el('dd', {}, value)];
}

function answer(r, sameAsFull) {
  const arm = arms[r[part.arm]];
  const figures_ = [r[part.score] === null ? null : 'score ' + number(100 * r[part.score], 1),
    r[part.kl] === null ? null : 'KL ' + figures(r[part.kl]), r[part.nll] === null ? null : 'NLL ' + figures(r[part.nll]),
    r[part.written] ? plural(r[part.written], 'token', 'tokens') : null, r[part.seed] === '0' ? null : 'seed ' + r[part.seed],
    sameAsFull ? 'same as the full cache' : null].filter((x) => x).join(' \u00b7 ');
  const text = r[part.status] !== 0 ? el('div', { class: 'none' }, r[part.status])
    : r[part.output] === null ? el('div', { class: 'none' }, 'nothing was to be written')
      : r[part.output] === '' ? el('div', { class: 'none' }, 'wrote nothing') : el('pre', {}, r[part.output]);
  return el('div', { class: 'answer' + (arm.policy === 'full' ? ' reference' : '') },
    el('header', {}, el('span', {}, armName(arm)), r[part.status] !== 0 ? el('span', {}, 'failed') : null), el('p', {}, figures_), text);
}

function showDetail() {
  const p = browse.chosen;
  if (!p) { fill('detail', el('p', { class: 'empty' }, 'Choose a prompt to see what each policy made of it.')); return; }
  const facts = p[field.facts] && typeof p[field.facts] === 'object' ? p[field.facts] : { facts: p[field.facts] };
  const wanted = recordOf(p, (arm) => isReference(arm) || browse.every || arm.budget === state.budget)
    .sort((a, b) => a[part.arm] - b[part.arm]);
  const full = wanted.find((r) => arms[r[part.arm]].policy === 'full');
  fill('detail', el('h3', {}, p[field.task] + ' \u00b7 ' + p[field.id]),
    el('dl', {}, fact(p[field.gold].length > 1 ? 'Gold answers' : 'Gold answer', p[field.gold].length ? p[field.gold].map(String).join(' | ') : none),
      fact('Prompt', count(p[field.tokens]) + ' tokens, hash ' + p[field.hash] + sourceOf(p[field.file])),
      Object.entries(facts).map(([name, value]) => fact(name.replace(/_/g, ' '), typeof value === 'string' ? value : JSON.stringify(value)))),
    el('div', { class: 'answers' }, wanted.map((r) => answer(r, full && r !== full && r[part.output] !== null && r[part.output] === full[part.output]))));
}

// ---- all of it ----

function refreshPrompts(top) {
  search();
  if (top) document.getElementById('list').scrollTop = 0;
  if (!browse.found.includes(browse.chosen)) browse.chosen = browse.found[0] || null;
  const counted = document.getElementById('prompts-count');
  if (counted) counted.textContent = plural(browse.found.length, 'prompt', 'prompts');
  showList();
  showDetail();
}

function drawPrompts() {
  const tasks = ['', ...new Set(records.filter((p) => p[field.run] === state.run).map((p) => p[field.task]))];
  if (!tasks.includes(browse.task)) browse.task = '';
  fill('prompts-choices',
    el('label', {}, 'Task', selection(tasks, browse.task, (t) => { browse.task = t; refreshPrompts(true); }, (t) => t || 'all')),
    el('label', {}, 'Order', selection(Object.keys(sorts), browse.sort, (s) => { browse.sort = s; refreshPrompts(true); })),
    el('input', { type: 'search', placeholder: 'Search answers', 'aria-label': 'Search answers', value: browse.words, oninput: (e) => { browse.words = e.target.value; refreshPrompts(true); } }),
    budgets().length < 2 ? null : group('Budgets', [false, true], browse.every, (x) => { browse.every = x; drawPrompts(); }, (x) => (x ? 'all budgets' : 'this budget')),
    el('span', { id: 'prompts-count' }));
  const list = document.getElementById('list');
  list.onscroll = showList;
  list.onkeydown = (e) => {
    if (e.key !== 'ArrowDown' && e.key !== 'ArrowUp') return;
    e.preventDefault();
    step(e.key === 'ArrowDown' ? 1 : -1);
  };
  refreshPrompts(false);
}
