"use strict";
// Draws what a page holds as data: curves, reliability, confusion and galleries; sorts tables. Fetches nothing.

const SVG = "http://www.w3.org/2000/svg";

function make(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children);
  return node;
}

function draw(tag, attributes, text) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

const color = (place) => `var(--c${place % 8})`;
const byName = (a, b) => a.localeCompare(b, "en", { numeric: true }); // class 9 before class 10
const dash = (place) => (place < 8 ? "" : "6 3");
const shortNumber = (value) => (Math.abs(value) >= 1000 ? Math.round(value).toLocaleString("en") : String(+value.toPrecision(4)));

function ticks(low, high, wanted) {
  const rough = (high - low) / wanted || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
  const found = [];
  for (let at = Math.ceil(low / step - 1e-9) * step; at <= high + step * 1e-9; at += step) found.push(+at.toPrecision(12));
  return found;
}

// An empty plot with axes; returns the SVG and the scales.
function axes(width, height, xs, ys, unit, xName) {
  const left = 52, right = 12, top = 8, bottom = 36;
  const x = (value) => left + ((value - xs[0]) / (xs[1] - xs[0] || 1)) * (width - left - right);
  const y = (value) => height - bottom - ((value - ys[0]) / (ys[1] - ys[0] || 1)) * (height - top - bottom);
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img" });
  for (const at of ticks(ys[0], ys[1], 5)) {
    svg.append(draw("line", { class: "grid", x1: left, x2: width - right, y1: y(at), y2: y(at) }));
    svg.append(draw("text", { x: left - 6, y: y(at) + 4, "text-anchor": "end" }, shortNumber(at) + (unit === "%" ? " %" : "")));
  }
  for (const at of ticks(xs[0], xs[1], Math.max(2, Math.floor(width / 90)))) {
    svg.append(draw("text", { x: x(at), y: height - bottom + 16, "text-anchor": "middle" }, shortNumber(at)));
  }
  svg.append(draw("text", { x: (left + width - right) / 2, y: height - 3, "text-anchor": "middle" }, xName));
  return { svg, x, y, left, right: width - right, top, bottom: height - bottom };
}

