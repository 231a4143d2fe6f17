// tables.js: layer by layer, and kinds of token.

function table(id, heads, rows) {
  fill(id, el('table', {}, el('thead', {}, el('tr', {}, heads.map((h, i) => el('th', { class: i ? null : 'first', scope: 'col' }, h)))),
    el('tbody', {}, rows.map((row) => el('tr', {}, row.map((cell, i) => (i === 0 ? el('th', { class: 'first', scope: 'row' }, cell) : cell instanceof Node ? cell : el('td', {}, cell))))))));
}

function liftCell(x) {
  if (x === undefined || x === null) return el('td', {}, none);
  const away = Math.max(-1, Math.min(1, Math.log2(Math.max(x, 0.25)) / 1.5));
  const shade = between(color('neutral'), color(away > 0 ? 'better' : 'worse'), Math.abs(away));
  return el('td', { class: 'cell', style: 'background:' + shade + ';color:' + inkOn(shade) }, number(x, 2));
}

const shownKinds = { word: 'words', number: 'numbers', punctuation: 'punctu\u00adation', code: 'code symbols', space: 'white space', newline: 'new lines', part: 'parts of characters', control: 'template' };

function drawLayers() {
  document.getElementById('layers').hidden = !nLane;
  if (!nLane) return;
  const row = (name, x) => [name, count(Math.round(x.kept)), percent(x.share), x.age === null ? none : count(Math.round(x.age)), percent(x.last_tenth), percent(x.heads_overlap, 0), percent(x.heads_overlap_chance, 0), percent(x.next_overlap, 0)];
  table('layers-table', ['layer', 'held', 'of the text', 'mean age', 'in the last 10%', 'heads overlap', 'by chance', 'with the next layer'],
    data.layers.map((x) => row('layer ' + x.layer, x)).concat([row('all', data.all)]));
}

function drawKinds() {
  const present = data.kinds.map((k) => k.kind);
  document.getElementById('kinds').hidden = !nLane;
  if (!nLane) return;
  const rows = [['in the text', ...data.kinds.map((k) => percent(k.share))], ['held at the end', ...data.kinds.map((k) => percent(k.kept_share))], ['lift, all layers', ...data.kinds.map((k) => liftCell(k.lift))]];
  table('kinds-table', ['', ...present.map((k) => shownKinds[k])], rows.concat(data.layers.map((x) => ['layer ' + x.layer, ...present.map((k) => liftCell(x.lift[k]))])));
}
