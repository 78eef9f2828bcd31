"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const quote = data.symbol.split("/")[1];
const narrow = window.matchMedia("(max-width: 600px)");

// ---- data: numbers packed as base64 of little-endian arrays
function unpack(text, kind) {
  return new kind(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
}
const due = unpack(data.due, Uint32Array);
const count = unpack(data.count, Uint32Array);
const shift = unpack(data.shift, Uint16Array);
const mid = unpack(data.mid, Float64Array);
const spread = unpack(data.spread, Float32Array);
const imbalance = unpack(data.imbalance, Float32Array);
const slots = due.length;
const bins = data.money.rows / 2;
// Two bytes a number: 0 is not known, 1 is no money, the others are steps of the logarithm.
const codes = unpack(data.money.codes, Uint16Array);
const logAt = (code) => data.money.low + (code - 2) * data.money.width;
const moneyAt = (row, slot) => {
  const code = codes[row * slots + slot];
  return code === 0 ? null : code === 1 ? 0 : 10 ** logAt(code);
};
// As text without a zone: Plotly shows numbers in the zone of the reader.
const stamp = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 19).replace("T", " ");
const at = (slot) => stamp(data.day + (slot + 0.5) * data.slotSeconds);
const slotOf = (seconds) => Math.floor((seconds - data.day) / data.slotSeconds);
const doubted = new Uint8Array(slots);
for (const loss of data.losses) {
  if (loss.state !== "stored") continue;
  for (let slot = Math.max(0, slotOf(loss.start)); slot <= slotOf(loss.end - 1) && slot < slots; slot += 1) doubted[slot] = 1;
}

// ---- words
const two = (number) => String(number).padStart(2, "0");
function clock(seconds) {
  const time = new Date(seconds * 1000);
  return [time.getUTCHours(), time.getUTCMinutes(), time.getUTCSeconds()].map(two).join(":");
}
const minuteName = (slot) => clock(data.day + slot * data.slotSeconds).slice(0, 5);
const plain = (number, digits) => number.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
const known = (number) => number !== null && !Number.isNaN(number);
const fixed = (number, digits) => (known(number) ? plain(number, digits) : "–");
const price = (number) => (known(number) ? plain(number, number >= 1000 ? 2 : number >= 1 ? 4 : 8) : "–");
const share = (number, digits = 2) => (known(number) ? (Math.floor(number * 10 ** (digits + 2)) / 10 ** digits).toFixed(digits) + " %" : "–");
function money(number) {
  if (!known(number)) return "–";
  for (const [unit, sign] of [[1e9, "B"], [1e6, "M"], [1e3, "k"]]) if (number >= unit) return plain(number / unit, 2) + sign;
  return plain(number, number >= 1 || number === 0 ? 0 : 6);
}
function length(seconds) {
  if (seconds < 120) return seconds + " s";
  return seconds < 7200 ? plain(seconds / 60, 1) + " min" : plain(seconds / 3600, 1) + " h";
}

// ---- colours follow the page's
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
const isDark = () => {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : window.matchMedia("(prefers-color-scheme: dark)").matches;
};
const heat = () => isDark()
  ? [[0, "#0d1430"], [0.35, "#174682"], [0.65, "#1fa187"], [0.88, "#f4de3c"], [1, "#fffff5"]]
  : [[0, "#f4f8ff"], [0.35, "#a9cdf0"], [0.65, "#2b83c6"], [0.88, "#d9482b"], [1, "#5d0a12"]];
function stateOf(slot) {
  if (due[slot] === 0) return "plot";
  if (count[slot] === 0) return "none";
  if (count[slot] < due[slot]) return "part";
  return doubted[slot] ? "doubt" : "full";
}
const axis = (more) => ({ gridcolor: colour("line"), zerolinecolor: colour("line"), linecolor: colour("line"), automargin: false, fixedrange: true, ...more });
const common = () => ({
  paper_bgcolor: colour("page"), plot_bgcolor: colour("plot"), font: { color: colour("ink"), size: narrow.matches ? 10 : 12 },
  hoverlabel: { bgcolor: colour("panel"), bordercolor: colour("line"), font: { color: colour("ink") } },
});
const config = { responsive: true, displaylogo: false, displayModeBar: false };

