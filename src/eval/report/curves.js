// curves.js: quality against what is kept, with intervals (Chart.js).

const curveX = {
  kv_share: 'tokens kept, share while answering', kv_share_papers: 'tokens kept, share as papers count',
  kv_bytes_ratio: 'KV bytes, share of the full cache', bytes_ratio: 'KV and policy bytes, share of the full cache',
};
const curveY = { kl: 'KL per token (nats)', nll_change: 'change of NLL per token (nats)', full_ratio: 'score / full cache' };
const curve = { x: 'kv_share', y: 'kl', family: '', hidden: null, chart: null };

// Whiskers of the intervals, behind the points.
const whiskers = {
  id: 'whiskers',
  beforeDatasetsDraw(chart) {
    const { ctx, scales, chartArea } = chart;
    ctx.save();
    ctx.beginPath();
    ctx.rect(chartArea.left, chartArea.top, chartArea.width, chartArea.height);
    ctx.clip();
    chart.data.datasets.forEach((set, i) => {
      if (!chart.isDatasetVisible(i)) return;
      ctx.strokeStyle = set.borderColor;
      ctx.globalAlpha = 0.55;
      ctx.lineWidth = 1.5;
      for (const p of set.data) {
        if (!p.ci) continue;
        const x = scales.x.getPixelForValue(p.x), lo = scales.y.getPixelForValue(scales.y.type === 'logarithmic' ? Math.max(p.ci[0], scales.y.min) : p.ci[0]), hi = scales.y.getPixelForValue(p.ci[1]);
        ctx.beginPath();
        ctx.moveTo(x, lo); ctx.lineTo(x, hi);
        ctx.moveTo(x - 3, lo); ctx.lineTo(x + 3, lo);
        ctx.moveTo(x - 3, hi); ctx.lineTo(x + 3, hi);
        ctx.stroke();
      }
    });
    ctx.restore();
  },
};

function curveLines() {
  return ofRun(curve.family ? data.families.filter((x) => x.family === curve.family) : data.summary).filter((x) => !isReference(x));
}

function curveSets() {
  return policies().map((policy) => {
    const style = look(policy);
    const points_ = curveLines().filter((x) => x.policy === policy && x[curve.x] !== null && x[curve.y] !== null)
      .map((x) => ({ x: x[curve.x], y: x[curve.y], ci: x[curve.y + '_ci95'], budget: x.budget }));
    points_.sort((a, b) => a.x - b.x);
    return {
      label: policy, data: points_, hidden: curve.hidden.has(policy), borderColor: style.color, backgroundColor: style.color,
      borderDash: style.dash, borderWidth: 2, pointStyle: style.point, pointRadius: 5, pointHoverRadius: 7,
      pointBorderColor: style.color, tension: 0,
    };
  });
}

// At first: the baselines and those that are nearest to the full cache, so that lines can be told
// apart; all others are a click away.
function hideMost() {
  const mean = (policy) => {
    const of = ofRun(data.summary).filter((x) => x.policy === policy && x.kl !== null);
    return of.length ? d3.mean(of, (x) => x.kl) : Infinity;
  };
  const plain = policies().filter((p) => !isBaseline({ policy: p })).sort((a, b) => mean(a) - mean(b));
  curve.hidden = new Set(plain.slice(7));
}

function axis(title, format) {
  return {
    title: { display: true, text: title, color: color('soft') }, grid: { color: color('line'), borderColor: color('line') },
    ticks: { color: color('soft'), callback: format, maxRotation: 0, autoSkipPadding: 10 },
  };
}

