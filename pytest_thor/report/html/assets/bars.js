// Rows of one metric by model and quant, a colour for each backend: speeds, energy, distributions.
const MOST_ROWS = 60;

// The width of a letter of a label in pixels: a common one of the widest of the page's fonts.
const LETTER = 7.1;
const lettersIn = (pixels) => Math.max(4, Math.floor(pixels / LETTER));

// The rows of a picture: a heading for each model where there are several, and a label that says what tells rows apart.
function rowsByModel(shown, naming) {
  const ordered = [...shown].sort((one, other) =>
    naturally(one.model, other.model) || naturally(one.workload, other.workload) ||
    (one.size_bytes ?? 0) - (other.size_bytes ?? 0) || naturally(one.quant, other.quant) ||
    naturally(one.backend, other.backend) || one.index - other.index);
  const models = new Set(ordered.map((cell) => cell.model));
  const telling = naming.filter((name) => name === "quant" || distinct(ordered, (cell) => cell[name]).length > 1);
  const entries = [];
  let model = null;
  for (const cell of ordered) {
    if (models.size > 1 && cell.model !== model) entries.push({ key: `model ${cell.model}`, heading: cell.model });
    model = cell.model;
    entries.push({ key: `cell ${cell.index}`, cell, label: telling.map((name) => cell[name]).join(" · ") });
  }
  return { entries, only: models.size === 1 ? model : null };
}

// What every picture of rows shares: its size, its y axis, and the headings.
function rowPlot({ entries, width, x, color, marks }) {
  const letters = Math.max(4, ...entries.map((entry) => entry.label?.length ?? 0));
  const room = Math.min(letters * LETTER + 16, width * 0.42);
  const labels = new Map(entries.map((entry) => [entry.key, clipped(entry.label ?? "", lettersIn(room - 8))]));
  const headings = entries.filter((entry) => entry.heading);
  return Plot.plot({
    ...{ width, height: entries.length * 23 + 52, marginLeft: room, marginRight: 68, marginTop: 8, marginBottom: 44 },
    style: { fontSize: "12px", background: "transparent" },
    x: { grid: true, nice: true, labelArrow: "none", labelOffset: 38, ...x },
    y: { domain: entries.map((entry) => entry.key), label: null, tickSize: 0, tickFormat: (key) => labels.get(key), padding: 0.28 },
    color,
    marks: [
      ...marks,
      Plot.text(headings, { y: "key", frameAnchor: "left", textAnchor: "start", dx: 6 - room, text: (entry) => clipped(entry.heading, Math.floor(width / 8)), fontWeight: 650 }),
    ],
  });
}

function colorBy(rows, name = "backend") {
  const domain = distinct(rows, (cell) => cell[name]);
  const every = distinct(cells, (cell) => cell[name]); // a backend has one colour in every picture
  return { domain, range: domain.map((value) => d3.schemeObservable10[every.indexOf(value) % 10]), legend: domain.length > 1, type: "ordinal" };
}

function metricBars(shown, name, width) {
  const { entries, only } = rowsByModel(shown.slice(0, MOST_ROWS), ["quant", "backend", "device", "matrix"]);
  const measured = entries.filter((entry) => entry.cell);
  const of = (field) => (entry) => entry.cell.metrics[name][field];
  const known = (field) => measured.filter((entry) => isNumber(of(field)(entry)));
  const published = measured.flatMap((entry) =>
    entry.cell.published.filter((each) => each.metric === name && isNumber(each.value) && !each.doubt).map((each) => ({ key: entry.key, value: each.value })));
  const { unit, better } = measured[0].cell.metrics[name];
  const end = (entry) => d3.max(["value", "ci_high", "baseline"].map((field) => of(field)(entry)).filter(isNumber));
  const drawn = rowPlot({
    entries, width,
    x: { label: `${metricTitle(name)} in ${unit} (${better} is better)`, zero: true },
    color: colorBy(measured.map((entry) => entry.cell)),
    marks: [
      Plot.barX(measured, { x: of("value"), y: "key", fill: (entry) => entry.cell.backend, fillOpacity: (entry) => (entry.cell.word === "invalid" ? 0.22 : 0.85) }),
      Plot.ruleY(known("ci_low"), { x1: of("ci_low"), x2: of("ci_high"), y: "key", strokeWidth: 1.5 }),
      Plot.tickX(known("baseline"), { x: of("baseline"), y: "key", strokeWidth: 2, insetTop: -2, insetBottom: -2 }),
      Plot.dot(published, { x: "value", y: "key", symbol: "diamond", r: 4.5, stroke: "var(--published)", fill: "var(--card)", strokeWidth: 2 }),
      Plot.text(measured, { x: end, y: "key", dx: 7, textAnchor: "start", text: (entry) => units.significant(of("value")(entry)) + (entry.cell.word === "invalid" ? " invalid" : "") }),
      Plot.tip(measured, Plot.pointerY({ x: of("value"), y: "key", title: (entry) => told(entry.cell, name), maxRadius: 200 })),
    ],
  });
  return { drawn, only, left_out: shown.length - Math.min(shown.length, MOST_ROWS), published: published.length };
}
