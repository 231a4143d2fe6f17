// text.js: the text, shaded. Long texts are cut into blocks, of which only those near the window
// stand in the document.

const reader = { box: document.getElementById('text'), tip: document.getElementById('tip'), blocks: [], shades: [], watch: null };

function shadeSteps() {
  const low = color('low'), high = state.shade === 'held' ? color('high') : color('bar-two');
  reader.shades = Array.from({ length: 101 }, (_, i) => {
    const shade = between(low, high, i / 100);
    return 'background:' + shade + ';color:' + inkOn(shade);
  });
}

// Holders among the chosen heads: [how many hold it, of how many].
function holders(token, event) {
  const of = lanes();
  let n = 0;
  for (const lane of of) n += isHeld(lane, token, event);
  return [n, of.length];
}

const mostDrawn = drawn.reduce((a, b) => Math.max(a, b), 1), leastDrawn = drawn.reduce((a, b) => (b && b < a ? b : a), 255);

function paint(span, token, of, seen) {
  const later = token >= seen;
  let share = 0;
  if (!later && state.shade === 'held') {
    for (const lane of of) share += isHeld(lane, token, state.event);
    share /= of.length || 1;
  } else if (!later) share = drawn[token] ? 0.02 + 0.98 * ((drawn[token] - leastDrawn) / Math.max(1, mostDrawn - leastDrawn)) : 0;
  span.className = (later ? 'later' : share === 0 ? 'gone' : '') + (token === state.token ? ' here' : '') + (data.watched.some((w) => w.token === token) ? ' asked' : '');
  span.style.cssText = later || share === 0 ? '' : reader.shades[Math.round(100 * share)];
}

function fillBlock(block) {
  const of = lanes(), seen = seenAt(state.event), nodes = [];
  for (let t = block.from; t < block.to; t++) {
    const span = document.createElement('span');
    span.dataset.t = t;
    span.textContent = pieces[t].replace(/\n/g, '\u23ce\n');
    paint(span, t, of, seen);
    nodes.push(span);
  }
  block.node.replaceChildren(...nodes);
  block.node.style.height = '';
  block.filled = true;
}

function emptyBlock(block) {
  block.node.style.height = block.node.offsetHeight + 'px';
  block.node.replaceChildren();
  block.filled = false;
}

function repaint() {
  const of = lanes(), seen = seenAt(state.event);
  shadeSteps();
  for (const block of reader.blocks) if (block.filled) for (const span of block.node.children) paint(span, Number(span.dataset.t), of, seen);
}

// Blocks end behind a line's end where there is one soon.
function cutBlocks() {
  const from = [0];
  for (let t = 0; t < nToken; t++) {
    const n = t + 1 - from[from.length - 1];
    if (t + 1 < nToken && (n >= 400 || (n >= 200 && pieces[t].endsWith('\n')))) from.push(t + 1);
  }
  return from.map((begin, i) => ({ from: begin, to: i + 1 < from.length ? from[i + 1] : nToken, node: null, filled: false }));
}

function makeText() {
  const perLine = Math.max(20, (reader.box.clientWidth - 32) / 8.2);
  shadeSteps();
  reader.blocks = cutBlocks();
  reader.watch = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      const block = reader.blocks[Number(entry.target.dataset.b)];
      if (entry.isIntersecting && !block.filled) fillBlock(block);
      else if (!entry.isIntersecting && block.filled) emptyBlock(block);
    }
  }, { root: reader.box, rootMargin: '900px 0px' });
  reader.blocks.forEach((block, i) => {
    let lines = 1, column = 0;
    for (let t = block.from; t < block.to; t++) {
      column += pieces[t].length;
      if (pieces[t].includes('\n') || column > perLine) { lines++; column = 0; }
    }
    block.node = el('div', { 'data-b': i, style: 'height:' + Math.round(lines * 23.8) + 'px' });
    reader.box.append(block.node);
    if (i < 2) fillBlock(block);
    reader.watch.observe(block.node);
  });
  reader.box.addEventListener('mouseover', (e) => { if (e.target.dataset.t) showTip(e.target); });
  reader.box.addEventListener('mouseleave', () => { reader.tip.hidden = true; });
  reader.box.addEventListener('click', (e) => { if (e.target.dataset.t) goTo(Number(e.target.dataset.t)); });
  reader.box.addEventListener('blur', () => { reader.tip.hidden = true; });
  reader.box.addEventListener('scroll', () => { reader.tip.hidden = true; });
  reader.box.addEventListener('keydown', onKey);
}

