// page.js: curves and tables of one run.

const data = JSON.parse(document.getElementById('data').textContent);
const rows = data.generations, stages = data.stages, run = data.run;
const charts = [], view = { log: null };
const darkMode = window.matchMedia('(prefers-color-scheme: dark)');

function points(name, of) {
  return (of || rows).filter((r) => r[name] !== null).map((r) => ({ x: r.generation, y: r[name] }));
}

// The mean on what is held out: before a stage, and behind the generations that asked.
function heldOut() {
  const before = stages.filter((s) => s.held_out !== null).map((s) => ({ x: s.generation, y: s.held_out, saved: true }));
  const behind = rows.filter((r) => r.held_out !== null).map((r) => ({ x: r.generation + 1, y: r.held_out, saved: r.is_saved === 1 }));
  return before.concat(behind).sort((a, b) => a.x - b.x);
}

function stageOf(row) { return stages.find((s) => s.stage === row.stage); }

// Where stages begin, as lines behind the curves.
const borders = {
  id: 'borders',
  beforeDatasetsDraw(chart) {
    const { ctx, scales, chartArea } = chart;
    if (stages.length < 2) return;
    ctx.save();
    ctx.strokeStyle = color('soft');
    ctx.fillStyle = color('soft');
    ctx.setLineDash([4, 4]);
    ctx.textBaseline = 'top';
    for (const s of stages) {
      const x = scales.x.getPixelForValue(s.generation);
      ctx.beginPath();
      ctx.moveTo(x, chartArea.top);
      ctx.lineTo(x, chartArea.bottom);
      ctx.stroke();
      ctx.fillText(String(s.stage + 1), x + 4, chartArea.top + 2);
    }
    ctx.restore();
  },
};

function axis(title, format) {
  return {
    title: { display: title !== '', text: title, color: color('soft') }, grid: { color: color('line'), borderColor: color('line') },
    ticks: { color: color('soft'), callback: format, maxRotation: 0 },
  };
}

function curve(label, list, shade, more) {
  return Object.assign({
    label, data: list, borderColor: color(shade), backgroundColor: color(shade), borderWidth: 2, pointRadius: list.length > 60 ? 0 : 2, pointHitRadius: 6, tension: 0,
  }, more || {});
}

function power(v) { return /^[125](\.?0*)(e|$)/.test(v.toExponential()) ? v.toPrecision(1) : ''; }

function draw(id, sets, y, show) {
  charts.push(new Chart(document.getElementById(id), {
    type: 'line', data: { datasets: sets.filter((s) => s.data.length) }, plugins: [borders],
    options: {
      maintainAspectRatio: false, animation: false, parsing: false, interaction: { mode: 'nearest', axis: 'x', intersect: false },
      scales: { x: { type: 'linear', ...axis('generation', (v) => (Number.isInteger(v) ? count(v) : '')) }, y },
      plugins: {
        legend: { display: sets.length > 1, labels: { color: color('ink'), usePointStyle: true } },
        tooltip: { callbacks: { title: (items) => 'generation ' + count(items[0].raw.x), label: (item) => item.dataset.label + ' ' + show(item.raw.y) } },
      },
    },
  }));
}

function logarithmic(y) {
  y.type = 'logarithmic';
  y.ticks.callback = power;
  return y;
}

function drawLosses() {
  const held = heldOut(), all = points('best').concat(points('mean'), held);
  const positive = all.length > 0 && all.every((p) => p.y > 0);
  if (view.log === null) view.log = positive && Math.max(...all.map((p) => p.y)) > 30 * Math.min(...all.map((p) => p.y));
  fill('losses-choices', positive ? group('Scale', ['linear', 'logarithmic'], view.log ? 'logarithmic' : 'linear', (k) => { view.log = k === 'logarithmic'; drawAll(); }) : null);
  const y = axis('loss', (v) => figures(v));
  draw('losses-chart', [
    curve('best candidate', points('best'), 'bar', { borderWidth: 1.5 }),
    curve('mean of candidates', points('mean'), 'bar-three', { borderWidth: 1.5 }),
    curve('mean of the search, held out', held, 'bar-two', { pointRadius: held.map((p) => (p.saved ? 5 : 2)) }),
  ], view.log ? logarithmic(y) : y, figures);
}

function drawSpread() {
  draw('sigma-chart', [curve('sigma', points('sigma'), 'bar')], logarithmic(axis('', null)), figures);
  const kept = points('kept_share');
  document.getElementById('kept-figure').hidden = kept.length === 0;
  if (kept.length) {
    draw('kept-chart', [curve('kept', kept, 'bar')], Object.assign(axis('', (v) => percent(v, 0)), { suggestedMin: 0 }), percent);
  }
}

