// tables.js: the summary with its intervals drawn, kinds of tasks, tasks, pairs.

let order = { key: 'kl', down: false };

// ---- the summary ----

const plotWidth = 78;

// Small differences near 0 and a baseline far off stand on one axis: of square roots.
function rootScale(lines, key, width) {
  let lo = 0, hi = 0;
  for (const line of lines) {
    const ci = line[key + '_ci95'] || [line[key] || 0, line[key] || 0];
    lo = Math.min(lo, ci[0]);
    hi = Math.max(hi, ci[1]);
  }
  const root = (x) => Math.sign(x) * Math.sqrt(Math.abs(x));
  const scale = d3.scale.linear().domain([root(lo), root(hi || 1)]).range([6, width - 6]);
  return (x) => scale(root(x));
}

function whisker(line, key, at, width) {
  const cell = el('td', { class: 'plot' });
  const svg = d3.select(cell).append('svg').attr({ width, height: 22, 'aria-hidden': true });
  svg.append('line').attr({ x1: at(0), x2: at(0), y1: 0, y2: 22, stroke: color('line') });
  const mean = line[key], ci = line[key + '_ci95'];
  if (mean === null) return cell;
  const ink = isReference(line) ? color('ink') : color('bar');
  if (ci) svg.append('line').attr({ x1: at(ci[0]), x2: at(ci[1]), y1: 11, y2: 11, stroke: ink, 'stroke-width': 3, 'stroke-opacity': 0.45 });
  svg.append('circle').attr({ cx: at(mean), cy: 11, r: 3, fill: ink });
  return cell;
}

function estimate(line, key, show) {
  if (line[key] === null) return el('td', { title: 'not measured' }, none);
  return el('td', {}, show(line[key]), ' ', el('small', {}, interval(line[key + '_ci95'], show)));
}

const lossColumns = [
  { key: 'kl', title: 'KL', note: 'nats per token', plot: true },
  { key: 'nll_change', title: 'Change of NLL', note: 'nats per token', plot: true },
  { key: 'full_ratio', title: 'Score', note: 'of full' },
];
const aloneColumns = [{ key: 'nll', title: 'NLL', note: 'nats per token', plot: true }];
const costColumns = [
  { key: 'kv_share', title: 'Cache share', note: 'as papers count' },
  { key: 'kv_bytes', title: 'KV bytes', note: 'of full' },
  { key: 'bytes_ratio', title: 'With state', note: 'of full' },
  { key: 'peak_kv_bytes', title: 'Peak KV', note: 'of full' },
  { key: 'seconds', title: 'Time', note: 'of a prompt' },
  { key: 'n', title: 'Prompts' },
];
function summaryColumns() {
  return [{ key: 'policy', title: 'Policy', text: true }, ...(isAlone() ? aloneColumns : lossColumns), ...costColumns];
}

function sortBy(key) {
  order = { key, down: order.key === key ? !order.down : false };
  drawSummary();
}

function summaryHead() {
  const arrow = order.down ? ' \u2193' : ' \u2191';
  return el('thead', {}, el('tr', {}, summaryColumns().map((c) => [el('th', {
    class: (c.text ? 'first ' : '') + 'sort', scope: 'col',
    'aria-sort': order.key === c.key ? (order.down ? 'descending' : 'ascending') : null,
  }, el('button', { type: 'button', onclick: () => sortBy(c.key) }, c.title + (order.key === c.key ? arrow : '')), c.note ? el('small', {}, c.note) : null),
  c.plot ? el('td', { class: 'plot', 'aria-hidden': 'true' }) : null])));
}

// A figure and, below it, a second one.
function double(first, second) {
  return el('td', {}, first, second ? el('small', {}, second) : null);
}

function ratioOf(x) { return x === null ? '' : percent(x, 0); }

function summaryRow(line, scales) {
  const held = line.kv_bytes === null ? null : line.kv_bytes + (line.policy_bytes || 0);
  return el('tr', {},
    el('th', { class: 'first', scope: 'row' }, breakable(policyName(line))),
    isAlone() ? [estimate(line, 'nll', figures), whisker(line, 'nll', scales.nll, plotWidth)] : [
      estimate(line, 'kl', figures), whisker(line, 'kl', scales.kl, plotWidth),
      estimate(line, 'nll_change', signed), whisker(line, 'nll_change', scales.nll_change, plotWidth),
      double(percent(line.full_ratio), line.n_ratio ? plural(line.n_ratio, 'task', 'tasks') : '')],
    double(percent(line.kv_share), percent(line.kv_share_papers)),
    double(bytes(line.kv_bytes), ratioOf(line.kv_bytes_ratio)), double(bytes(held), ratioOf(line.bytes_ratio)),
    double(bytes(line.peak_kv_bytes), ratioOf(line.peak_ratio)), el('td', {}, seconds(line.seconds)),
    double(count(line.n), line.n_failed ? line.n_failed + ' failed' : ''));
}

