// page.js: curves and tables of models that were trained alike.

const data = JSON.parse(document.getElementById('data').textContent);
const plan = data.plan, models = data.rows.filter((r) => r.group === 'models'), steps = data.rows.filter((r) => r.group === 'steps');
const charts = [], hidden = new Set(), view = { curve: 'validation', runs: 'models', late: false };
const darkMode = window.matchMedia('(prefers-color-scheme: dark)');
// Eleven lines that differ by hue or lightness, for light and for dark ground.
const shades = {
  light: ['#1d2126', '#d0342c', '#d1740f', '#a8890b', '#2e8b3d', '#0f8f8f', '#2f5fd0', '#7a869a', '#7c3fc4', '#c23c8f', '#7b4a1f'],
  dark: ['#f2f4f7', '#ff7b72', '#f0a04b', '#e3cf57', '#6ecf7c', '#4fd0d0', '#8fb0ff', '#98a3b3', '#c39bff', '#ff8fce', '#c9996b'],
};

// 12.5M as people say it.
function many(n) {
  if (n === null || n === undefined) return none;
  const unit = ['', 'k', 'M', 'G', 'T'];
  let k = 0;
  while (Math.abs(n) >= 999.5 && k < unit.length - 1) { n /= 1000; k++; }
  return (k === 0 || n >= 99.95 ? n.toFixed(0) : n.toFixed(n >= 9.995 ? 1 : 2)) + unit[k];
}
function short(n) { return many(n).replace(/(\.\d*?)0+(\D|$)/, '$1$2').replace(/\.(\D|$)/, '$1'); }
function loss(x) { return number(x, 3); }
function change(x) { return x === null ? none : (x > 0 ? '+' : '') + number(x, 3); }
function mean(list) {
  const known = list.filter((x) => x !== null && x !== undefined);
  return known.length ? known.reduce((a, b) => a + b, 0) / known.length : null;
}

// [[key, its rows]], in the order of the queue.
function byKey(rows) {
  const found = new Map();
  for (const r of rows) found.set(r.key, (found.get(r.key) || []).concat(r));
  return [...found].sort((a, b) => (a[1][0].group === 'steps' ? a[0].localeCompare(b[0]) : 0));
}

// Means over the seeds of a key, at points that all of them have.
function joined(rows, name) {
  return rows[0][name].map((p, i) => {
    const at = rows.map((r) => r[name][i]).filter((q) => q !== undefined);
    return at.length === rows.length ? { x: p[0], y: mean(at.map((q) => q[1])) } : null;
  }).filter((p) => p !== null);
}

function axis(title, format) {
  return {
    title: { display: title !== '', text: title, color: color('soft') }, grid: { color: color('line'), borderColor: color('line') },
    ticks: { color: color('soft'), callback: format, maxRotation: 0, maxTicksLimit: 8 },
  };
}

function drawLosses() {
  const rows = view.runs === 'models' ? models : steps, keys = byKey(rows), list = shades[darkMode.matches ? 'dark' : 'light'];
  fill('losses-choices',
    models.length && steps.length ? group('Runs', ['models', 'steps'], view.runs, (k) => { view.runs = k; hidden.clear(); drawAll(); }) : null,
    group('Loss', ['validation', 'training'], view.curve, (k) => { view.curve = k; drawAll(); }),
    group('Part', ['all', 'last half'], view.late ? 'last half' : 'all', (k) => { view.late = k !== 'all'; drawAll(); }));
  const sets = keys.map(([key, runs], i) => ({
    label: key, hidden: hidden.has(key), borderColor: list[i % list.length], backgroundColor: list[i % list.length], borderWidth: 2,
    borderDash: i >= 8 ? [6, 3] : [], pointRadius: 0, pointHitRadius: 8, tension: 0,
    data: joined(runs, view.curve === 'training' ? 'curve' : 'valid_curve'),
  }));
  const most = Math.max(...sets.map((s) => (s.data.length ? s.data[s.data.length - 1].x : 0)));
  if (view.late) for (const s of sets) s.data = s.data.filter((p) => p.x >= most / 2);
  for (const s of sets) if (s.data.length < 20) s.pointRadius = 3;
  charts.push(new Chart(document.getElementById('losses-chart'), {
    type: 'line', data: { datasets: sets },
    options: {
      maintainAspectRatio: false, animation: false, parsing: false, interaction: { mode: 'nearest', axis: 'xy', intersect: false },
      scales: { x: { type: 'linear', min: view.late ? most / 2 : 0, max: most, ...axis('tokens', short) }, y: axis('loss', (v) => number(v, view.late ? 2 : 1)) },
      plugins: {
        legend: { display: false },
        tooltip: { callbacks: { title: (items) => many(items[0].raw.x) + ' tokens', label: (item) => item.dataset.label + ' ' + loss(item.raw.y) } },
      },
    },
  }));
  fill('losses-legend', sets.map((s) => {
    const mark = el('i');
    mark.style.cssText = 'width:18px;border-top:3px ' + (s.borderDash.length ? 'dashed ' : 'solid ') + s.borderColor;
    return el('button', {
      type: 'button', 'aria-pressed': String(!s.hidden),
      onclick: () => { if (!hidden.delete(s.label)) hidden.add(s.label); drawAll(); },
    }, mark, s.label);
  }));
}

