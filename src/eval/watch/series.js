// series.js: one token's attention over time, in one head, above its spectrogram.

// A watched token in one lane: [n, step, nFrame, frameStep] and where its levels begin.
const seriesOf = (() => {
  const out = [];
  let at = 0;
  const next = () => {
    let x = 0, scale = 1, b;
    do { b = series[at++]; x += (b & 127) * scale; scale *= 128; } while (b & 128);
    return x;
  };
  for (let i = 0; i < data.watched.length * nLane; i++) {
    const columns = [next(), next(), next(), next()];
    out.push({ columns, at });
    at += columns[0] + 17 * columns[2];
  }
  return out;
})();

// The head that attends most, to begin with.
function seriesLane() {
  if (state.seriesLayer >= 0) return layers.indexOf(state.seriesLayer) * nHead + state.seriesHead;
  let best = 0, most = -1;
  for (let lane = 0; lane < nLane; lane++) {
    const { columns, at } = seriesOf[state.watched * nLane + lane];
    let sum = 0;
    for (let k = 1; k < columns[0]; k++) sum += valueOf(series[at + k], packed.levels.share) * columns[1];
    if (sum > most) { most = sum; best = lane; }
  }
  return best;
}

function drawRaw(g, at, columns, x, last, top, height) {
  const [n, step] = columns, token = data.watched[state.watched].token, range = packed.levels.share;
  const y = (level) => top + height * (1 - level / 255);
  g.font = '11px system-ui, sans-serif';
  g.textAlign = 'right';
  for (const p of [1, 0.01, 0.0001, 0.000001]) {
    const level = 1 + (254 * (Math.log2(p) - range[0])) / (range[1] - range[0]);
    g.fillStyle = color('line');
    g.fillRect(x(token), y(level), x(last) - x(token), 1);
    g.fillStyle = color('soft');
    g.fillText(p === 1 ? '1' : p >= 0.001 ? String(p) : p.toExponential(0).replace('-', minus), x(token) - 6, y(level) + 4);
  }
  for (let k = 0; k < n; k++) {
    const level = series[at + k], from = x(token + k * step), wide = Math.max(1, x(Math.min(last, token + (k + 1) * step)) - from);
    if (!level || token + k * step > last) continue;
    g.fillStyle = color('bar') + '44';
    g.fillRect(from, y(level), wide, top + height - y(level));
    g.fillStyle = color('bar');
    g.fillRect(from, y(level) - 1, wide, 2);
  }
}

function drawFrames(g, at, columns, x, last, top, height) {
  const [n, , nFrame, step] = columns, token = data.watched[state.watched].token, first = Math.floor(token / 16) * 16;
  const low = color('low'), high = color('high');
  let most = 1, least = 255;
  for (let k = 0; k < nFrame * 17; k++) {
    const level = series[at + n + k];
    if (level > most) most = level;
    if (level && level < least) least = level;
  }
  const floor = Math.max(least, most - 127);
  for (let k = 0; k < nFrame; k++) {
    const from = Math.max(x(token), x(first + k * step * 16)), to = x(Math.min(last, first + (k + 1) * step * 16));
    if (to <= from) continue;
    for (let f = 0; f < 17; f++) {
      const level = series[at + n + k * 17 + f];
      if (!level) continue;
      g.fillStyle = between(low, high, (level - floor) / Math.max(1, most - floor));
      g.fillRect(from, top + (height * (16 - f)) / 17, Math.max(1, Math.ceil(to - from)), Math.ceil(height / 17));
    }
  }
  g.fillStyle = color('soft');
  g.textAlign = 'right';
  [[0, 'mean'], [4, '8'], [8, '4'], [16, '2']].forEach(([f, name]) => g.fillText(name, x(token) - 6, top + (height * (16.5 - f)) / 17 + 4));
  return [valueOf(floor, packed.levels.stft), valueOf(most, packed.levels.stft)];
}

function drawTime(g, x, last, top, lane, bottom) {
  const token = data.watched[state.watched].token, end = gone[lane * nToken + token];
  g.fillStyle = color('soft');
  g.textAlign = 'center';
  for (const t of d3.scale.linear().domain([token, last]).ticks(Math.max(2, Math.floor((x(last) - x(token)) / 110)))) g.fillText(count(t), x(t), bottom + 15);
  g.fillText('query (token of the text that looks back)', (x(token) + x(last)) / 2, bottom + 30);
  if (!end) return;
  const at = x(seenAt(end)), left = at > (x(token) + x(last)) / 2;
  g.fillStyle = color('worse');
  g.fillRect(at - 1, top, 2, bottom - top);
  g.textAlign = left ? 'right' : 'left';
  g.fillText('dropped after ' + count(seenAt(end)) + ' tokens', at + (left ? -6 : 6), top + 10);
}

function drawSeries() {
  const section = document.getElementById('series');
  section.hidden = !data.watched.length;
  if (!data.watched.length) return;
  const lane = seriesLane(), { columns, at } = seriesOf[state.watched * nLane + lane], w = data.watched[state.watched];
  const layer = layers[Math.floor(lane / nHead)], head = lane % nHead;
  const canvas = document.getElementById('series-chart'), g = canvas.getContext('2d'), ratio = window.devicePixelRatio || 1;
  const wide = canvas.clientWidth, high = canvas.clientHeight;
  canvas.width = Math.round(wide * ratio);
  canvas.height = Math.round(high * ratio);
  g.scale(ratio, ratio);
  // A token that went early leaves most of the time empty: a little behind its end is enough.
  const end = gone[lane * nToken + w.token], last = end ? Math.min(nToken, Math.ceil(w.token + 1.1 * (seenAt(end) - w.token))) : nToken;
  const x = (t) => 46 + ((wide - 58) * (t - w.token)) / Math.max(1, last - w.token), raw = Math.round((high - 60) * 0.42), top = raw + 24;
  drawRaw(g, at, columns, x, last, 10, raw);
  const [floor, most] = drawFrames(g, at, columns, x, last, top, high - 44 - top);
  drawTime(g, x, last, 10, lane, high - 40);
  canvas.setAttribute('aria-label', 'Attention that token ' + w.token + ' drew in layer ' + layer + ', head ' + head + ', and its spectrogram');
  fill('series-about', 'Above: the attention that each later query of the head paid to the token (mean over the query heads that share it)'
    + (columns[1] > 1 ? ', the largest of ' + columns[1] + ' neighbours' : '') + '. Below: magnitudes of its short-time Fourier transform, 32 queries a frame, a new one every 16, Hann window'
    + (columns[3] > 1 ? '; each column is the mean of ' + columns[3] + ' frames' : '') + '. From the bottom: the mean, then periods of 8, 4 and 2 tokens.');
  fill('series-choices',
    el('label', {}, 'Token', selection(data.watched.map((_, i) => i), state.watched, (i) => choose({ watched: i, seriesLayer: -1 }), (i) => data.watched[i].token + ' ' + JSON.stringify(data.watched[i].text) + ': ' + data.watched[i].reason)),
    el('label', {}, 'Layer', selection(layers, layer, (v) => choose({ seriesLayer: v, seriesHead: head }))),
    nHead > 1 ? el('label', {}, 'Head', selection(Array.from({ length: nHead }, (_, h) => h), head, (v) => choose({ seriesLayer: layer, seriesHead: v }))) : null,
    el('span', {}, end ? 'dropped after ' + count(seenAt(end)) + ' tokens' : 'held to the end'));
  fill('series-key', el('span', { class: 'key' }, figures(floor), el('i'), figures(most), ' magnitude, in steps of a logarithm'));
}
