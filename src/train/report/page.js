// page.js: curves, samples and tables of one training.

const data = JSON.parse(document.getElementById('data').textContent);
const rows = data.steps, samples = data.samples, run = data.run, config = run.config;
const charts = [], view = { scale: 'linear', smooth: rows.length > 60, samples: 'last' };
const darkMode = window.matchMedia('(prefers-color-scheme: dark)');

// 12.5M as people say it.
function many(n) {
  if (n === null || n === undefined) return none;
  const unit = ['', 'k', 'M', 'G', 'T'];
  let k = 0;
  while (Math.abs(n) >= 999.5 && k < unit.length - 1) { n /= 1000; k++; }
  return (k === 0 || n >= 99.95 ? n.toFixed(0) : n.toFixed(n >= 9.995 ? 1 : 2)) + unit[k];
}

// The same on an axis: 5k, not 5.00k.
function short(n) { return many(n).replace(/(\.\d*?)0+(\D|$)/, '$1$2').replace(/\.(\D|$)/, '$1'); }

function loss(x) { return number(x, 3); }
function power(x, digits) {
  if (x === null || x === undefined) return none;
  return x.toExponential(digits === undefined ? 2 : digits).replace('e-', 'e' + minus).replace('e+', 'e');
}

function points(name) {
  return rows.filter((r) => r[name] !== null).map((r) => ({ x: r.tokens, y: r[name], step: r.step }));
}

// The mean over some points around each.
function smoothed(list) {
  const reach = Math.max(1, Math.floor(list.length / 60));
  return list.map((p, i) => {
    const near = list.slice(Math.max(0, i - reach), i + reach + 1);
    return { x: p.x, y: near.reduce((sum, q) => sum + q.y, 0) / near.length, step: p.step };
  });
}

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

function draw(id, sets, y, show) {
  charts.push(new Chart(document.getElementById(id), {
    type: 'line', data: { datasets: sets.filter((s) => s.data.length) },
    options: {
      maintainAspectRatio: false, animation: false, parsing: false, interaction: { mode: 'nearest', axis: 'x', intersect: false },
      scales: { x: { type: 'linear', max: rows[rows.length - 1].tokens, ...axis('tokens', short), ticks: { ...axis('', short).ticks, maxTicksLimit: 8 } }, y },
      plugins: {
        legend: { display: sets.filter((s) => s.data.length).length > 1, labels: { color: color('ink'), usePointStyle: true } },
        tooltip: { callbacks: { title: (items) => 'step ' + count(items[0].raw.step) + ', ' + many(items[0].raw.x) + ' tokens', label: (item) => item.dataset.label + ' ' + show(item.raw.y) } },
      },
    },
  }));
}

function onePerTenth(v) { return /^[125](\.?0*)(e|$)/.test(v.toExponential()) ? v.toPrecision(1) : ''; }

function drawLosses() {
  const train = points('loss'), valid = points('valid_loss'), y = axis('loss', (v) => number(v, 1));
  fill('losses-choices',
    group('Scale', ['linear', 'logarithmic'], view.scale, (k) => { view.scale = k; drawAll(); }),
    rows.length > 60 ? group('Training loss', ['as it is', 'smoothed'], view.smooth ? 'smoothed' : 'as it is', (k) => { view.smooth = k === 'smoothed'; drawAll(); }) : null);
  if (view.scale === 'logarithmic') y.type = 'logarithmic';
  draw('losses-chart', [
    curve('validation', valid, 'bar-two', { borderWidth: 2.5, pointRadius: valid.length > 60 ? 0 : 3 }),
    curve('training', view.smooth ? smoothed(train) : train, 'bar', { borderWidth: 1.5 }),
  ], y, loss);
}

function drawCourse() {
  const zero = (y) => Object.assign(y, { suggestedMin: 0 });
  const aux = points('aux'), rate = points('rate'), valueRate = points('value_rate');
  const differs = valueRate.some((p, i) => p.y !== rate[i].y);
  draw('norm-chart', [curve('norm', points('norm'), 'bar')], Object.assign(axis('', onePerTenth), { type: 'logarithmic' }), figures);
  draw('rate-chart', [curve('rate', rate, 'bar'), curve('of memories\u2019 rows', differs ? valueRate : [], 'bar-two')], zero(axis('', (v) => (v ? power(v, 1).replace('.0e', 'e') : '0'))), power);
  draw('speed-chart', [curve('tokens/s', points('tokens_per_s'), 'bar')], zero(axis('', short)), many);
  const hasAux = aux.some((p) => p.y !== 0);
  document.getElementById('aux-figure').hidden = !hasAux;
  if (hasAux) draw('aux-chart', [curve('auxiliary', aux, 'bar')], zero(axis('', (v) => figures(v))), figures);
}

function tile(name, value, more) {
  return el('div', { class: 'tile' }, el('div', { class: 'name' }, name), el('div', { class: 'value' }, value), el('div', { class: 'more' }, more || '\u00a0'));
}

function lowest(list) { return list.reduce((a, b) => (a === null || b.y < a.y ? b : a), null); }

