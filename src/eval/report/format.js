// format.js: numbers as people read them, and elements whose texts are never markup.
'use strict';

const minus = '\u2212', none = '\u2013';

function number(x, digits) {
  if (x === null || x === undefined) return none;
  return x.toFixed(digits).replace('-', minus);
}

// Three significant figures, as many as a comparison needs.
function figures(x) {
  if (x === null || x === undefined) return none;
  const a = Math.abs(x);
  if (a === 0) return '0';
  if (a < 0.00005) return x > 0 ? '<0.0001' : '>' + minus + '0.0001';
  return number(x, a < 0.01 ? 4 : a < 1 ? 3 : a < 10 ? 2 : a < 100 ? 1 : 0);
}

function signed(x) {
  return (x > 0 ? '+' : '') + figures(x);
}

function interval(ci, show) {
  return ci ? '[' + show(ci[0]) + ', ' + show(ci[1]) + ']' : '';
}

function percent(x, digits) {
  return x === null || x === undefined ? none : number(100 * x, digits === undefined ? 1 : digits) + '%';
}

function bytes(x) {
  if (x === null || x === undefined) return none;
  const unit = ['B', 'kB', 'MB', 'GB', 'TB'];
  let k = 0;
  while (x >= 999.5 && k < unit.length - 1) { x /= 1000; k++; }
  return (k === 0 ? x.toFixed(0) : x >= 100 ? x.toFixed(0) : x >= 10 ? x.toFixed(1) : x.toFixed(2)) + ' ' + unit[k];
}

function seconds(x) {
  if (x === null || x === undefined) return none;
  if (x === 0) return '0 s';
  if (x < 0.0995) return (1000 * x).toFixed(x < 0.00995 ? 1 : 0) + ' ms';
  if (x < 119.5) return x.toFixed(x < 9.995 ? 2 : 1) + ' s';
  return (x / 60).toFixed(1) + ' min';
}

function count(n) {
  return String(n).replace(/\B(?=(\d{3})+$)/g, '\u202f');
}

function plural(n, one, more) {
  return count(n) + ' ' + (n === 1 ? one : more);
}

// 8192 and 131072 as their owners say them.
function tokens(n) {
  if (n >= 1024 && n % 1024 === 0) return n / 1024 + 'k';
  return count(Math.round(n));
}

function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name === 'onclick' || name === 'onchange' || name === 'oninput') node[name] = value;
    else if (value === true) node.setAttribute(name, '');
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== '') node.append(child);
  }
  return node;
}

// A policy's name may end a line behind its punctuation.
function breakable(name) {
  return name.replace(/([:=,])/g, '$1\u200b');
}

function fill(id, ...children) {
  const node = document.getElementById(id);
  node.replaceChildren(...children.flat(Infinity).filter((c) => c !== null && c !== undefined));
  return node;
}

function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue('--' + name).trim();
}

// A shade between two colours; t is kept within [0, 1].
function between(from, to, t) {
  return d3.interpolateRgb(from, to)(Math.max(0, Math.min(1, t)));
}

// Black or white, whichever stands out more (the contrast ratio of WCAG 2).
function inkOn(shade) {
  const c = d3.rgb(shade), linear = (v) => (v <= 10 ? v / 3294 : Math.pow((v / 255 + 0.055) / 1.055, 2.4));
  return 0.2126 * linear(c.r) + 0.7152 * linear(c.g) + 0.0722 * linear(c.b) > 0.18 ? '#14171b' : '#ffffff';
}

// Buttons of which one is pressed.
function group(label, values, chosen, choose, show) {
  const box = el('span', { class: 'group', role: 'group', 'aria-label': label });
  for (const value of values) {
    box.append(el('button', {
      type: 'button', 'aria-pressed': String(value === chosen), onclick: () => choose(value),
    }, show ? show(value) : value));
  }
  return box;
}

function selection(values, chosen, choose, show) {
  const box = el('select', { onchange: (e) => choose(values[e.target.selectedIndex]) });
  for (const value of values) box.append(el('option', { selected: value === chosen }, show ? show(value) : value));
  return box;
}
