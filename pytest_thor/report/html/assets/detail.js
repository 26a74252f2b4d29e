// Everything about one cell, below its row.
async function detailOf(cell) {
  const record = await recordOf(cell);
  const [first, ...rest] = record.reason.trim().split("\n\n");
  const metrics = Object.entries(record.metrics);
  const judgedFirst = [...metrics.filter(([, metric]) => metric.verdict), ...metrics.filter(([, metric]) => !metric.verdict)];
  const width = Math.max(260, Math.min(document.getElementById("cells").parentElement.clientWidth, window.innerWidth) - 40);
  const half = width > 900 ? Math.floor(width / 2) - 18 : width;
  const drawn = [samplesPicture(record, cell, half), cell.runs && cell.decided_by ? historyPlot(record, cell.decided_by, half) : null].filter(Boolean);
  return make("div", { class: "detail" },
    make("p", {}, verdictMark(cell.word), ` ${first}`),
    rest.length ? make("pre", { class: "log" }, rest.join("\n\n")) : "",
    record.advice.map((advice) => make("p", { class: "advice" }, advice)),
    record.differences.map((difference) => make("p", { class: "advice" }, `Differs from the baseline: ${difference}`)),
    judgedFirst.length ? [make("h4", {}, "Metrics"), make("div", { class: "scroll" }, metricTable(judgedFirst, cell))] : "",
    cell.published.length ? [make("h4", {}, "Published by others"), make("ul", {}, cell.published.map((each) => make("li", { class: "published" }, `${each.metric}: ${publishedText(each)}`)))] : "",
    drawn.length ? make("div", { class: "columns" }, drawn.map((picture) => make("div", { class: "plot" }, picture))) : "",
    doubtsOf(record).map((doubt) => make("p", { class: "bad" }, doubt)),
    record.launches.length ? [make("h4", {}, "Launches"), record.launches.map((launch, place) => launchBlock(launch, place + 1, "launch", record.metrics))] : "",
    record.reference_launches.length ? [make("h4", {}, "Launches of the reference"), record.reference_launches.map((launch, place) => launchBlock(launch, place + 1, "reference", record.metrics))] : "",
    make("h4", {}, "What was measured, and where"),
    folded("Workload", record.parameters),
    folded("Backend's settings", { engine: record.engine, ...record.settings }),
    folded("Model", { architecture: record.architecture, weights: record.weights, bits_per_weight: record.bits_per_weight }),
    record.artifact ? folded("Files", record.artifact) : "",
    record.fingerprint ? folded("Environment (fingerprint)", flattened(record.fingerprint)) : "",
    make("p", {}, make("small", {}, [record.matrix, record.location, record.device, record.outcome, ...record.shards.map((name) => `shard ${name}`)].join(" · "))));
}

// Every doubt that the paragraph does not tell, once, with the launches that it is said of.
function doubtsOf(record) {
  const said = [["", record.launches], ["reference ", record.reference_launches]].flatMap(([role, launches]) =>
    launches.flatMap((launch, place) => [...new Set(launch.doubts)].map((doubt) => ({ doubt, role, number: place + 1 }))));
  const untold = said.filter(({ doubt }) => ![doubt, doubt.slice(0, 1).toUpperCase() + doubt.slice(1)].some((form) => record.reason.includes(form)));
  return [...d3.group(untold, (each) => each.doubt)].map(([doubt, each]) => {
    const where = [...d3.group(each, (one) => one.role)].map(([role, of]) => `${role}${of.length === 1 ? "launch" : "launches"} ${of.map((one) => one.number).join(", ")}`);
    return `${where.join(" and ")}: ${doubt}`;
  });
}

function flattened(fingerprint) {
  return Object.fromEntries(Object.entries(fingerprint).flatMap(([name, value]) =>
    value !== null && typeof value === "object" && !Array.isArray(value) ? Object.entries(value) : [[name, value]]));
}

