// data.js: the reading as it is packed in the page, and what of it is shown.

const data = JSON.parse(document.getElementById('data').textContent);
const packed = JSON.parse(document.getElementById('packed').textContent);
document.getElementById('packed').textContent = '';

function bytesOf(base64) {
  const text = atob(base64), out = new Uint8Array(text.length);
  for (let i = 0; i < out.length; i++) out[i] = text.charCodeAt(i);
  return out;
}

// Calls take(value) for each varint.
function eachVarint(from, take) {
  for (let i = 0; i < from.length;) {
    let x = 0, scale = 1, b;
    do { b = from[i++]; x += (b & 127) * scale; scale *= 128; } while (b & 128);
    take(x);
  }
}

const nToken = data.tokens, nEvent = data.events.length;
const layers = data.layers.map((x) => x.layer), nHead = data.layers.length ? data.layers[0].heads.length : 0;
const nLane = layers.length * nHead;
const kindNames = ['word', 'number', 'punctuation', 'code symbol', 'space', 'newline', 'part of a character', 'template'];
const kinds = bytesOf(packed.kinds), drawn = bytesOf(packed.drawn), series = bytesOf(packed.series);

// Texts of tokens. A character of several tokens stands in the last of them.
const pieces = (() => {
  const from = bytesOf(packed.text), out = [], decoder = new TextDecoder('utf-8');
  let at = 0;
  eachVarint(bytesOf(packed.sizes), (n) => {
    const whole = out.length + 1 === nToken;
    out.push(decoder.decode(from.subarray(at, at + n), { stream: !whole }));
    at += n;
  });
  return out;
})();

// Lane by lane and token by token: 0 where the token is held, else 1 + the event that dropped it.
const gone = new Uint16Array(nLane * nToken);
// Tokens that a lane has dropped up to and with an event: [lane][nEvent + 1].
const droppedBy = new Uint32Array(nLane * (nEvent + 1));
(() => {
  let at = 0;
  eachVarint(bytesOf(packed.gone), (x) => {
    const fate = x % (nEvent + 1), n = Math.floor(x / (nEvent + 1)) + 1;
    if (fate) {
      gone.fill(fate, at, at + n);
      droppedBy[Math.floor(at / nToken) * (nEvent + 1) + fate] += n;
    }
    at += n;
  });
  for (let i = 0; i < droppedBy.length; i++) if (i % (nEvent + 1)) droppedBy[i] += droppedBy[i - 1];
})();
packed.text = packed.gone = packed.series = packed.sizes = '';

// ---- what is shown ----

// Events count from 1; the one behind the last stands for the end, where more was read after it.
const lastEvent = nEvent && data.events[nEvent - 1].tokens_seen < nToken ? nEvent + 1 : Math.max(nEvent, 1);
const state = { layer: -1, head: -1, event: lastEvent, shade: 'held', watched: 0, seriesLayer: -1, seriesHead: 0, token: -1 };

function seenAt(event) { return event > nEvent ? nToken : data.events[event - 1].tokens_seen; }
function isHeld(lane, token, event) { const x = gone[lane * nToken + token]; return x === 0 || x > event; }
function heldAt(lane, event) { return seenAt(event) - droppedBy[lane * (nEvent + 1) + Math.min(event, nEvent)]; }

// Lanes that the choice of layer and head leaves.
function lanes() {
  const out = [];
  layers.forEach((layer, i) => {
    for (let h = 0; h < nHead; h++) if ((state.layer < 0 || layer === state.layer) && (state.head < 0 || h === state.head)) out.push(i * nHead + h);
  });
  return out;
}

function eventName(event) {
  const word = { 'prompt end': 'prompt\u2019s end', reading: 'reading', writing: 'writing' };
  return event > nEvent ? 'all ' + count(nToken) + ' tokens' : count(seenAt(event)) + ' tokens (' + word[data.events[event - 1].when] + ')';
}

function laneName(lane) { return 'layer ' + layers[Math.floor(lane / nHead)] + ', head ' + lane % nHead; }

// A level of the page's packed values; null: nothing.
function valueOf(level, range) { return level ? Math.pow(2, range[0] + ((level - 1) / 254) * (range[1] - range[0])) : 0; }

// ---- the address keeps the choice: #layer=3&head=1&event=2 ----

const addressed = ['layer', 'head', 'event', 'shade', 'watched', 'seriesLayer', 'seriesHead', 'token'];

function readAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  const within = (name, ok) => {
    const x = Number(given.get(name));
    if (given.has(name) && given.get(name) !== '' && ok(x)) state[name] = x;
  };
  within('layer', (x) => x === -1 || layers.includes(x));
  within('head', (x) => Number.isInteger(x) && x >= -1 && x < nHead);
  within('event', (x) => Number.isInteger(x) && x >= 1 && x <= lastEvent);
  within('watched', (x) => Number.isInteger(x) && x >= 0 && x < data.watched.length);
  within('seriesLayer', (x) => layers.includes(x));
  within('seriesHead', (x) => Number.isInteger(x) && x >= 0 && x < nHead);
  within('token', (x) => Number.isInteger(x) && x >= 0 && x < nToken);
  if (['held', 'drawn'].includes(given.get('shade'))) state.shade = given.get('shade');
}

const unchanged = { ...state };
function writeAddress() {
  const given = new URLSearchParams();
  for (const name of addressed) if (state[name] !== unchanged[name]) given.set(name, state[name]);
  const text = given.toString();
  history.replaceState(null, '', text ? '#' + text : location.pathname + location.search);
}