function tile(name, value, more) {
  return el('div', { class: 'tile' }, el('div', { class: 'name' }, name), el('div', { class: 'value' }, value), el('div', { class: 'more' }, more || '\u00a0'));
}

function table(id, heads, lines) {
  fill(id, el('table', {}, el('thead', {}, el('tr', {}, heads.map((h, i) => el('th', i ? { scope: 'col' } : { scope: 'col', class: 'first' }, h)))),
    el('tbody', {}, lines.map((line) => el('tr', {}, line.map((x, i) => (i ? el('td', {}, x) : el('th', { class: 'first', scope: 'row' }, x))))))));
}

function lowest(list) { return list.reduce((a, b) => (a === null || b.y < a.y ? b : a), null); }

function drawHead() {
  const last = rows[rows.length - 1], spent = rows.reduce((sum, r) => sum + r.seconds, 0);
  fill('lead', plural(rows.length, 'generation', 'generations') + ' of ' + run.search.n + ' variables, ' + run.search.covariance + ' covariance, '
    + plural(run.stages.length, 'stage', 'stages') + '.');
  if (!last) return;
  const held = heldOut().filter((p) => p.x > stageOf(last).generation || p.x === stageOf(last).generation), best = lowest(held);
  fill('tiles',
    best ? tile('Best mean on what is held out', figures(best.y), 'after ' + plural(best.x, 'generation', 'generations') + '; ' + figures(held[0].y) + ' as the stage began') : null,
    tile('Best candidate of the last generation', figures(last.best), 'their mean ' + figures(last.mean)),
    tile('Step size', figures(last.sigma), 'axes 1 : ' + figures(last.axis_ratio)),
    tile('Ratings', count(last.evaluations), seconds(spent) + ' in all'));
}

function drawTables() {
  table('stages-table', ['Stage', 'Rated by', 'From generation', 'Generations', 'Prompts to draw from', 'Held out, at its start', 'Held out, best', 'Time'], stages.map((s) => {
    const mine = rows.filter((r) => r.stage === s.stage), best = lowest(points('held_out', mine));
    return [String(s.stage + 1) + ': ' + breakable(s.tasks), s.fidelity, count(s.generation), count(mine.length), count(s.n_item), figures(s.held_out), figures(best && best.y),
      seconds(mine.reduce((sum, r) => sum + r.seconds, 0))];
  }));
  const most = 200, step = Math.max(1, Math.ceil(rows.length / most));
  fill('generations-about', step > 1 ? 'One in ' + step + ' of ' + count(rows.length) + ', those whose mean was kept, and the last; log.sqlite holds all.' : 'All of them; log.sqlite holds also which prompts each was rated on.');
  table('generations-table', ['Generation', 'Stage', 'Best', 'Median', 'Mean', 'Held out', 'Sigma', 'Kept', 'Prompts', 'Failed', 'Ratings', 'Time'],
    rows.filter((r, i) => i % step === 0 || i === rows.length - 1 || (r.is_saved === 1 && r.held_out !== null)).map((r) => [
      count(r.generation), String(r.stage + 1), figures(r.best), figures(r.median), figures(r.mean), figures(r.held_out) + (r.is_saved === 1 ? ' kept' : ''), figures(r.sigma),
      percent(r.kept_share), count(r.n_prompt - r.n_left), count(r.n_failed), count(r.evaluations), seconds(r.seconds)]));
  const words = (o) => Object.entries(o).map(([k, v]) => k + ' ' + (v !== null && typeof v === 'object' ? JSON.stringify(v) : v)).join(', ');
  const facts = [['Search', words(run.search)], ['Seed', String(run.seed)], ['Ratings', words(run.settings)], ['Options', words(run.options)],
    ['Stages asked for', run.stages.map((s) => s.tasks + ' (' + s.fidelity + (s.generations ? ', ' + count(s.generations) + ' generations' : '') + ')').join('; ')],
    ['Program', 'mneme ' + run.mneme + ', commit ' + run.commit + ', ' + run.compiler], ['Machine', run.cpu + ', kernels ' + run.cpu_level],
    ['Started', run.starts.map((s) => s.at + ' at generation ' + s.generation + ', ' + plural(s.threads, 'thread', 'threads') + ' in ' + plural(s.ranks, 'process', 'processes')).join('; ')]];
  fill('method-table', el('table', {}, el('tbody', {}, facts.map(([name, value]) => el('tr', {}, el('th', { class: 'first', scope: 'row' }, name), el('td', { class: 'text' }, el('code', {}, value)))))));
}

function drawAll() {
  for (const chart of charts.splice(0)) chart.destroy();
  drawHead();
  drawLosses();
  drawSpread();
  drawTables();
}

Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
darkMode.addEventListener('change', drawAll);
drawAll();