function bySummaryOrder(a, b) {
  const x = a[order.key], y = b[order.key];
  if (x === null || y === null) return (x === null) - (y === null);
  const sign = order.down ? -1 : 1;
  return sign * (typeof x === 'string' ? x.localeCompare(y) : x - y);
}

function drawSummary() {
  const lines = shown(data.summary).filter((x) => x.policy !== 'empty');
  const scales = {}, width = summaryColumns().reduce((n, c) => n + (c.plot ? 2 : 1), 0);
  if (!summaryColumns().some((c) => c.key === order.key)) order = { key: isAlone() ? 'nll' : 'kl', down: false };
  for (const key of ['kl', 'nll_change', 'nll']) scales[key] = rootScale(lines, key, plotWidth);
  const body = el('tbody');
  const block = (title, of) => {
    if (!of.length) return;
    body.append(el('tr', { class: 'block' }, el('th', { colspan: width, scope: 'colgroup' }, title)));
    for (const line of of) body.append(summaryRow(line, scales));
  };
  block('Reference', lines.filter(isReference));
  for (const acts of ['end', 'reading', 'never']) {
    block(actsTitle(acts), lines.filter((x) => !isReference(x) && x.acts === acts).sort(bySummaryOrder));
  }
  fill('summary-table', el('table', {}, summaryHead(), body));
}

// ---- kinds of tasks ----

const measures = { kl: 'KL per token', nll_change: 'change of NLL', full_ratio: 'score / full', nll: 'NLL per token' };
let familyMeasure = 'nll_change';

function shadeOf(key, value, most) {
  if (value === null) return color('card');
  if (key === 'kl' || key === 'nll') return between(color('neutral'), color('worse'), Math.sqrt(value / most));
  if (key === 'full_ratio') return between(color('neutral'), value < 1 ? color('worse') : color('better'), Math.abs(1 - value) / 0.6);
  return between(color('neutral'), value > 0 ? color('worse') : color('better'), Math.sqrt(Math.abs(value) / most));
}

function showMeasure(key, value) {
  return key === 'kl' || key === 'nll' ? figures(value) : key === 'full_ratio' ? percent(value) : signed(value);
}

function measureCell(line, key, most) {
  if (!line || line[key] === null) return el('td', { class: 'cell', title: 'not measured' }, none);
  const shade = shadeOf(key, line[key], most), ci = line[key + '_ci95'];
  const n = { kl: line.n_kl, full_ratio: null, nll: line.n, nll_change: line.n_nll_change }[key];
  return el('td', {
    class: 'cell', style: 'background:' + shade + ';color:' + inkOn(shade),
    title: n === null ? plural(line.n_ratio, 'task', 'tasks') : plural(n, 'prompt', 'prompts'),
  }, showMeasure(key, line[key]), ci ? el('small', {}, interval(ci, (x) => showMeasure(key, x))) : null);
}

function drawFamilies() {
  const lines = shown(data.families).filter((x) => !isReference(x));
  const names = [...new Set(lines.map((x) => x.family))];
  const keys = Object.keys(measures).filter((k) => (k === 'nll') === isAlone() && lines.some((x) => x[k] !== null));
  document.getElementById('families').hidden = names.length === 0 || keys.length === 0;
  if (keys.length === 0) return;
  if (!keys.includes(familyMeasure)) familyMeasure = keys[0];
  fill('families-choices', group('Measure', keys, familyMeasure, (k) => { familyMeasure = k; drawFamilies(); }, (k) => measures[k]));
  const most = Math.max(1e-9, ...lines.map((x) => Math.abs(x[familyMeasure] || 0)));
  const body = el('tbody', {}, shown(data.summary).filter((x) => !isReference(x)).map((arm) => el('tr', {},
    el('th', { class: 'first', scope: 'row' }, breakable(policyName(arm))),
    names.map((f) => measureCell(lines.find((x) => x.policy === arm.policy && x.family === f), familyMeasure, most)))));
  const n = (f) => Math.max(...lines.filter((x) => x.family === f).map((x) => x.n));
  fill('families-table', el('table', {}, el('thead', {}, el('tr', {}, el('th', { class: 'first', scope: 'col' }, 'Policy'),
    names.map((f) => el('th', { scope: 'col' }, f, el('small', {}, plural(n(f), 'prompt', 'prompts')))))), body));
}

// ---- tasks ----

function scoreCell(line) {
  if (!line || line.score === null) return el('td', {}, none);
  if (line.full_ratio === null) return el('td', {}, number(100 * line.score, 1));
  const shade = shadeOf('full_ratio', line.full_ratio, 1);
  return el('td', {
    style: 'background:' + shade + ';color:' + inkOn(shade), title: percent(line.full_ratio) + ' of the full cache',
  }, number(100 * line.score, 1));
}

