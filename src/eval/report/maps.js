// maps.js: tables with two axes as shades (d3): needles, and what each head keeps.

function mapCard(line, more, draw) {
  const card = el('div', { class: 'map' }, el('div', { class: 'name' }, breakable(policyName(line)),
    el('span', { class: 'more' }, more)));
  draw(card);
  return card;
}

// cells: {x, y, value, title}; xs and ys: what stands on the axes.
function heat(card, cells, xs, ys, size) {
  const left = size.left, top = 4, bottom = 30, width = 300, w = (width - left - 4) / xs.length;
  const h = size.row, height = top + h * ys.length + bottom;
  const svg = d3.select(card).append('svg').attr({ viewBox: '0 0 ' + width + ' ' + height, role: 'img', 'aria-label': size.label });
  const g = svg.append('g').attr('transform', 'translate(' + left + ',' + top + ')');
  const low = color('low'), high = color('high');
  for (const c of cells) {
    const shade = c.value === null ? color('page') : between(low, high, c.value);
    const cell = g.append('rect').attr({
      x: w * xs.indexOf(c.x), y: h * ys.indexOf(c.y), width: Math.max(1, w - size.gap), height: Math.max(1, h - size.gap), fill: shade,
    });
    cell.append('title').text(c.title);
    if (size.number && c.value !== null && w >= 26) {
      g.append('text').attr({
        x: w * (xs.indexOf(c.x) + 0.5) - size.gap / 2, y: h * (ys.indexOf(c.y) + 0.5) + 3.5, 'text-anchor': 'middle', style: 'fill:' + inkOn(shade) + ';font-size:10px',
      }).text(Math.round(100 * c.value));
    }
  }
  const every = (n, room) => Math.max(1, Math.ceil(n / room));
  ys.forEach((y, i) => {
    if (i % every(ys.length, size.labels) === 0) g.append('text').attr({ x: -5, y: h * (i + 0.5) + 4, 'text-anchor': 'end' }).text(size.showY(y));
  });
  xs.forEach((x, i) => {
    if (i % every(xs.length, Math.floor((width - left) / size.wide)) === 0) g.append('text').attr({ x: w * (i + 0.5), y: h * ys.length + 13, 'text-anchor': 'middle' }).text(size.showX(x));
  });
  g.append('text').attr({ x: (width - left) / 2, y: h * ys.length + 26, 'text-anchor': 'middle' }).text(size.titleX);
}

function key(low, high) {
  return el('span', { class: 'key' }, low, el('i'), high);
}

// ---- needles ----

let needleTask = '';

function drawNeedles() {
  const all = ofRun(data.needles), tasks = [...new Set(all.map((x) => x.task))];
  document.getElementById('needles').hidden = tasks.length === 0;
  if (tasks.length === 0) return;
  if (!tasks.includes(needleTask)) needleTask = tasks[0];
  fill('needles-choices', tasks.length > 1 ? el('label', {}, 'Task', selection(tasks, needleTask, (t) => { needleTask = t; drawNeedles(); })) : el('span', {}, tasks[0]),
    key('0', '100'));
  const of = all.filter((x) => x.task === needleTask);
  const sorted = (k) => [...new Set(of.map((x) => x[k]))].sort((a, b) => a - b);
  const lengths = sorted('length'), depths = sorted('depth');
  const size = {
    left: 40, row: 17, gap: 1.5, number: lengths.length <= 9, labels: 11, wide: 36, titleX: 'tokens', label: 'score by depth and length',
    showX: tokens, showY: (d) => percent(d, 0),
  };
  fill('needles-maps', shown(data.summary).map((arm) => {
    const cells = of.filter((x) => x.policy === arm.policy && x.budget === arm.budget);
    if (cells.length === 0) return null;
    const mean = d3.sum(cells, (c) => c.score * c.n) / d3.sum(cells, (c) => c.n);
    return mapCard(arm, ' \u00b7 ' + number(100 * mean, 1), (card) => heat(card, cells.map((c) => ({
      x: c.length, y: c.depth, value: c.score,
      title: 'depth ' + percent(c.depth, 0) + ', ' + count(Math.round(c.length)) + ' tokens: ' + number(100 * c.score, 1) + ' (' + plural(c.n, 'prompt', 'prompts') + ')',
    })), lengths, depths, size));
  }));
}

// ---- kept tokens ----

function keptMap(k, most) {
  const heads = Math.max(...k.share.map((layer) => (layer ? layer.length : 0))), cells = [];
  k.share.forEach((layer, i) => (layer || []).forEach((share, h) => cells.push({
    x: i, y: h, value: share === null ? null : share / most,
    title: 'layer ' + i + ', head ' + h + ': ' + percent(share) + (share === null ? '' : ', ' + count(Math.round(k.tokens[i][h])) + ' tokens'),
  })));
  const known = cells.filter((c) => c.value !== null).map((c) => c.value * most);
  const size = {
    left: 30, row: Math.max(7, Math.min(18, 120 / heads)), gap: k.share.length > 48 ? 0.5 : 1, number: false, labels: 8, wide: 34,
    titleX: 'layer', label: 'share kept by layer and head', showX: String, showY: (h) => (heads > 1 ? 'h' + h : ''),
  };
  const from = (n) => Array.from({ length: n }, (_, i) => i);
  return mapCard(k, ' \u00b7 ' + percent(d3.min(known), 0) + ' to ' + percent(d3.max(known), 0) + ', mean ' + percent(d3.mean(known)),
    (card) => heat(card, cells, from(k.share.length), from(heads), size));
}

// Policies that give each head the same share need no map.
function drawKept() {
  const all = shown(data.kept).filter((x) => !isReference(x));
  document.getElementById('kept').hidden = all.length === 0;
  const known = (k) => k.share.flat().filter((x) => x !== null);
  const isEven = (k) => d3.max(known(k)) - d3.min(known(k)) < 0.01 * d3.max(known(k));
  const uneven = all.filter((k) => !isEven(k)), even = all.filter(isEven);
  const most = d3.max(uneven, (k) => d3.max(known(k))) || 1;
  fill('kept-choices', uneven.length ? key('0', percent(most, 0)) : null);
  fill('kept-maps', uneven.map((k) => keptMap(k, most)));
  fill('kept-even', even.length ? 'The same share in every head: ' + even.map((k) => policyName(k) + ' (' + percent(d3.mean(known(k))) + ')').join(', ') + '.' : null);
}
