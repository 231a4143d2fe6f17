// cost.js: bytes and seconds of the policies at one budget (Chart.js).

const costs = { memory: null, time: null };

// Long names take two lines or more, so that they leave room for the bars.
function lines(name) {
  const out = [''];
  for (const piece of name.match(/[^:,]+[:,]?/g) || [name]) {
    if (out[out.length - 1] && (out[out.length - 1] + piece).length > 20) out.push('');
    out[out.length - 1] += piece;
  }
  return out;
}

function costOptions(names, title, show) {
  return {
    indexAxis: 'y', maintainAspectRatio: false, animation: false,
    interaction: { mode: 'index', axis: 'y', intersect: false },
    scales: {
      x: { ...axis(title, show), stacked: true, beginAtZero: true },
      y: { grid: { display: false, borderColor: color('line') }, stacked: true, ticks: { color: color('ink'), autoSkip: false } },
    },
    plugins: {
      legend: { position: 'bottom', labels: { color: color('ink'), boxWidth: 12, boxHeight: 12 } },
      tooltip: { callbacks: { title: (items) => names[items[0].dataIndex], label: (item) => item.dataset.label + ': ' + show(item.raw) } },
    },
  };
}

function bars(which, of, sets, title, show) {
  const box = document.getElementById(which + '-box'), figure = box.parentNode;
  const known = sets.filter((s) => of.some((x) => x[s.key] !== null && x[s.key] > 0));
  if (costs[which]) costs[which].destroy();
  costs[which] = null;
  figure.hidden = known.length === 0;
  if (figure.hidden) return;
  box.style.height = 92 + Math.max(30, 6 + 15 * d3.max(of, (x) => lines(policyName(x)).length)) * of.length + 'px';
  costs[which] = new Chart(document.getElementById(which + '-chart'), {
    type: 'bar',
    data: {
      labels: of.map((x) => lines(policyName(x))),
      datasets: known.map((s) => ({
        label: s.label, data: of.map((x) => x[s.key]), backgroundColor: s.color, stack: s.stack, barPercentage: 0.9, categoryPercentage: 0.8,
      })),
    },
    options: costOptions(of.map(policyName), title, show),
  });
}

function drawCost() {
  const of = shown(data.summary).filter((x) => x.policy !== 'empty');
  const short = (show) => (x) => show(x).replace(/(\.\d*[1-9])0+(?= )|\.0+(?= )/, '$1');
  bars('memory', of, [
    { key: 'kv_bytes', label: 'keys and values', color: color('bar'), stack: 'held' },
    { key: 'policy_bytes', label: 'policy\u2019s own state', color: color('bar-two'), stack: 'held' },
    { key: 'peak_kv_bytes', label: 'peak of keys and values', color: color('bar-three'), stack: 'peak' },
  ], 'bytes', short(bytes));
  bars('time', of, [
    { key: 'prefill_seconds', label: 'reading', color: color('bar'), stack: 'time' },
    { key: 'decode_seconds', label: 'writing', color: color('bar-two'), stack: 'time' },
  ], 'seconds of a prompt', short(seconds));
  document.getElementById('cost').hidden = !costs.memory && !costs.time;
}