function drawTasks() {
  const lines = shown(data.rows).filter((x) => !isReference(x));
  const tasks = ofRun(data.tasks), scored = tasks.filter((t) => t.full !== null || lines.some((x) => x.task === t.task && x.score !== null));
  document.getElementById('tasks').hidden = scored.length === 0;
  const names = shown(data.summary).filter((x) => !isReference(x)).map((x) => x.policy);
  const body = el('tbody');
  for (const family of [...new Set(scored.map((t) => t.family))]) {
    body.append(el('tr', { class: 'block' }, el('th', { colspan: 4 + names.length, scope: 'colgroup' }, family)));
    for (const t of scored.filter((x) => x.family === family)) {
      const full = ofRun(data.rows).find((x) => x.task === t.task && x.policy === 'full'), most = Math.max(t.n, ...lines.filter((x) => x.task === t.task).map((x) => x.n));
      body.append(el('tr', {}, el('th', { class: 'first', scope: 'row' }, t.task, t.metric ? el('small', {}, t.metric) : null),
        el('td', {}, count(full ? full.n : most)), el('td', {}, t.without_context === null ? none : number(100 * t.without_context, 1)),
        el('td', { class: 'strong' }, t.full === null ? none : number(100 * t.full, 1)),
        names.map((p) => scoreCell(lines.find((x) => x.task === t.task && x.policy === p)))));
    }
  }
  fill('tasks-table', el('table', {}, el('thead', {}, el('tr', {}, el('th', { class: 'first', scope: 'col' }, 'Task'),
    ['Prompts', 'No context', 'Full cache', ...names.map(breakable)].map((x) => el('th', { scope: 'col' }, x)))), body));
  const out = isAlone() ? [] : tasks.filter((t) => !t.ratio_counts), whys = [...new Set(out.map((t) => t.why_not))];
  fill('tasks-left-out', out.length === 0 ? null : [el('p', {}, 'In no ratio:'),
    el('ul', {}, whys.map((why) => el('li', {}, why + ': ' + out.filter((t) => t.why_not === why).map((t) => t.task).join(', '))))]);
}

// ---- pairs ----

let pairMeasure = 'kl';

function drawPairs() {
  const all = ofRun(data.pairs).filter((p) => p.budget === state.budget);
  const keys = ['kl', 'nll'].filter((k) => all.some((p) => p.measure === k && p.difference !== null));
  document.getElementById('pairs').hidden = keys.length === 0;
  if (keys.length === 0) return;
  if (!keys.includes(pairMeasure)) pairMeasure = keys[0];
  fill('pairs-choices', group('Measure', keys, pairMeasure, (k) => { pairMeasure = k; drawPairs(); }, (k) => (k === 'kl' ? 'KL per token' : 'NLL per token')));
  const pairs = all.filter((p) => p.measure === pairMeasure && p.difference !== null);
  const mean = (name) => { const line = shown(data.summary).find((x) => x.policy === name); return line[pairMeasure] === null ? 1e9 : line[pairMeasure]; };
  const names = [...new Set(pairs.flatMap((p) => [p.a, p.b]))].sort((a, b) => mean(a) - mean(b));
  const most = Math.max(1e-9, ...pairs.map((p) => Math.abs(p.difference)));
  const cell = (row, column) => {
    const p = pairs.find((x) => (x.a === row && x.b === column) || (x.a === column && x.b === row));
    if (!p) return el('td', { class: 'cell' });
    const sign = p.a === row ? 1 : -1, shade = shadeOf('nll_change', sign * p.difference, most);
    const ci = p.ci95 && (sign > 0 ? p.ci95 : [-p.ci95[1], -p.ci95[0]]);
    return el('td', {
      class: 'cell' + (p.p_holm !== null && p.p_holm < 0.05 ? ' strong' : ''), style: 'background:' + shade + ';color:' + inkOn(shade),
      title: row + ' less ' + column + ': ' + signed(sign * p.difference) + ' ' + interval(ci, signed) + ', p ' + figures(p.p) + ', after Holm ' + figures(p.p_holm) + ', ' + plural(p.n, 'prompt', 'prompts'),
    }, signed(sign * p.difference), el('small', {}, 'p ' + (p.p_holm < 0.001 ? '<0.001' : number(p.p_holm, 3))));
  };
  fill('pairs-table', el('table', {}, el('thead', {}, el('tr', {}, el('th', { class: 'first', scope: 'col' }, 'Row less column'),
    names.map((x) => el('th', { scope: 'col' }, breakable(x))))), el('tbody', {}, names.map((row) => el('tr', {},
    el('th', { class: 'first', scope: 'row' }, breakable(row)), names.map((column) => cell(row, column)))))));
}
