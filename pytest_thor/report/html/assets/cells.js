// The cells, worst first, and the rest of each where a click asks for it.
const page = JSON.parse(document.getElementById("data").textContent);

// What has to stand beside a cell's id lest two cells show under one name.
const apart = ["matrix", "device"].filter((name) => new Set(page.cells.map((row) => row[name])).size > 1);
const asideOf = (row) => apart.map((name) => row[name]).join(", ");

const cells = page.cells.map((row, index) => ({
  ...row,
  index,
  aside: asideOf(row),
  called: apart.length ? `${row.id} (${asideOf(row)})` : row.id,
  metrics: Object.fromEntries(
    Object.entries(row.metrics).map(([name, figures]) => [
      name,
      Object.fromEntries(page.fields.map((field, place) => [field, figures[place]])),
    ]),
  ),
  published: row.published.map(([metric, value, unit, source, date, device, engine, doubt, same_device]) => ({
    ...{ metric, value, unit, source, date, device, engine, doubt, same_device },
  })),
  share: row.share && Object.fromEntries(["reference", "ratio", "low", "high"].map((name, place) => [name, row.share[place]])),
}));

const chunks = [...document.querySelectorAll("script[data-first]")].map((element) => ({
  first: Number(element.dataset.first),
  element,
  records: null,
}));

// A cell as report.json has it.
async function recordOf(cell) {
  const chunk = chunks.findLast((each) => each.first <= cell.index);
  chunk.records ??= unpacked(chunk.element.textContent);
  return (await chunk.records)[cell.index - chunk.first];
}

async function unpacked(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).json();
}

const naturally = new Intl.Collator("en", { numeric: true }).compare;

function distinct(rows, of) {
  return [...new Set(rows.map(of))].sort(naturally);
}

function metricTitle(name) {
  const [base, summary] = name.split(".");
  return (page.titles[base] ?? base) + (summary ? `, ${summary}` : "");
}

// One metric of one cell, line by line, for a hover.
function told(cell, name) {
  const metric = cell.metrics[name];
  const of = (value) => units.figure(value, metric.unit);
  const range = isNumber(metric.ci_low) && isNumber(metric.ci_high) ? ` (${of(metric.ci_low)} to ${of(metric.ci_high)})` : "";
  const published = cell.published.filter((each) => each.metric === name);
  return [
    cell.called,
    `${metricTitle(name)}: ${of(metric.value)}${range}`,
    isNumber(metric.baseline) ? `baseline: ${of(metric.baseline)}` : "",
    isNumber(metric.change) ? `change: ${units.percent(metric.change, true)} (${units.interval(metric.change_low, metric.change_high)})` : "",
    isNumber(metric.limit) ? `limit of the device: ${of(metric.limit)}, reached ${units.share(metric.efficiency)}` : "",
    cell.share && cell.decided_by === name ? `of ${cell.share.reference}: ${shareText(cell.share)}` : "",
    ...published.map((each) => `published: ${publishedText(each)}`),
    cell.load?.saturates ? "the sweep saturates here" : "",
    metric.verdict ?? cell.word,
  ].filter(Boolean).join("\n");
}

// A figure's share of the reference quant's, as in the tables.
function shareText(share) {
  const bound = (value) => units.percent(value).replace(/ %$/, "");
  return units.percent(share.ratio) + (isNumber(share.low) ? ` (${bound(share.low)} to ${bound(share.high)})` : "");
}

// What others published of the metric that decided: the one of this device, else the only one; of several none is picked.
function publishedOf(cell, name) {
  const found = cell.published.filter((each) => each.metric === name && !each.doubt);
  const here = found.filter((each) => each.same_device);
  return here.length === 1 ? here[0] : !here.length && found.length === 1 ? found[0] : null;
}

function publishedText(figure) {
  const about = [figure.device, figure.engine, figure.source, figure.date].filter(Boolean).join(", ");
  return `${units.figure(figure.value, figure.unit)} (${about})${figure.doubt ? "; it cannot be true" : ""}`;
}
