// A model's size against its speed, with what the device can reach at most at that size.
function sizeAndLimit(shown, name, width) {
  const points = shown.slice(0, 400);
  const speed = (cell) => cell.metrics[name].value;
  const size = (cell) => cell.size_bytes / 2 ** 30;
  const limits = limitLines(points, name);
  const speeds = [...points.map(speed), ...limits.map((each) => each.limit)];
  const named = [...d3.rollup(points, (each) => each[d3.maxIndex(each, speed)], (cell) => `${cell.model} ${cell.quant} ${cell.aside}`).values()];
  const { unit } = points[0].metrics[name];
  const wide = (values, times) => d3.min(values) > 0 && d3.max(values) / d3.min(values) > times;
  const scale = (values, times) => (wide(values, times) ? { type: "log", nice: false, ticks: 6 } : { zero: true, nice: true });
  const drawn = Plot.plot({
    ...{ width, height: Math.min(420, Math.max(300, width * 0.6)), marginLeft: 58, marginRight: 40, marginBottom: 40, marginTop: 24, inset: 12 },
    style: { fontSize: "12px", background: "transparent" },
    x: { label: "size of the weights in GiB", labelArrow: "none", grid: true, tickFormat: units.tick, ...scale(points.map(size), 4) },
    y: { label: `${metricTitle(name)} in ${unit}`, labelArrow: "none", grid: true, tickFormat: units.tick, ...scale(speeds, 6) },
    color: colorBy(points),
    marks: [
      Plot.line(limits, { x: "size", y: "limit", z: "series", stroke: "var(--limit)", strokeDasharray: "5 4", strokeWidth: 1.5, sort: "size" }),
      Plot.dot(limits, { x: "size", y: "limit", symbol: "times", r: 3.5, stroke: "var(--limit)" }),
      Plot.dot(points, { x: size, y: speed, r: 5, fill: "backend", fillOpacity: (cell) => (cell.word === "invalid" ? 0.2 : 0.8), stroke: "var(--card)" }),
      points.length <= 120 ? Plot.text(named, { x: size, y: speed, text: "quant", dy: -11, fill: "var(--soft)", fontSize: 11 }) : null,
      limits.length ? Plot.text(limits, Plot.selectFirst({ x: "size", y: "limit", z: "device", text: (each) => (apart.includes("device") ? `limit of ${each.device}` : "limit of the device"), dy: -11, textAnchor: "start", fill: "var(--limit)" })) : null,
      Plot.tip(points, Plot.pointer({ x: size, y: speed, title: (cell) => `${told(cell, name)}\n${units.bytes(cell.size_bytes)}` })),
    ],
  });
  return { drawn, left_out: shown.length - points.length };
}

function limitLines(points, name) {
  const seen = new Map();
  for (const cell of points) {
    const { limit } = cell.metrics[name];
    if (!isNumber(limit)) continue;
    const series = JSON.stringify([cell.device, cell.model]);
    seen.set(`${series} ${cell.size_bytes} ${limit}`, { series, device: cell.device, size: cell.size_bytes / 2 ** 30, limit });
  }
  return [...seen.values()].sort((one, other) => one.size - other.size);
}
