// state.js: the figures, what of them is shown, and how policies are drawn everywhere.

const data = JSON.parse(document.getElementById('data').textContent);
const records = JSON.parse(document.getElementById('records').textContent);

// One line of the summary an arm: the number of an arm in records is its place here.
const arms = data.summary;
const state = { run: 0, budget: '' };

function actsTitle(acts) {
  return acts === 'reading' ? 'Evict while reading' : acts === 'never' ? 'Never evict' : 'Cut at the ' + run().evict + '\u2019s end';
}

function isReference(line) { return line.policy === 'full' || line.policy === 'empty'; }
function isBaseline(line) { return /^(streaming|random)/.test(line.policy); }

function policyName(line) {
  return line.policy === 'full' ? 'full cache' : line.policy === 'empty' ? 'no context' : line.policy;
}
function armName(line) { return policyName(line) + (line.budget ? ' ' + line.budget : ''); }

function run() { return data.runs[state.run]; }
function ofRun(list) { return list.filter((x) => x.run === run().run); }

// No full cache was read beside them (--alone): what the answer costs stands for what it lost.
function isAlone() { return !ofRun(data.summary).some((x) => x.policy === 'full'); }

function budgets() {
  const found = [];
  for (const line of ofRun(data.summary)) {
    if (!isReference(line) && !found.includes(line.budget)) found.push(line.budget);
  }
  return found;
}
function budgetName(budget) { return budget || 'none'; }

// Lines of the budget that is shown, references in front.
function shown(list) {
  return ofRun(list).filter((x) => isReference(x) || x.budget === state.budget);
}

// ---- policies' looks: the same in every chart of a run ----

const light = ['#4269d0', '#d1740f', '#2c8a96', '#c2417d', '#3c8f4a', '#8a63c9', '#a07400', '#c93b3b', '#5b7f1f', '#7a5c3e'];
const dark = ['#8aa6f5', '#f0a04b', '#5cc4cf', '#ff8fc0', '#66c27a', '#b794f4', '#e3cf57', '#ff7d74', '#a8cf5f', '#c9a27a'];
const dashes = [[], [7, 4], [2, 3]];
const points = ['circle', 'triangle', 'rect', 'rectRot', 'star'];
const darkMode = window.matchMedia('(prefers-color-scheme: dark)');

function policies() {
  const found = [];
  for (const line of ofRun(data.summary)) {
    if (!isReference(line) && !found.includes(line.policy)) found.push(line.policy);
  }
  return found;
}

function look(policy) {
  const plain = policies().filter((p) => !isBaseline({ policy: p }));
  const at = plain.indexOf(policy);
  if (at < 0) {
    return { color: color('soft'), dash: policy.startsWith('random') ? [2, 3] : [7, 4], point: policy.startsWith('random') ? 'crossRot' : 'cross' };
  }
  const palette = darkMode.matches ? dark : light;
  return {
    color: palette[at % palette.length],
    dash: dashes[Math.floor(at / palette.length) % dashes.length],
    point: points[at % points.length],
  };
}