function chart(box, data) {
  const hidden = new Set();
  const plot = make("div", { class: "plot", tabindex: 0, role: "group", "aria-label": `${data.title}: left and right keys read values` });
  const tip = make("div", { class: "tip", hidden: true, role: "status" });
  const legend = make("div", { class: "controls" });
  const all = [...data.series.map((one) => ({ ...one })), ...data.levels.map(([name, level]) => ({ name, level }))];
  all.forEach((one, place) => {
    const swatch = make("span", { class: "swatch", style: `border-top-color: ${color(place)}; border-top-style: ${one.points ? "solid" : "dashed"}` });
    const button = make("button", { type: "button", "aria-pressed": "true", onclick: () => {
      hidden.has(place) ? hidden.delete(place) : hidden.add(place);
      button.setAttribute("aria-pressed", String(!hidden.has(place)));
      render();
    } }, swatch, one.name);
    legend.append(button);
  });
  box.append(make("h3", {}, data.title), legend, plot);
  const steps = [...new Set(data.series.flatMap((one) => one.points.map((point) => point[0])))].sort((a, b) => a - b);
  let scales = null, at = -1;

  function render() {
    const width = Math.max(260, plot.clientWidth || 420);
    const shown = all.filter((_, place) => !hidden.has(place));
    const values = shown.flatMap((one) => (one.points ? [one.points, ...one.thin].flat().map((point) => point[1]) : [one.level]));
    let low = Math.min(...(values.length ? values : [0])), high = Math.max(...(values.length ? values : [1]));
    if (low > 0 && low < 0.6 * high) low = 0;
    const room = (high - low || Math.abs(high) || 1) * 0.06;
    low = low === 0 ? 0 : low - room;
    high = data.unit === "%" && high > 94 && high <= 100 ? 100 : high + room;
    scales = axes(width, 260, [steps[0], steps[steps.length - 1]], [low, high], data.unit, "step");
    scales.svg.setAttribute("aria-label", data.title);
    all.forEach((one, place) => {
      if (hidden.has(place)) return;
      const line = (points, extra) => scales.svg.append(draw("path", {
        d: points.map(([x, y], i) => `${i ? "L" : "M"}${scales.x(x).toFixed(1)} ${scales.y(y).toFixed(1)}`).join(""),
        fill: "none", stroke: color(place), "stroke-dasharray": dash(place), ...extra }));
      if (!one.points) line([[steps[0], one.level], [steps[steps.length - 1], one.level]], { "stroke-dasharray": "5 4", "stroke-width": 1.5 });
      else {
        one.thin.forEach((points) => line(points, { "stroke-width": 0.8, opacity: 0.45 }));
        line(one.points, { "stroke-width": 2 });
      }
    });
    plot.replaceChildren(scales.svg, tip);
  }

  function read(place) {
    if (!steps.length) return;
    at = Math.max(0, Math.min(steps.length - 1, place));
    const step = steps[at];
    tip.replaceChildren(make("div", {}, `step ${shortNumber(step)}`));
    all.forEach((one, index) => {
      const point = one.points ? one.points.find((found) => found[0] === step) : [step, one.level];
      if (hidden.has(index) || !point) return;
      tip.append(make("div", {}, make("span", { class: "swatch", style: `border-top-color: ${color(index)}` }), `${one.name}: ${shortNumber(point[1])}${data.unit ? " " + data.unit : ""}`));
    });
    tip.hidden = false;
    scales.svg.querySelectorAll(".cursor").forEach((node) => node.remove());
    const x = scales.x(step);
    scales.svg.append(draw("line", { class: "cursor", x1: x, x2: x, y1: scales.top, y2: scales.bottom }));
    const wide = plot.clientWidth;
    tip.style.left = x > wide / 2 ? "auto" : `${x + 8}px`;
    tip.style.right = x > wide / 2 ? `${wide - x + 8}px` : "auto";
    tip.style.top = "10px";
  }

  function leave() {
    tip.hidden = true;
    scales.svg.querySelectorAll(".cursor").forEach((node) => node.remove());
  }

  plot.addEventListener("pointermove", (event) => {
    const x = event.clientX - plot.getBoundingClientRect().left;
    const distances = steps.map((step) => Math.abs(scales.x(step) - x));
    read(distances.indexOf(Math.min(...distances)));
  });
  plot.addEventListener("pointerleave", leave);
  plot.addEventListener("blur", leave);
  plot.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (move) { read(at + move); event.preventDefault(); }
  });
  redrawn(plot, render);
}

// Calls render now and whenever the width changes, also from none, as in a fold that opens.
function redrawn(node, render) {
  let width = -1;
  render();
  new ResizeObserver(() => { if (node.clientWidth !== width) { width = node.clientWidth; render(); } }).observe(node);
}

function reliability(box, data) {
  const plot = make("div", { class: "plot", style: "max-width: 460px" });
  box.append(plot);
  const most = Math.max(...data.bins.map((bin) => bin[4]));
  redrawn(plot, () => {
    const { svg, x, y } = axes(Math.max(260, plot.clientWidth || 420), 300, [0, 100], [0, 100], "%", "confidence in %");
    svg.setAttribute("aria-label", "accuracy by confidence");
    for (const [from, to, right, confidence, images] of data.bins) {
      const bar = draw("rect", { x: x(from) + 1, width: Math.max(1, x(to) - x(from) - 2), y: y(right), height: y(0) - y(right), fill: color(0), opacity: 0.25 + 0.65 * Math.sqrt(images / most) });
      bar.append(draw("title", {}, `confidence ${from.toFixed(0)} to ${to.toFixed(0)} %: ${right.toFixed(1)} % right of ${images} images`));
      svg.append(bar, draw("circle", { cx: x((from + to) / 2), cy: y(confidence), r: 4, fill: color(1) }));
    }
    svg.append(draw("line", { class: "cursor", x1: x(0), y1: y(0), x2: x(100), y2: y(100), "stroke-dasharray": "4 4" }));
    plot.replaceChildren(svg);
  });
}

const MOST_CLASSES = 30;