function tile(name, value, more) {
  return el('div', { class: 'tile' }, el('div', { class: 'name' }, name), el('div', { class: 'value' }, value), el('div', { class: 'more' }, more || '\u00a0'));
}

function drawHead() {
  const all = data.rows.length + data.left.length, some = data.rows[0];
  fill('lead', 'Language models that differ in their layers alone, trained on the same tokens in the same order'
    + (plan.seeds.length > 1 ? ', each from ' + plan.seeds.length + ' seeds' : '') + '.');
  if (!some) return;
  const best = byKey(models).map(([key, runs]) => [key, mean(runs.map((r) => r.valid_loss))]).sort((a, b) => a[1] - b[1])[0];
  const spent = data.rows.reduce((sum, r) => sum + r.seconds, 0);
  fill('tiles', best ? tile('Lowest validation loss', loss(best[1]), best[0]) : null,
    tile('Runs', data.rows.length + ' of ' + all, data.left.length ? 'next: ' + data.left[0] : 'all are done'),
    tile('Tokens a model', many(plan.tokens), number(plan.tokens / some.corpus_tokens, 2) + ' times the corpus'),
    tile('Time', number(spent / 3600, 1) + ' hours', number(plan.hours, 1) + ' planned for all'));
}

function table(id, heads, lines) {
  fill(id, el('table', {}, el('thead', {}, el('tr', {}, heads.map((h, i) => el('th', i ? { scope: 'col' } : { scope: 'col', class: 'first' }, h)))),
    el('tbody', {}, lines.map((line) => el('tr', {}, line.map((x, i) => (i ? el('td', {}, x) : el('th', { class: 'first', scope: 'row' }, x))))))));
}

// A mean, and in small what each seed had.
function seeds(runs, pick, show) {
  const each = runs.map(pick);
  return [show(mean(each)), runs.length > 1 ? el('small', {}, el('br'), each.map(show).join(' ')) : null];
}

function drawModels() {
  const end = (name, what) => (r) => (r[name] ? r[name][what] : null);
  table('models-table', ['Model', 'Validation loss', 'Parameters', 'Active', 'FLOPs a token', 'Training tokens/s', 'Decode f32', 'Decode fast', 'Bytes f32', 'Bytes fast', 'Multiple choice'],
    byKey(models).map(([key, runs]) => [
      key, seeds(runs, (r) => r.valid_loss, loss), many(runs[0].parameters), many(runs[0].active), many(runs[0].forward_flops),
      seeds(runs, (r) => r.train_tokens_per_s, many), seeds(runs, end('file', 'decode_tokens_per_s'), many), seeds(runs, end('file_fast', 'decode_tokens_per_s'), many),
      bytes(end('file', 'bytes')(runs[0])), bytes(end('file_fast', 'bytes')(runs[0])), seeds(runs, (r) => r.choice_mean, (x) => percent(x, 1))]));
}