function metricTable(metrics, cell) {
  const heads = ["metric", "measured", "90 % interval", "baseline", "change", "90 % interval", "threshold", "detectable", "of the limit", "verdict"];
  const row = ([name, metric]) => {
    const of = (value) => units.figure(value, metric.unit);
    const range = of(metric.ci_low) && of(metric.ci_high) ? `${of(metric.ci_low)} to ${of(metric.ci_high)}` : "";
    const figures = [of(metric.value) || "?", range, of(metric.baseline), units.share(metric.change, true), units.interval(metric.change_low, metric.change_high),
      units.share(metric.threshold), units.share(metric.minimum_detectable_effect), units.share(metric.efficiency)];
    const recent = metric.recent ? make("br") : "";
    const against = metric.recent ? make("small", {}, `against the last ${metric.recent.runs} runs: ${units.share(metric.recent.change, true)}, ${metric.recent.verdict}`) : "";
    return make("tr", {}, make("td", {}, make("code", { title: metricTitle(name) }, name), recent, against),
      figures.map((figure) => make("td", { class: "number" }, figure)), make("td", {}, metric.verdict ? verdictMark(metric.verdict) : ""));
  };
  return make("table", { "aria-label": `Metrics of ${cell.called}` },
    make("thead", {}, make("tr", {}, heads.map((head, place) => make("th", { class: place && place < 9 ? "number" : "" }, head)))),
    make("tbody", {}, metrics.map(row)));
}

// The samples of one metric, and the choice of another: first that which decided, if it has more than one a launch.
function samplesPicture(record, cell, width) {
  const launches = [...record.launches, ...record.reference_launches];
  const names = [...new Set(launches.flatMap((launch) => Object.keys(launch.samples)))];
  if (!names.length) return null;
  const many = (name) => launches.some((launch) => launch.samples[name]?.length > 1);
  const decided = cell.decided_by.split(".")[0];
  const first = [decided, ...names].find((name) => names.includes(name) && many(name)) ?? (names.includes(decided) ? decided : names[0]);
  const place = make("div");
  const draw = (name) => place.replaceChildren(samplesPlot(record, name, width) ?? make("p", { class: "calm" }, "No sample is a number."));
  draw(first);
  return names.length > 1 ? make("div", {}, makeSelect(names.map((name) => [name, metricTitle(name)]), "Samples of", first, draw), place) : place;
}

// Every sample: a point each, or, of many, the share of them that is no larger.
function samplesPlot(record, name, width) {
  const launches = [["launch", record.launches], ["reference", record.reference_launches]].flatMap(([of, each]) =>
    each.map((launch, place) => ({ label: `${of} ${place + 1}`, values: (launch.samples[name] ?? []).filter(isNumber) }))).filter((each) => each.values.length);
  if (!launches.length) return null;
  const unit = unitOf(name, record.metrics);
  const many = d3.max(launches, (each) => each.values.length) > 24;
  const shared = { width, marginTop: 24, marginBottom: 36, style: { fontSize: "12px", background: "transparent" } };
  const x = { label: `${name} in ${unit}, ${many ? "every sample" : "samples"}`, labelArrow: "none", grid: true, nice: true };
  if (unit === "B") x.tickFormat = units.bytes;
  const of = (value) => units.figure(value, unit);
  if (!many) {
    const points = launches.flatMap((each) => each.values.map((value, place) => ({ ...each, value, place: place + 1 })));
    return Plot.plot({ ...shared, height: launches.length * 24 + 70, marginLeft: 84, x, y: { label: null, domain: launches.map((each) => each.label) },
      marks: [
        Plot.ruleY(launches, { x1: (each) => d3.min(each.values), x2: (each) => d3.max(each.values), y: "label", stroke: "var(--line)", strokeWidth: 3 }),
        Plot.dot(points, { x: "value", y: "label", r: 4, fill: "var(--accent)", fillOpacity: 0.7 }),
        Plot.tickX(launches, { x: (each) => d3.median(each.values), y: "label", strokeWidth: 2 }),
        Plot.tip(points, Plot.pointer({ x: "value", y: "label", title: (each) => `${each.label}, sample ${each.place}\n${of(each.value)}` })),
      ] });
  }
  const steps = launches.flatMap((each) => d3.sort(each.values).map((value, place) => ({ label: each.label, value, share: (place + 1) / each.values.length })));
  return Plot.plot({ ...shared, height: 250, marginLeft: 52, x, y: { label: "share of samples up to", labelArrow: "none", grid: true, tickFormat: (value) => `${Math.round(value * 100)} %` },
    color: { legend: launches.length > 1, type: "ordinal", domain: launches.map((each) => each.label), range: launches.map((_, place) => d3.schemeObservable10[place % 10]) },
    marks: [
      Plot.line(steps, { x: "value", y: "share", stroke: "label", curve: "step-after" }),
      Plot.tip(steps, Plot.pointer({ x: "value", y: "share", title: (each) => `${each.label}\n${units.percent(each.share)} up to ${of(each.value)}` })),
    ] });
}
