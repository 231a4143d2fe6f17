// curves.js: how much is held, by layer, by position and over time (Chart.js).

const charts = {};

function axis(title, format) {
  return {
    title: { display: true, text: title, color: color('soft') }, grid: { color: color('line'), borderColor: color('line') },
    ticks: { color: color('soft'), callback: format, maxRotation: 0, autoSkipPadding: 12 },
  };
}

function plot(id, type, sets, scales, extra) {
  if (charts[id]) charts[id].destroy();
  const { label, title, plugins } = extra;
  charts[id] = new Chart(document.getElementById(id), {
    type, data: { labels: extra.labels, datasets: sets }, plugins: plugins || [],
    options: {
      maintainAspectRatio: false, animation: false, scales, interaction: { mode: 'index', intersect: false },
      plugins: { legend: { display: !!extra.legend, labels: { color: color('soft'), boxWidth: 12 } }, tooltip: { callbacks: { label, title }, filter: (item) => !item.dataset.quiet } },
    },
  });
}

function line(label, values, shade, more) {
  return { label, data: values, borderColor: shade, backgroundColor: shade, borderWidth: 2, pointRadius: 0, pointHoverRadius: 4, tension: 0, ...more };
}

function drawLayerCurve() {
  const held = layers.map((_, i) => Array.from({ length: nHead }, (_, h) => heldAt(i * nHead + h, state.event)));
  const quiet = { quiet: true, borderWidth: 0, pointHoverRadius: 0, backgroundColor: color('bar') + '33' };
  const sets = [line('mean', held.map((x) => d3.mean(x)), color('bar'), { pointRadius: layers.length > 1 ? 3 : 5 })];
  if (nHead > 1) sets.push(line('most', held.map((x) => d3.max(x)), 'transparent', { ...quiet, fill: '+1' }), line('fewest', held.map((x) => d3.min(x)), 'transparent', { ...quiet, fill: false }));
  plot('layers-chart', 'line', sets, { x: axis('layer', function (i) { return this.getLabelForValue(i); }), y: { ...axis('tokens', (v) => count(v)), suggestedMin: 0 } }, {
    labels: layers, title: (items) => 'Layer ' + items[0].label,
    label: (item) => [count(Math.round(item.raw)) + ' tokens, ' + percent(item.raw / seenAt(state.event))].concat(nHead > 1 ? ['heads: ' + held[item.dataIndex].map(count).join(', ')] : []),
  });
}

function drawPositionCurve() {
  const of = lanes(), n = Math.min(120, nToken), seen = seenAt(state.event), share = new Float64Array(n), size = new Uint32Array(n);
  for (let t = 0; t < nToken; t++) size[Math.floor((t * n) / nToken)]++;
  for (const lane of of) for (let t = 0; t < seen; t++) if (isHeld(lane, t, state.event)) share[Math.floor((t * n) / nToken)]++;
  const begin = (i) => Math.ceil((i * nToken) / n);
  const values = Array.from(share, (x, i) => (begin(i) < seen ? x / size[i] / of.length : null));
  plot('position-chart', 'line', [line('share', values, color('bar'), { fill: 'origin', backgroundColor: color('bar') + '33', stepped: 'middle' })],
    { x: axis('position in the text', (i) => count(begin(i))), y: { ...axis('share of heads', (v) => percent(v, 0)), min: 0, max: 1 } }, {
      labels: Array.from(share, (_, i) => i), title: (items) => 'Tokens ' + count(begin(items[0].dataIndex)) + ' to ' + count(begin(items[0].dataIndex + 1) - 1), label: (item) => percent(item.raw),
    });
}

// The event that the slider stands at.
const marker = {
  id: 'marker',
  afterDatasetsDraw(chart) {
    if (chart.canvas.id !== 'time-chart') return;
    const { ctx, scales, chartArea } = chart, x = scales.x.getPixelForValue(seenAt(state.event));
    ctx.save();
    ctx.strokeStyle = color('soft');
    ctx.setLineDash([4, 3]);
    ctx.beginPath();
    ctx.moveTo(x, chartArea.top); ctx.lineTo(x, chartArea.bottom);
    ctx.stroke();
    ctx.restore();
  },
};