function drawStatements() {
  document.getElementById('statements').hidden = data.statements.length === 0;
  table('statements-table', ['Statement', 'Difference of means', 'At most', 'By mean', 'With each seed', 'Seeds'],
    data.statements.map((s) => [s.text, change(s.difference), number(s.at_most, 2), s.holds ? 'holds' : 'not reached', s.holds_each ? 'holds' : 'not reached',
      s.seeds.map((k, i) => k + ': ' + change(s.differences[i])).join(', ')]));
}

// Mean over the seeds that a step and the one before it have.
function changeSince(before, runs) {
  return mean(runs.map((r) => [r, before.find((b) => b.seed === r.seed)]).filter(([, b]) => b).map(([r, b]) => r.valid_loss - b.valid_loss));
}

function drawSteps() {
  document.getElementById('steps').hidden = steps.length === 0;
  let before = [];
  table('steps-table', ['Step', 'Validation loss', 'Change', 'Parameters', 'Active', 'Training tokens/s'], byKey(steps).map(([key, runs]) => {
    const line = [
      [key.replace(/^step(\d+)_.*/, '$1. '), runs[0].label], seeds(runs, (r) => r.valid_loss, loss), change(changeSince(before, runs)), many(runs[0].parameters),
      many(runs[0].active), many(mean(runs.map((r) => r.train_tokens_per_s)))];
    before = runs;
    return line;
  }));
}

function drawChoice() {
  const with_ = models.filter((r) => r.choice), tasks = [...new Set(with_.flatMap((r) => Object.keys(r.choice)))];
  document.getElementById('choice').hidden = with_.length === 0;
  fill('choice-about', 'Share of answers that are right, by likelihood over bytes, of at most ' + plan.limit + ' rows of each set: models of this size are near chance, and differences of less than about '
    + percent(1 / Math.sqrt(Math.max(1, plan.limit)), 0) + ' on one set say nothing. In small: nats a byte of the right answer.');
  table('choice-table', ['Model', ...tasks], byKey(with_).map(([key, runs]) => [key, ...tasks.map((t) => {
    const at = runs.map((r) => r.choice[t]).filter((x) => x);
    return [percent(mean(at.map((x) => x.score)), 0), el('small', {}, el('br'), figures(mean(at.map((x) => x.nll_byte))))];
  })]));
}

function facts(id, list) {
  fill(id, el('table', {}, el('tbody', {}, list.map(([name, value]) => el('tr', {}, el('th', { class: 'first', scope: 'row' }, name), el('td', { class: 'text' }, value))))));
}

function drawMethod() {
  const some = data.rows[0], distinct = (pick) => [...new Set(data.rows.map(pick))].join(', ');
  facts('method-table', [
    ['Configs', el('code', {}, distinct((r) => r.config))],
    ['Options of all', el('code', {}, plan.set.join(' ') || none)],
    ['Seeds', plan.seeds.join(', ')],
    ['Learnt from', plan.corpus + (some ? ', ' + many(some.corpus_tokens) + ' tokens' : '')],
    ['Validated on', plan.valid],
    ['Tokenizer', some ? count(some.vocab) + ' tokens, hash ' + distinct((r) => r.tokenizer) : none],
    ['Program', plan.mneme + '; commit ' + distinct((r) => r.commit) + ', ' + distinct((r) => r.compiler)],
    ['Machine', distinct((r) => r.machine.cpu + ', kernels ' + r.machine.level + ', ' + plural(r.machine.threads, 'thread', 'threads'))],
    ['Not done yet', data.left.join(', ') || none],
  ]);
}

function drawAll() {
  for (const chart of charts.splice(0)) chart.destroy();
  drawHead();
  for (const id of ['losses', 'models']) document.getElementById(id).hidden = (id === 'losses' ? data.rows : models).length === 0;
  if (!models.length && steps.length) view.runs = 'steps';
  if (data.rows.length) drawLosses();
  if (models.length) drawModels();
  drawStatements();
  drawSteps();
  drawChoice();
  drawMethod();
}

Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
darkMode.addEventListener('change', drawAll);
drawAll();