function blockOf(token) { return reader.blocks.find((b) => token < b.to); }

function spanOf(token) {
  const block = blockOf(token);
  if (!block.filled) fillBlock(block);
  return block.node.children[token - block.from];
}

function goTo(token) {
  const before = state.token;
  state.token = token;
  if (before >= 0 && blockOf(before).filled) spanOf(before).classList.remove('here');
  const span = spanOf(token);
  span.classList.add('here');
  span.scrollIntoView({ block: 'nearest' });
  requestAnimationFrame(() => showTip(span));
  writeAddress();
}

function onKey(e) {
  const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 10, ArrowUp: -10 }[e.key];
  if (e.key === 'Escape') reader.tip.hidden = true;
  if (e.ctrlKey || e.metaKey || e.altKey) return;
  const to = e.key === 'Home' ? 0 : e.key === 'End' ? nToken - 1 : step ? Math.max(0, Math.min(nToken - 1, state.token + step)) : -1;
  if (to < 0) return;
  e.preventDefault();
  goTo(to);
}

// When the chosen heads dropped it, in words.
function fateOf(token) {
  const of = lanes(), times = of.map((lane) => gone[lane * nToken + token]).filter((x) => x).sort((a, b) => a - b), left = of.length - times.length;
  const at = (event) => count(seenAt(event)) + ' tokens';
  if (of.length === 1) return times.length ? 'dropped after ' + at(times[0]) : 'held to the end';
  if (!times.length) return 'held by all ' + of.length + ' heads to the end';
  const span = times[0] === times[times.length - 1] ? 'after ' + at(times[0]) : 'after ' + at(times[0]) + ' to ' + at(times[times.length - 1]) + ', half of them by ' + at(times[Math.floor((times.length - 1) / 2)]);
  return 'held by ' + left + ' of ' + of.length + ' heads at the end; dropped ' + span;
}

function showTip(span) {
  const token = Number(span.dataset.t), box = span.getClientRects()[0] || span.getBoundingClientRect();
  const attention = valueOf(drawn[token], packed.levels.drawn);
  const lines = [el('div', {}, el('code', {}, JSON.stringify(pieces[token])), ' \u00b7 token ' + count(token) + ' \u00b7 ' + kindNames[kinds[token]]), el('div', {}, fateOf(token))];
  if (lastEvent > 1 && state.event < lastEvent && token < seenAt(state.event)) {
    const [n, of] = holders(token, state.event);
    lines.push(el('div', {}, 'after ' + eventName(state.event) + ': ' + n + ' of ' + of));
  }
  lines.push(el('div', {}, 'drew about ' + figures(100 * attention / nToken) + '% of all attention'));
  reader.tip.replaceChildren(...lines);
  reader.tip.hidden = false;
  const w = reader.tip.offsetWidth, h = reader.tip.offsetHeight;
  reader.tip.style.left = Math.max(8, Math.min(box.left, window.innerWidth - w - 8)) + 'px';
  reader.tip.style.top = (box.bottom + h + 10 < window.innerHeight ? box.bottom + 6 : Math.max(8, box.top - h - 6)) + 'px';
}

function drawTextChoices() {
  const shades = { held: 'survival', drawn: 'attention drawn' };
  const swatch = (style, name) => el('span', { class: 'swatch' }, el('b', { style }), name);
  fill('read-choices', group('Shade by', Object.keys(shades), state.shade, (s) => { state.shade = s; drawTextChoices(); repaint(); writeAddress(); }, (s) => shades[s]),
    el('span', { class: 'key' }, state.shade === 'held' ? 'held by few heads' : 'least', el('i', { class: state.shade }), state.shade === 'held' ? 'all' : 'most, in steps of a logarithm'),
    state.shade === 'held' ? swatch('border:1px solid var(--line)', 'plain: held by none') : null,
    seenAt(state.event) < nToken ? swatch('border:1px dashed var(--soft)', 'faint: not read yet') : null,
    data.watched.length ? swatch('box-shadow:inset 0 -3px 0 var(--worse)', 'its attention is shown below') : null);
}