// Between events a head holds all that it reads: the line saws.
function drawTimeCurve() {
  const of = lanes(), every = Math.max(1, Math.ceil(nEvent / 1500)), points = [{ x: 0, y: 0 }];
  const mean = (f) => d3.mean(of, f);
  for (let e = 1; e <= nEvent; e++) {
    if (e % every && e !== nEvent) continue;
    const x = seenAt(e), before = mean((lane) => x - droppedBy[lane * (nEvent + 1) + e - 1]);
    points.push({ x, y: before }, { x, y: mean((lane) => heldAt(lane, e)) });
  }
  points.push({ x: nToken, y: mean((lane) => heldAt(lane, lastEvent)) });
  plot('time-chart', 'line', [line('held', points, color('bar')), line('full cache', [{ x: 0, y: 0 }, { x: nToken, y: nToken }], color('bar-three'), { borderDash: [5, 4], borderWidth: 1.5 })], {
    x: { type: 'linear', min: 0, max: nToken, ...axis('tokens read and written', (v) => count(Math.round(v))) }, y: { ...axis('tokens held', (v) => count(v)), min: 0 },
  }, { legend: true, plugins: [marker], title: (items) => count(items[0].parsed.x) + ' tokens', label: (item) => item.dataset.label + ': ' + count(Math.round(item.parsed.y)) });
}

function drawCurves() {
  document.getElementById('curves').hidden = !nLane;
  if (!nLane) return;
  drawLayerCurve();
  drawPositionCurve();
  drawTimeCurve();
}

// ---- scores ----

const fates = [['kept', 'kept', 'bar'], ['dropped', 'dropped', 'bar-two'], ['protected', 'first, recent, pinned: not up for choice', 'bar-three']];

function thresholdLine(s) {
  return {
    id: 'threshold',
    afterDatasetsDraw(chart) {
      if (s.threshold === null) return;
      const { ctx, scales, chartArea } = chart;
      const n = s.kept.length, at = s.log ? Math.log(s.threshold / s.lo) / Math.log(s.hi / s.lo) : (s.threshold - s.lo) / (s.hi - s.lo);
      const left = scales.x.getPixelForValue(0), wide = (scales.x.getPixelForValue(n - 1) - left) / (n - 1), x = left + (at * n - 0.5) * wide;
      ctx.save();
      ctx.strokeStyle = ctx.fillStyle = color('ink');
      ctx.font = '12px system-ui, sans-serif';
      ctx.setLineDash([4, 3]);
      ctx.beginPath();
      ctx.moveTo(x, chartArea.top); ctx.lineTo(x, chartArea.bottom);
      ctx.stroke();
      ctx.textAlign = at > 0.6 ? 'right' : 'left';
      ctx.fillText('threshold ' + figures(s.threshold), x + (at > 0.6 ? -6 : 6), chartArea.top + 12);
      ctx.restore();
    },
  };
}

function drawScores() {
  document.getElementById('scores').hidden = !data.scores.length;
  if (!data.scores.length) return;
  const s = data.scores.find((x) => x.layer === state.layer) || data.scores[0], n = s.kept.length;
  const edge = (i) => (s.log ? s.lo * Math.pow(s.hi / s.lo, i / n) : s.lo + ((s.hi - s.lo) * i) / n);
  const short = (v) => (v !== 0 && (Math.abs(v) < 1e-3 || Math.abs(v) >= 1e5) ? v.toExponential(1).replace('-', minus) : figures(v));
  for (const at of document.querySelectorAll('.of-layer')) at.textContent = ', layer ' + s.layer;
  fill('scores-about', 'Tokens of all heads of the layer by the score that they were chosen by, after ' + count(s.tokens_seen) + ' tokens. The outermost bins take in what lies beyond'
    + (s.log ? '; the scale is a logarithm\u2019s' : '') + '.' + (s.infinite ? ' ' + plural(s.infinite, 'score was', 'scores were') + ' infinite and are left out.' : ''));
  fill('scores-choices', el('label', {}, 'Layer', selection(data.scores.map((x) => x.layer), s.layer, (v) => choose({ layer: v }))));
  plot('scores-chart', 'bar', fates.map(([key, label, shade]) => ({ label, data: s[key], backgroundColor: color(shade), stack: 'all', categoryPercentage: 1, barPercentage: 0.94 })), {
    x: { ...axis('score', (i) => short(edge(i))), stacked: true }, y: { ...axis('tokens', (v) => count(v)), stacked: true },
  }, {
    labels: s.kept.map((_, i) => i), legend: true, plugins: [thresholdLine(s)],
    title: (items) => short(edge(items[0].dataIndex)) + ' to ' + short(edge(items[0].dataIndex + 1)), label: (item) => item.dataset.label + ': ' + count(item.raw),
  });
}