function matrix(box, data) {
  const count = data.classes.length, right = Array(count).fill(0), total = Array(count).fill(0), wrong = Array(count).fill(0);
  const at = new Map(data.cells.map(([truth, predicted, images]) => {
    total[truth] += images;
    if (truth === predicted) right[truth] += images;
    else { wrong[truth] += images; wrong[predicted] += images; }
    return [truth * count + predicted, images];
  }));
  const orders = {
    "as in the run": (a, b) => a - b,
    "most mistakes first": (a, b) => wrong[b] - wrong[a] || a - b,
    "lowest accuracy first": (a, b) => right[a] / (total[a] || 1) - right[b] / (total[b] || 1) || a - b,
    "by name": (a, b) => byName(data.classes[a], data.classes[b]),
  };
  const everyone = data.classes.map((_, place) => place);
  const many = count > MOST_CLASSES;
  const order = make("select", { onchange: render }, ...Object.keys(orders).map((name) => make("option", {}, name)));
  const shares = make("select", { onchange: render }, make("option", {}, "images"), make("option", {}, "% of the true class"));
  if (many) order.value = "most mistakes first";
  const said = make("p", { class: "faint", role: "status" });
  const table = make("table", { class: "cells" });
  const holder = make("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": "confusion matrix: arrow keys read its cells" }, table);
  box.append(make("div", { class: "controls filters" }, make("label", {}, "order", order), make("label", {}, "cells", shares)), said, holder);
  let chosen = [], here = [0, 0];

  function tell(row, column) {
    const [truth, predicted] = [chosen[row], chosen[column]], images = at.get(truth * count + predicted) || 0;
    const share = total[truth] ? ((100 * images) / total[truth]).toFixed(1) : "0.0";
    said.textContent = `${images} of ${total[truth]} images of ${data.classes[truth]} (${share} %) are taken for ${data.classes[predicted]}`;
    table.querySelectorAll(".here").forEach((cell) => cell.classList.remove("here"));
    table.tBodies[0].rows[row].cells[column + 1].classList.add("here");
    here = [row, column];
  }

  function render() {
    const sorted = [...everyone].sort(orders[order.value]);
    chosen = sorted.slice(0, MOST_CLASSES);
    const words = `Rows: true class. Columns: what it is taken for.`;
    said.textContent = many ? `${words} ${MOST_CLASSES} of ${count} classes, ${order.value}.` : `${words} Point at a cell to read it.`;
    const head = make("tr", {}, make("td", {}), ...chosen.map((place) => make("th", { scope: "col", title: data.classes[place] }, make("span", {}, data.classes[place]))));
    const rows = chosen.map((truth, row) => make("tr", {}, make("th", { scope: "row", title: data.classes[truth] }, data.classes[truth]), ...chosen.map((predicted, column) => {
      const images = at.get(truth * count + predicted) || 0, share = total[truth] ? images / total[truth] : 0;
      const text = !images ? "" : shares.selectedIndex ? Math.round(100 * share) : images;
      const cell = make("td", { "data-row": row, "data-column": column }, String(text));
      if (images) cell.style.background = `rgba(var(--heat), ${(0.12 + 0.88 * share).toFixed(2)})`;
      if (share > 0.55) cell.classList.add("dark");
      return cell;
    })));
    table.replaceChildren(make("thead", {}, head), make("tbody", {}, ...rows));
  }

  table.addEventListener("pointerover", (event) => {
    const cell = event.target.closest("td[data-row]");
    if (cell) tell(+cell.dataset.row, +cell.dataset.column);
  });
  holder.addEventListener("keydown", (event) => {
    const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!move || event.target !== holder) return;
    tell(...here.map((place, i) => Math.max(0, Math.min(chosen.length - 1, place + move[i]))));
    event.preventDefault();
  });
  render();
}

const PAGE = 48;