// ---- the day
let chosen = 0;
const slotNumbers = Array.from({ length: slots }, (_, slot) => slot);
const times = slotNumbers.map(at);
const heatRows = Array.from({ length: data.money.rows }, (_, row) => row);
const heatZ = heatRows.map((row) => Array.from({ length: slots }, (_, slot) => {
  const code = codes[row * slots + slot];
  return code === 0 ? null : code === 1 ? data.money.low : logAt(code);
}));
const heatMoney = heatRows.map((row) => Array.from({ length: slots }, (_, slot) => {
  const value = moneyAt(row, slot);
  return value === null ? "not known" : money(value) + " " + quote;
}));
const [coldest, hottest] = (() => {
  const sorted = codes.filter((code) => code > 1).sort();
  return sorted.length ? [logAt(sorted[Math.floor(sorted.length * 0.02)]), logAt(sorted[Math.floor((sorted.length - 1) * 0.995)])] : [0, 1];
})();
const ticks = Array.from({ length: 24 }, (_, power) => power - 6).filter((power) => power >= coldest && power <= hottest);
const blank = (numbers) => Array.from(numbers, (number) => (Number.isNaN(number) ? null : number));

function ribbon(states, shown, outline = 0) {
  const colours = shown.map((slot) => colour(states[slot]));
  return { type: "bar", x: shown.map(at), y: shown.map(() => 1), yaxis: "y3", width: data.slotSeconds * 1000, showlegend: false,
    marker: { color: colours, line: { color: colours, width: outline } },
    customdata: shown.map((slot) => (due[slot] ? count[slot] + " of " + due[slot] + (doubted[slot] ? ", in doubt" : "") : "not due")),
    hovertemplate: "%{x|%H:%M} · %{customdata}<extra></extra>" };
}
function traces() {
  const states = slotNumbers.map(stateOf);
  const half = Array.from(spread, (bps) => (Number.isNaN(bps) ? null : bps / 2));
  const line = (name, y, yaxis, name_of_colour, more) => ({ type: "scatter", mode: "lines", name, x: times, y, yaxis, connectgaps: false, line: { color: colour(name_of_colour), width: 1.3 }, ...more });
  return [
    ribbon(states, slotNumbers),
    // Again on top, with an outline: so one bad minute of a day is seen on a telephone.
    ribbon(states, slotNumbers.filter((slot) => !["full", "plot"].includes(states[slot])), 2),
    { type: "heatmap", name: "depth", x: times, y: heatRows.map((row) => (row - bins + 0.5) * data.binBps), z: heatZ, customdata: heatMoney, yaxis: "y", zmin: coldest, zmax: hottest, zsmooth: false, hoverongaps: false,
      colorscale: heat(), showscale: !narrow.matches,
      colorbar: { title: { text: quote, side: "top" }, thickness: 12, len: 0.5, y: 0.66, x: 1.06, outlinewidth: 0, tickvals: ticks, ticktext: ticks.map((power) => money(10 ** power).replace(".00", "")) },
      hovertemplate: "%{x|%H:%M} · %{y:.2f} bps<br>%{customdata}<extra></extra>" },
    line("best ask", half, "y", "ask", { line: { color: colour("ask"), width: 1 }, hoverinfo: "skip" }),
    line("best bid", half.map((bps) => (bps === null ? null : -bps)), "y", "bid", { line: { color: colour("bid"), width: 1 }, hoverinfo: "skip" }),
    line("mid price", blank(mid), "y2", "ink", { hovertemplate: "%{x|%H:%M} · mid %{y:,.8~f}<extra></extra>" }),
    line("imbalance", blank(imbalance), "y4", "mid", { line: { color: colour("mid"), width: 0.8 }, showlegend: false, hovertemplate: "%{x|%H:%M} · imbalance %{y:.3f}<extra></extra>" }),
    line("spread", blank(spread), "y5", "part", { showlegend: false, hovertemplate: "%{x|%H:%M} · spread %{y:.3~f} bps<extra></extra>" }),
  ];
}
const marks = () => [
  { type: "line", xref: "x", yref: "paper", x0: at(chosen), x1: at(chosen), y0: 0, y1: 1, line: { color: colour("ink"), width: 1, dash: "dot" } },
  ...data.losses.filter((loss) => loss.state === "open").slice(0, 200).map((loss) => ({
    type: "rect", xref: "x", yref: "y domain", x0: stamp(loss.start), x1: stamp(loss.end), y0: 0, y1: 1, layer: "above",
    fillcolor: colour("none"), opacity: 0.35, line: { color: colour("none"), width: 1 } })),
];
function dayLayout() {
  const title = (text) => ({ text, font: { size: narrow.matches ? 9 : 11 }, standoff: 4 });
  return { ...common(), margin: narrow.matches ? { l: 44, r: 48, t: 28, b: 28 } : { l: 60, r: 120, t: 28, b: 32 }, bargap: 0, barmode: "overlay", hovermode: "closest", dragmode: narrow.matches ? false : "zoom",
    legend: { orientation: "h", x: 0, y: 1.005, yanchor: "bottom", bgcolor: "rgba(0,0,0,0)" }, shapes: marks(),
    xaxis: axis({ type: "date", range: [stamp(data.day), stamp(data.day + 86400)], anchor: "y5", tickformat: "%H:%M", hoverformat: "%H:%M", fixedrange: narrow.matches, nticks: narrow.matches ? 5 : 13 }),
    yaxis: axis({ domain: [0.36, 0.93], title: title("bps from mid"), showgrid: false, zeroline: false }),
    yaxis2: axis({ overlaying: "y", side: "right", showgrid: false, tickformat: narrow.matches ? ".4s" : mid.some((number) => number >= 1000) ? ",.0f" : ".6~g" }),
    yaxis3: axis({ domain: [0.95, 1], range: [0, 1], showticklabels: false, showgrid: false }),
    yaxis4: axis({ domain: [0.19, 0.33], title: title("imbalance"), rangemode: "tozero" }),
    yaxis5: axis({ domain: [0, 0.15], title: title("spread bps"), rangemode: "tozero" }) };
}

