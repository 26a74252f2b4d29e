// Cells that differ only in how heavy the load is, as curves.
const MOST_CURVES = 16;

// Curves of at least two loads: over requests at once, or over requests per second where that is what differs.
function loadCurves(rows) {
  const loads = d3.group(rows.filter((cell) => cell.load), (cell) => cell.load.curve);
  const curves = [];
  for (const group of loads.values()) {
    for (const level of ["max_concurrency", "request_rate"]) {
      const points = group.filter((cell) => isNumber(cell.load[level])).sort((one, other) => one.load[level] - other.load[level]);
      const other = level === "max_concurrency" ? "request_rate" : "max_concurrency";
      const alike = d3.groups(points, (cell) => cell.load[other]).map(([, each]) => each);
      for (const each of alike)
        if (new Set(each.map((cell) => cell.load[level])).size > 1) curves.push({ level, points: each });
    }
  }
  return curves;
}

function curveName(curves) {
  const naming = ["model", "quant", "backend", "device", "matrix"].filter((name) => distinct(curves, (curve) => curve.points[0][name]).length > 1);
  const base = (workload) => workload.split("@")[0];
  const several = distinct(curves, (curve) => base(curve.points[0].workload)).length > 1;
  return (curve) => {
    const cell = curve.points[0];
    const parts = [...naming.map((name) => cell[name]), ...(several ? [base(cell.workload)] : [])];
    return parts.length ? parts.join(" · ") : `${cell.model} · ${cell.quant}`;
  };
}

function loadPlot(all, { level, metrics, width }) {
  const fitting = all.filter((curve) => curve.level === level && curve.points.filter((cell) => isNumber(cell.metrics[metrics[0]]?.value)).length > 1);
  const curves = fitting.slice(0, MOST_CURVES);
  const named = curveName(curves);
  const points = curves.flatMap((curve) =>
    metrics.flatMap((name, place) =>
      curve.points.filter((cell) => isNumber(cell.metrics[name]?.value))
        .map((cell) => ({ cell, name, place, series: named(curve), line: `${named(curve)} ${place}`, x: cell.load[level], y: cell.metrics[name].value }))));
  const { unit } = points[0].cell.metrics[points[0].name];
  const levels = distinct(points, (point) => point.x).map(Number);
  const limits = points.filter((point) => point.place === 0 && isNumber(point.cell.metrics[point.name].limit))
    .map((point) => ({ ...point, y: point.cell.metrics[point.name].limit }));
  const reachable = limits.filter((each) => each.y < 2.5 * d3.max(points, (point) => point.y));
  const series = [...new Set(points.map((point) => point.series))];
  const ends = (place) => points.filter((point) => point.place === place);
  const drawn = Plot.plot({
    ...{ width, height: 330, marginLeft: 58, marginRight: 24, marginBottom: 40, marginTop: 24 },
    style: { fontSize: "12px", background: "transparent" },
    x: { type: d3.max(levels) / d3.min(levels) > 6 && d3.min(levels) > 0 ? "log" : "linear", base: 2, ticks: levels.length <= 12 ? levels : 8, tickFormat: units.tick, label: level === "max_concurrency" ? "requests at once" : "requests per second", labelArrow: "none" },
    y: { grid: true, zero: true, nice: true, label: `${metricTitle(metrics[0].split(".")[0])} in ${unit}`, labelArrow: "none" },
    color: { legend: series.length > 1, type: "ordinal", domain: series, range: series.map((_, place) => d3.schemeObservable10[place % 10]), tickFormat: (name) => clipped(name, 48) },
    marks: [
      Plot.line(reachable, { x: "x", y: "y", z: "line", stroke: "var(--limit)", strokeDasharray: "2 4" }),
      Plot.line(ends(0), { x: "x", y: "y", z: "line", stroke: "series", strokeWidth: 2 }),
      Plot.line(ends(1), { x: "x", y: "y", z: "line", stroke: "series", strokeDasharray: "5 4" }),
      Plot.ruleX(ends(0).filter((point) => isNumber(point.cell.metrics[point.name].ci_low)), { x: "x", y1: (point) => point.cell.metrics[point.name].ci_low, y2: (point) => point.cell.metrics[point.name].ci_high, stroke: "series" }),
      Plot.dot(points, { x: "x", y: "y", r: 3.5, fill: (point) => (point.cell.word === "invalid" ? "var(--card)" : point.series), stroke: "series" }),
      Plot.dot(points.filter((point) => point.cell.load.saturates), { x: "x", y: "y", r: 8, stroke: "series", strokeWidth: 1.5, symbol: "circle" }),
      Plot.tip(points, Plot.pointer({ x: "x", y: "y", title: (point) => told(point.cell, point.name) })),
    ],
  });
  return { drawn, left_out: fitting.length - curves.length, what: "curves" };
}
