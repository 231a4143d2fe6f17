// page.js: the head of the page, its choices, and drawing all of it.

const darkMode = window.matchMedia('(prefers-color-scheme: dark)');

function tile(name, value, more) {
  return el('div', { class: 'tile' }, el('div', { class: 'name' }, name), el('div', { class: 'value' }, value), el('div', { class: 'more' }, more || '\u00a0'));
}

function drawHead() {
  let all = 0, no = 0;
  for (let t = 0; t < nToken; t++) {
    let n = 0;
    for (let lane = 0; lane < nLane; lane++) n += gone[lane * nToken + t] === 0;
    all += n === nLane;
    no += n === 0;
  }
  fill('lead', data.model + ' read ' + plural(data.prompt_tokens, 'token', 'tokens') + (data.generated_tokens ? ' and wrote ' + count(data.generated_tokens) : '') + ' under the policy ', el('code', {}, breakable(data.policy)), '.');
  if (!nLane) return;
  fill('tiles', tile('Held at the end', percent(data.kept_share) + ' of the tokens', 'mean over ' + nLane + ' heads in ' + plural(layers.length, 'layer', 'layers')),
    tile('Held by every head', plural(all, 'token', 'tokens'), percent(all / nToken) + ' of the text'),
    tile('Held by no head', plural(no, 'token', 'tokens'), percent(no / nToken) + ' of the text'),
    tile('Cache', bytes(data.kv.bytes), 'of ' + bytes(data.kv.bytes_full) + '; peak ' + bytes(data.kv.bytes_peak)));
}

function drawBar() {
  const options = (id, values, chosen, show, set) => {
    const box = document.getElementById(id);
    box.replaceChildren(...values.map((v) => el('option', { selected: v === chosen }, show(v))));
    box.selectedIndex = values.indexOf(chosen);
    box.onchange = () => set(values[box.selectedIndex]);
  };
  options('layer', [-1, ...layers], state.layer, (v) => (v < 0 ? 'all' : String(v)), (v) => choose({ layer: v }));
  options('head', [-1, ...Array.from({ length: nHead }, (_, h) => h)], state.head, (v) => (v < 0 ? 'all' : String(v)), (v) => choose({ head: v }));
  const slider = document.getElementById('event');
  slider.max = lastEvent;
  slider.value = state.event;
  slider.disabled = lastEvent < 2;
  slider.oninput = () => choose({ event: Number(slider.value) });
  slider.setAttribute('aria-valuetext', eventName(state.event));
  document.getElementById('event-name').textContent = eventName(state.event);
  const of = state.layer < 0 && state.head < 0 ? '' : ', ' + [state.layer < 0 ? 'all layers' : 'layer ' + state.layer, state.head < 0 ? null : 'head ' + state.head].filter((x) => x).join(', ');
  for (const at of document.querySelectorAll('.at')) at.textContent = of + (state.event < lastEvent ? ', after ' + eventName(state.event) : '');
}

function choose(change) {
  const before = { ...state };
  if ('layer' in change && change.layer >= 0 && !('seriesLayer' in change)) change.seriesLayer = change.layer;
  if ('head' in change && change.head >= 0 && state.seriesLayer >= 0) change.seriesHead = change.head;
  Object.assign(state, change);
  writeAddress();
  drawBar();
  if (before.layer !== state.layer || before.head !== state.head || before.event !== state.event) {
    drawTextChoices();
    repaint();
    drawCurves();
  }
  if (before.layer !== state.layer) drawScores();
  drawSeries();
}

function drawAll() {
  drawBar();
  drawHead();
  drawTextChoices();
  drawCurves();
  drawScores();
  drawSeries();
  drawLayers();
  drawKinds();
}

readAddress();
if (state.layer >= 0 && state.seriesLayer < 0) Object.assign(state, { seriesLayer: state.layer, seriesHead: Math.max(0, state.head) });
Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
makeText();
drawAll();
if (state.token >= 0) goTo(state.token);
darkMode.addEventListener('change', () => { repaint(); drawAll(); });
window.addEventListener('resize', drawSeries);
window.addEventListener('hashchange', () => { Object.assign(state, unchanged); readAddress(); repaint(); drawAll(); if (state.token >= 0) goTo(state.token); });
