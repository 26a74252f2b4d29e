// One metric of one cell over its stored runs: the level that was accepted, what counts as a change, and this run.
function historyPlot(record, name, width) {
  const metric = record.metrics[name];
  const runs = record.history.filter((run) => (run.values[name] ?? []).some(isNumber));
  if (!runs.length || !metric) return null;
  const launches = runs.flatMap((run, place) => run.values[name].filter(isNumber).map((value) => ({ x: place + 1, value })));
  const levels = runs.map((run, place) => ({ x: place + 1, value: d3.median(run.values[name].filter(isNumber)), run, count: run.values[name].length }));
  const now = isNumber(metric.value) ? [{ x: runs.length + 1, value: metric.value }] : [];
  const last = runs.length + 1;
  const anchor = isNumber(metric.baseline) ? [metric.baseline] : [];
  const margin = anchor.length && isNumber(metric.threshold) ? [{ low: metric.baseline * (1 - metric.threshold), high: metric.baseline * (1 + metric.threshold) }] : [];
  const of = (value) => units.figure(value, metric.unit);
  const about = (level) => [`${level.run.finished_at.slice(0, 16).replace("T", " ")}`, of(level.value), `${level.count} launches`, level.run.version ?? "", level.run.verdict ?? ""].filter(Boolean).join("\n");
  const interval = now.filter(() => isNumber(metric.ci_low) && isNumber(metric.ci_high));
  const dates = new Map(levels.map((level) => [level.x, level.run.finished_at.slice(5, 10)]));
  const every = Math.ceil(last / Math.max(2, Math.floor(width / 64)));
  return Plot.plot({
    ...{ width, height: 210, marginLeft: 56, marginRight: 18, marginBottom: 26, marginTop: 22 },
    style: { fontSize: "11.5px", background: "transparent" },
    x: { domain: [0.5, last + 0.5], ticks: d3.range(1, last + 1).filter((place) => (last - place) % every === 0), tickFormat: (place) => (place === last ? "now" : dates.get(place)), label: null, tickSize: 3 },
    y: { grid: true, nice: true, label: `${name} in ${metric.unit}`, labelArrow: "none", ticks: 5, tickFormat: metric.unit === "B" ? units.bytes : units.tick },
    marks: [
      Plot.rect(margin, { x1: 0.5, x2: last + 0.5, y1: "low", y2: "high", fill: "var(--band)" }),
      Plot.ruleY(anchor, { stroke: "var(--unchanged)", strokeDasharray: "5 3" }),
      Plot.line([...levels, ...now], { x: "x", y: "value", stroke: "var(--soft)" }),
      Plot.dot(launches, { x: "x", y: "value", r: 1.6, fill: "var(--soft)" }),
      Plot.dot(levels, { x: "x", y: "value", r: 3.4, fill: (level) => tone(level.run.verdict ?? "skipped"), stroke: "var(--card)" }),
      Plot.ruleX(interval, { x: "x", y1: () => metric.ci_low, y2: () => metric.ci_high, strokeWidth: 2, stroke: tone(metric.verdict ?? "skipped") }),
      Plot.dot(now, { x: "x", y: "value", r: 5.5, fill: tone(metric.verdict ?? "skipped"), stroke: "var(--card)" }),
      Plot.tip([...levels, ...now.map((each) => ({ ...each, text: ["this run", of(metric.value), anchor.length ? `accepted: ${of(metric.baseline)} ± ${units.share(metric.threshold)}` : "", metric.verdict ?? ""].filter(Boolean).join("\n") }))],
        Plot.pointerX({ x: "x", y: "value", title: (each) => each.text ?? about(each) })),
    ],
  });
}