// ---- the book of a minute
function curve(slot) {
  const side = (rows, sign) => {
    const x = [sign * shift[slot] * data.binBps], y = [0];
    let sum = 0, missing = false;
    rows.forEach((row, index) => {
      if (index < shift[slot] || index >= shift[slot] + data.bins || missing) return;
      const value = moneyAt(row, slot);
      if (value === null) { missing = true; return; }
      sum += value;
      x.push(sign * (index + 1) * data.binBps);
      y.push(sum);
    });
    return { x, y, missing };
  };
  const bids = side(Array.from({ length: bins }, (_, index) => bins - 1 - index), -1);
  const asks = side(Array.from({ length: bins }, (_, index) => bins + index), 1);
  const trace = (name, { x, y }) => ({ type: "scatter", mode: "lines", name, x, y, fill: "tozeroy", line: { color: colour(name === "bids" ? "bid" : "ask"), width: 2 }, customdata: y.map(money), hovertemplate: "%{x:.2f} bps: %{customdata} " + quote + "<extra>" + name + "</extra>" });
  const layout = { ...common(), margin: { l: 56, r: 12, t: 8, b: 40 }, hovermode: "closest", dragmode: false, legend: { orientation: "h", x: 0.5, xanchor: "center", y: 1, yanchor: "top" },
    xaxis: axis({ range: [-bins * data.binBps, bins * data.binBps], title: { text: "bps from mid", standoff: 4 } }), yaxis: axis({ rangemode: "tozero", tickformat: ".2~s" }) };
  Plotly.react("curve", [trace("bids", bids), trace("asks", asks)], layout, config);
  const empty = count[slot] === 0;
  byId("unknown").textContent = empty ? "" : [[bids, "bids"], [asks, "asks"]].filter(([side]) => side.missing).map(([side, name]) => "The " + name + " are not known beyond " + fixed(Math.abs(side.x[side.x.length - 1]), 2) + " bps.").join(" ");
  const loss = data.losses.find((each) => each.state === "open" && each.start < data.day + (slot + 1) * data.slotSeconds && data.day + slot * data.slotSeconds < each.end);
  byId("chosen").textContent = minuteName(slot) + " UTC · " + (empty
    ? (due[slot] ? "no row is stored" + (loss ? " (" + loss.cause + ")" : "") : "not due")
    : "mid " + price(mid[slot]) + " · spread " + fixed(spread[slot], 3) + " bps · " + count[slot] + " of " + due[slot] + " seconds");
}
let waiting = false;
function choose(slot) {
  chosen = Math.min(slots - 1, Math.max(0, slot));
  byId("minute").value = chosen;
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    curve(chosen);
    Plotly.relayout("day", { "shapes[0].x0": at(chosen), "shapes[0].x1": at(chosen) });
  });
}