function gallery(box, data) {
  const names = Object.keys(data.sets);
  const which = make("select", { onchange: restart }, ...names.map((name) => make("option", {}, `${name} (${data.sets[name].length})`)));
  const there = [...new Set(data.pictures.flatMap((one) => [one[1], one[2]]))].filter((place) => place >= 0);
  there.sort((a, b) => byName(data.classes[a], data.classes[b]));
  const option = (place) => make("option", { value: place }, data.classes[place]);
  const truth = make("select", { onchange: restart }, make("option", { value: -1 }, "any"), ...there.map(option));
  const taken = make("select", { onchange: restart }, make("option", { value: -1 }, "any"), ...there.map(option));
  const low = make("input", { type: "number", min: 0, max: 100, value: 0, onchange: restart });
  const high = make("input", { type: "number", min: 0, max: 100, value: 100, onchange: restart });
  const step = (by) => () => { truth.selectedIndex = (truth.selectedIndex + by + truth.options.length) % truth.options.length; restart(); };
  const known = data.pictures.some((one) => one[1] >= 0);
  const controls = make("div", { class: "controls filters" }, make("label", {}, "show", which));
  if (known) controls.append(make("label", {}, "true class", truth), make("button", { type: "button", onclick: step(-1), "aria-label": "class before" }, "<"), make("button", { type: "button", onclick: step(1), "aria-label": "next class" }, ">"));
  controls.append(make("label", {}, "taken for", taken), make("label", {}, "confidence from", low), make("label", {}, "to", high, "%"));
  const said = make("p", { class: "faint", role: "status" });
  const shown = make("div", { class: "shown" + (data.pixelated ? " pixelated" : "") });
  const more = make("button", { type: "button", onclick: () => grow() }, "show more");
  box.append(controls, said, shown, make("div", { class: "controls" }, more));
  let found = [], count = 0;

  function grow() {
    for (const place of found.slice(count, count + PAGE)) {
      const [uri, true_, predicted, confidence, name, note] = data.pictures[place];
      const state = true_ < 0 ? "" : true_ === predicted ? "right" : "wrong";
      const mark = { right: "right: ", wrong: "taken for ", "": "taken for " }[state];
      const lines = [`${mark}${data.classes[predicted]}, ${confidence.toFixed(1)} %`];
      if (state === "wrong") lines.push(`is ${data.classes[true_]}`);
      if (note) lines.push(note);
      const words = make("figcaption", {}, ...lines.flatMap((line, i) => (i ? [make("br"), line] : [line])));
      shown.append(make("figure", { class: state, title: name }, make("img", { src: uri, alt: name }), words));
    }
    count = Math.min(count + PAGE, found.length);
    said.textContent = `${count} of ${found.length} pictures that match`;
    more.hidden = count >= found.length;
  }

  function restart() {
    const wanted = [+truth.value, +taken.value];
    found = data.sets[names[which.selectedIndex]].filter((place) => {
      const [, true_, predicted, confidence] = data.pictures[place];
      return (wanted[0] < 0 || true_ === wanted[0]) && (wanted[1] < 0 || predicted === wanted[1]) && confidence >= +low.value - 0.05 && confidence <= +high.value + 0.05;
    });
    shown.replaceChildren();
    count = 0;
    grow();
  }

  restart();
}

function sortable(table) {
  const body = table.tBodies[0];
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    head.replaceChildren(make("button", { type: "button", onclick: () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      const value = (row) => (row.cells[column].dataset.value === undefined ? row.cells[column].textContent : +row.cells[column].dataset.value);
      const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : byName(String(a), String(b)));
      const rows = [...body.rows].sort((a, b) => compare(value(a), value(b)) * (down ? -1 : 1));
      [...table.tHead.rows[0].cells].forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      body.replaceChildren(...rows);
    } }, head.textContent));
  });
}

const DRAWN = { chart, reliability, matrix, gallery };
const begins = [];
for (const box of document.querySelectorAll(".drawn")) {
  const fold = box.closest("details");
  const begin = () => { if (!box.dataset.done) { box.dataset.done = "yes"; DRAWN[box.dataset.kind](box, JSON.parse(box.firstElementChild.textContent)); } };
  begins.push(begin);
  if (fold && !fold.open) fold.addEventListener("toggle", begin, { once: true });
  else begin();
}
document.querySelectorAll("table.sortable").forEach(sortable);
window.addEventListener("beforeprint", () => {
  document.querySelectorAll("details").forEach((fold) => { fold.open = true; });
  begins.forEach((begin) => begin()); // a fold tells of its opening too late for the paper
});