function drawHead() {
  const last = rows[rows.length - 1], model = config.model, valid = points('valid_loss'), best = lowest(valid), c = run.cost;
  fill('lead', model.arch + ', ' + model.mixer + ' attention, ' + model.blocks + ' blocks of width ' + model.width + ', ' + count(run.data.vocab) + ' tokens in the vocabulary. '
    + (last ? 'Step ' + count(last.step) + ' of ' + count(Number(config.train.steps)) + '.' : 'No report yet.'));
  if (!last) return;
  const spent = rows.reduce((sum, r) => sum + r.seconds, 0), speed = points('tokens_per_s').map((p) => p.y).sort((a, b) => a - b);
  const share = rows.map((r) => r.gemm_peak_share).filter((x) => x !== null).sort((a, b) => a - b);
  fill('tiles',
    valid.length ? tile('Validation loss', loss(valid[valid.length - 1].y), best.y < valid[valid.length - 1].y ? 'best ' + loss(best.y) + ' at step ' + count(best.step) : 'perplexity ' + figures(Math.exp(best.y)))
      : tile('Training loss', loss(last.loss), 'nothing is held out'),
    tile('Parameters', many(c.parameters), many(c.active) + ' of them in a token\u2019s pass'),
    tile('Tokens read', many(last.tokens), many(run.data.train.tokens) + ' in the corpus, ' + number(last.tokens / run.data.train.tokens, 2) + ' epochs'),
    tile('Speed', many(speed[speed.length >> 1]) + ' tokens/s', share.length ? percent(share[share.length >> 1], 0) + ' of the machine\u2019s products' : 'median of the reports'),
    tile('Time', seconds(spent), plural(run.starts.length, 'start', 'starts')));
}

function sampleCard(s) {
  return el('article', { class: 'answer' }, el('header', {}, el('span', {}, 'Step ' + count(s.step))),
    el('pre', {}, s.prompt ? el('b', {}, s.prompt) : null, s.text.replace(/^\n+/, '') || el('span', { class: 'none' }, 'nothing')));
}

function drawSamples() {
  document.getElementById('samples').hidden = samples.length === 0;
  const r = config.report;
  fill('samples-about', (r.prompt ? 'Behind a prompt (bold), ' : 'From a document\u2019s beginning, ') + r.sample_tokens + ' tokens'
    + (Number(r.temperature) > 0 ? ' drawn at temperature ' + r.temperature : ', the most likely each') + '. The last stands first.');
  fill('samples-choices', samples.length > 3 ? group('Show', ['last', 'all'], view.samples, (k) => { view.samples = k; drawSamples(); }) : null);
  fill('samples-list', samples.slice().reverse().slice(0, view.samples === 'all' ? samples.length : 3).map(sampleCard));
}

function table(id, heads, lines) {
  fill(id, el('table', {}, el('thead', {}, el('tr', {}, heads.map((h, i) => el('th', i ? { scope: 'col' } : { scope: 'col', class: 'first' }, h)))),
    el('tbody', {}, lines.map((line) => el('tr', {}, line.map((x, i) => (i ? el('td', {}, x) : el('th', { class: 'first', scope: 'row' }, x))))))));
}

function facts(id, list) {
  fill(id, el('table', {}, el('tbody', {}, list.map(([name, value]) => (value === null
    ? el('tr', { class: 'block' }, el('th', { colspan: 2 }, name))
    : el('tr', {}, el('th', { class: 'first', scope: 'row' }, name), el('td', { class: 'text' }, el('code', {}, value))))))));
}

function drawTables() {
  const most = 60, step = Math.max(1, Math.ceil(rows.length / most));
  fill('steps-about', step > 1 ? 'One in ' + step + ' of ' + count(rows.length) + ', those with a validation, and the last; log.sqlite holds all.' : 'All of them; log.sqlite holds the same.');
  table('steps-table', ['Step', 'Tokens', 'Loss', 'Validation', 'Norm', 'Rate', 'Tokens/s', 'Of the peak', 'Time'],
    rows.filter((r, i) => i % step === 0 || i === rows.length - 1 || r.valid_loss !== null).map((r) => [
      count(r.step), many(r.tokens), loss(r.loss), loss(r.valid_loss), figures(r.norm), power(r.rate), many(r.tokens_per_s), percent(r.gemm_peak_share, 0), seconds(r.seconds)]));
  const side = (s) => (s ? many(s.tokens) + ' tokens of ' + (s.documents ? plural(s.documents, 'document', 'documents') : 'the same, its end') : 'none');
  facts('method-table', [
    ['Learnt from', side(run.data.train) + (config.data.corpus ? ': ' + config.data.corpus : '')],
    ['Validated on', side(run.data.valid)],
    ['Tokenizer', count(run.data.vocab) + ' tokens, hash ' + run.data.tokenizer],
    ['A step', plural(config.train.batch * config.train.passes, 'sequence', 'sequences') + ' of ' + config.train.length + ' tokens, ' + many(config.train.batch * config.train.passes * config.train.length * (run.cost.forward_flops + run.cost.backward_flops)) + ' FLOPs counted'],
    ['Program', 'mneme ' + run.mneme + ', commit ' + run.commit + ', ' + run.compiler],
    ['Machine', run.cpu + ', kernels ' + run.cpu_level],
    ['Started', run.starts.map((s) => s.at + ' at step ' + count(s.step) + ', ' + plural(s.threads, 'thread', 'threads') + (s.peak ? ', products at ' + many(s.peak) + ' FLOP/s' : '')).join('; ')],
  ]);
  facts('config-table', Object.entries(config).flatMap(([section, options]) => [['[' + section + ']', null]].concat(Object.entries(options))));
}

function drawAll() {
  for (const chart of charts.splice(0)) chart.destroy();
  drawHead();
  for (const id of ['losses', 'course', 'steps']) document.getElementById(id).hidden = rows.length === 0;
  if (rows.length) drawLosses();
  if (rows.length) drawCourse();
  drawSamples();
  drawTables();
}

Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
darkMode.addEventListener('change', drawAll);
drawAll();