// ---- tables
function element(name, text, more = {}) {
  const made = document.createElement(name);
  if (text !== null) made.textContent = text;
  for (const [key, value] of Object.entries(more)) made.setAttribute(key, value);
  return made;
}
function fill(table, headings, rows) {
  const head = table.createTHead().insertRow();
  headings.forEach(([text, kind]) => head.append(element("th", text, { class: kind || "", scope: "col" })));
  const body = table.createTBody();
  for (const { cells, slot } of rows) {
    const row = body.insertRow();
    cells.forEach((cell, index) => {
      const made = element("td", cell.text === undefined ? cell : null, { class: headings[index][1] || "" });
      if (cell.text !== undefined) {
        made.append(element("span", "", { class: "state", style: "background: var(--" + cell.state + ")" }), cell.text);
      }
      row.append(made);
    });
    if (slot === undefined) continue;
    row.dataset.at = slot;
    row.addEventListener("click", () => { choose(slot); byId("curve-head").scrollIntoView({ behavior: "smooth" }); });
  }
}
const stateNames = { open: ["none", "missing"], filled: ["full", "came late"], stored: ["doubt", "stored, in doubt"] };
fill(byId("losses"), [["from (UTC)"], ["to"], ["length", "wide"], ["rows", "wide"], ["cause", "text"], ["state", "text"]], data.losses.map((loss) => ({
  cells: [clock(loss.start), clock(loss.end), length(loss.end - loss.start), plain(loss.count, 0), loss.cause, { state: stateNames[loss.state][0], text: stateNames[loss.state][1] }],
  slot: Math.min(slots - 1, Math.max(0, slotOf(loss.start))),
})));
byId("losses-note").textContent = data.losses.length === 0 ? "No second is missing." : data.lossCount > data.losses.length ? "The first " + data.losses.length + " of " + data.lossCount + "." : "";
fill(byId("hours"), [["hour (UTC)"], ["coverage"], ["close"], ["low", "wide"], ["high", "wide"], ["volatility", "wide"], ["spread bps"], ["bids"], ["asks"], ["imbalance", "wide"], ["buy 1M, bps", "wide"], ["sell 1M, bps", "wide"]], data.hours.map((hour) => ({
  cells: [clock(hour.hour).slice(0, 5), share(hour.coverage), price(hour.close), price(hour.low), price(hour.high), known(hour.volatility) ? share(hour.volatility, 3) : "–", fixed(hour.spread, 3), money(hour.bids), money(hour.asks), fixed(hour.imbalance, 3), fixed(hour.buy, 2), fixed(hour.sell, 2)],
  slot: slotOf(hour.hour),
})));
byId("hours-note").textContent = data.hours.length === 0 ? "No hour is summed up yet: flows/rollup.py does that for hours that are over." : "Means of the hour; depth is all buckets of a side.";

// ---- the month
function month() {
  const box = byId("month");
  const first = new Date(data.day * 1000);
  first.setUTCDate(1);
  const lead = (first.getUTCDay() + 6) % 7;
  const shares = new Map(data.month);
  box.replaceChildren(...["Mo", "Tu", "We", "Th", "Fr", "Sa", "Su"].map((name) => element("span", name, { class: "head", role: "columnheader" })));
  for (let blankDay = 0; blankDay < lead; blankDay += 1) box.append(element("span", "", { class: "blank" }));
  for (let day = first; day.getUTCMonth() === new Date(data.day * 1000).getUTCMonth(); day = new Date(day.getTime() + 86400000)) {
    const covered = shares.get(day.getTime() / 1000);
    const cell = element("span", null, { class: day.getTime() / 1000 === data.day ? "here" : "", role: "cell" });
    cell.append(element("b", day.getUTCDate()), known(covered ?? null) ? (narrow.matches ? share(covered, 1).slice(0, -2) : share(covered)) : "–");
    if (known(covered ?? null)) {
      const state = covered === 1 ? "full" : covered >= 0.95 ? "part" : "none";
      cell.style.background = "color-mix(in srgb, var(--" + state + ") " + (covered === 1 ? 30 : 35) + "%, var(--page))";
    }
    box.append(cell);
  }
}

// ---- the whole page
function draw() {
  Plotly.react("day", traces(), dayLayout(), config);
  curve(chosen);
  month();
}
byId("title").textContent = data.symbol + " · " + data.date;
const present = slotNumbers.filter((slot) => count[slot] > 0);
const firstMid = mid[present[0]], lastMid = mid[present[present.length - 1]];
const mean = (numbers) => { const some = Array.from(numbers).filter((number) => !Number.isNaN(number)); return some.reduce((sum, number) => sum + number, 0) / some.length; };
for (const [name, value] of [
  ["stored", plain(data.rows, 0) + " of " + plain(data.expected, 0)], ["coverage", share(data.expected ? data.rows / data.expected : null, 3)],
  ["gaps", plain(data.losses.filter((loss) => loss.state === "open").length, 0)], ["mid, first to last", price(firstMid) + " → " + price(lastMid)],
  ["change", (lastMid >= firstMid ? "+" : "−") + share(Math.abs(lastMid / firstMid - 1))], ["mean spread", fixed(mean(spread), 3) + " bps"],
  ["buckets", data.steps + " of " + +(data.step * 100).toPrecision(6) + " %"],
]) {
  const box = document.createElement("div");
  box.append(element("dt", name), element("dd", value));
  byId("figures").append(box);
}
byId("minute").max = slots - 1;
chosen = present[Math.floor(present.length / 2)];
byId("minute").value = chosen;
draw();
byId("minute").addEventListener("input", () => choose(Number(byId("minute").value)));
byId("earlier").addEventListener("click", () => choose(chosen - 1));
byId("later").addEventListener("click", () => choose(chosen + 1));
byId("day").on("plotly_click", ({ points: [point] }) => choose(slotOf(Date.parse(String(point.x).replace(" ", "T") + "Z") / 1000)));
byId("theme").addEventListener("click", () => { document.documentElement.dataset.theme = isDark() ? "light" : "dark"; draw(); });
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
narrow.addEventListener("change", draw);