function curveOptions(sets) {
  const show = (v) => showMeasure(curve.y, v);
  const y = axis(curveY[curve.y], (v) => (curve.y === 'full_ratio' ? percent(v, 0) : number(v, 3).replace(/\.?0+$/, '')));
  const ends = sets.filter((set) => !set.hidden).flatMap((set) => set.data.flatMap((p) => p.ci || [p.y]));
  if (curve.y === 'kl' && ends.length && Math.min(...ends) > 0) {
    y.type = 'logarithmic';
    y.title.text += ', logarithmic';
    y.min = 0.8 * Math.min(...ends);
    y.max = 1.25 * Math.max(...ends);
    y.ticks.callback = (v) => (/^[125]0*$/.test((v * 1e9).toFixed(0)) ? String(+v.toPrecision(1)) : '');
    y.grid.color = (c) => (c.tick && c.tick.label === '' ? 'transparent' : color('line'));
  } else if (curve.y !== 'full_ratio') y.suggestedMin = 0;
  return {
    maintainAspectRatio: false, animation: false, parsing: false,
    interaction: { mode: 'nearest', intersect: false },
    scales: { x: { type: 'linear', ...axis(curveX[curve.x], (v) => percent(v, 0)), suggestedMin: 0 }, y },
    plugins: {
      legend: { display: false },
      tooltip: {
        callbacks: {
          title: (items) => items[0].dataset.label + ' ' + items[0].raw.budget,
          label: (item) => [show(item.raw.y) + ' ' + interval(item.raw.ci, show), percent(item.raw.x) + ' kept'],
        },
      },
    },
  };
}

// The line and point of a policy, as the chart draws them.
function sample(policy) {
  const style = look(policy), box = document.createElement('span');
  const svg = d3.select(box).append('svg').attr({ width: 26, height: 12, 'aria-hidden': true });
  svg.append('line').attr({ x1: 0, x2: 26, y1: 6, y2: 6, stroke: style.color, 'stroke-width': 2, 'stroke-dasharray': style.dash.join(' ') });
  const shape = { circle: 'circle', triangle: 'triangle-up', rect: 'square', rectRot: 'diamond', star: 'cross', cross: 'cross', crossRot: 'cross' };
  svg.append('path').attr({ transform: 'translate(13,6)', d: d3.svg.symbol().type(shape[style.point]).size(42)(), fill: style.color });
  return box.firstChild;
}

function curveLegend() {
  const toggle = (policy) => {
    if (curve.hidden.has(policy)) curve.hidden.delete(policy);
    else curve.hidden.add(policy);
    drawCurves();
  };
  const all = policies();
  fill('curves-legend', all.map((policy) => el('button', {
    type: 'button', 'aria-pressed': String(!curve.hidden.has(policy)), onclick: () => toggle(policy),
  }, sample(policy), policy)),
  all.length < 3 ? null : el('button', {
    type: 'button', onclick: () => { curve.hidden = new Set(curve.hidden.size ? [] : all); drawCurves(); },
  }, curve.hidden.size ? 'show all' : 'show none'));
}

function drawCurves() {
  const lines = ofRun(data.summary).filter((x) => !isReference(x));
  const xs = Object.keys(curveX).filter((k) => lines.some((x) => x[k] !== null));
  const ys = Object.keys(curveY).filter((k) => lines.some((x) => x[k] !== null));
  document.getElementById('curves').hidden = !xs.length || !ys.length;
  if (!xs.length || !ys.length) return;
  if (!xs.includes(curve.x)) curve.x = xs[0];
  if (!ys.includes(curve.y)) curve.y = ys[0];
  if (!curve.hidden) hideMost();
  const families = ['', ...new Set(ofRun(data.families).map((x) => x.family))];
  if (!families.includes(curve.family)) curve.family = '';
  const set = (key) => (value) => { curve[key] = value; drawCurves(); };
  fill('curves-choices', group('Measure', ys, curve.y, set('y'), (k) => measures[k]),
    el('label', {}, 'of', selection(families, curve.family, set('family'), (f) => f || 'all kinds of task')),
    el('label', {}, 'against', selection(xs, curve.x, set('x'), (k) => curveX[k])));
  if (curve.chart) curve.chart.destroy();
  const sets = curveSets();
  curve.chart = new Chart(document.getElementById('curves-chart'), {
    type: 'line', data: { datasets: sets }, options: curveOptions(sets), plugins: [whiskers],
  });
  curveLegend();
}
