// How a latency is distributed over the requests: from the 5th to the 95th percentile, the middle half, the median, p99.
const LATENCIES = [
  ["ttft_ms", "time to first token"],
  ["tpot_ms", "time per output token"],
  ["itl_ms", "inter-token latency"],
  ["e2el_ms", "end-to-end latency"],
];

function latencyBoxes(shown, name, width) {
  const { entries, only } = rowsByModel(shown.slice(0, MOST_ROWS), ["workload", "quant", "backend", "device", "matrix"]);
  const measured = entries.filter((entry) => entry.cell).map((entry) => {
    const [low, p5, p25, median, p75, p95, p99, high, count] = entry.cell.latency[name];
    return { ...entry, low, p5, p25, median, p75, p95, p99, high, count };
  });
  const logarithmic = measured.every((each) => each.p5 > 0) && d3.max(measured, (each) => each.p99) > 30 * d3.min(measured, (each) => each.p5);
  const ms = (value) => units.quantity(value, "ms");
  const about = (each) =>
    [each.cell.called, `median ${ms(each.median)}`, `middle half ${ms(each.p25)} to ${ms(each.p75)}`, `p5 ${ms(each.p5)} · p95 ${ms(each.p95)} · p99 ${ms(each.p99)}`,
      `least ${ms(each.low)} · most ${ms(each.high)}`, `${each.count} ${name === "itl_ms" ? "gaps" : "requests"} of all launches`, each.cell.word].join("\n");
  const drawn = rowPlot({
    entries, width,
    x: { label: `${metricTitle(name)} in ms (lower is better)`, ...(logarithmic ? { type: "log", ticks: 6, tickFormat: units.tick } : { zero: true }) },
    color: colorBy(measured.map((each) => each.cell)),
    marks: [
      Plot.ruleY(measured, { x1: "p5", x2: "p95", y: "key", stroke: "var(--soft)" }),
      Plot.barX(measured, { x1: "p25", x2: "p75", y: "key", fill: (each) => each.cell.backend, fillOpacity: 0.75, rx: 2 }),
      Plot.tickX(measured, { x: "median", y: "key", strokeWidth: 2.5 }),
      Plot.dot(measured, { x: "p99", y: "key", r: 3, fill: "var(--card)", stroke: "currentColor" }),
      Plot.text(measured, { x: "p99", y: "key", dx: 8, textAnchor: "start", fill: "var(--soft)", text: (each) => units.significant(each.p99) }),
      Plot.tip(measured, Plot.pointerY({ x: "median", y: "key", title: about, maxRadius: 200 })),
    ],
  });
  return { drawn, only, left_out: shown.length - Math.min(shown.length, MOST_ROWS) };
}
