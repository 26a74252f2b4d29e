// A change with its interval, against the threshold: the shaded middle is what does not matter.
const STRIP = { width: 132, height: 18, reach: 4 };

function strip(metric) {
  if (!metric || !isNumber(metric.change) || !isNumber(metric.threshold) || metric.threshold <= 0) return "";
  const { width, height, reach } = STRIP;
  const at = (change) => ((Math.max(-reach, Math.min(reach, change / metric.threshold)) + reach) / (2 * reach)) * (width - 12) + 6;
  const middle = height / 2;
  const color = tone(metric.verdict ?? "skipped");
  const told = `${units.percent(metric.change, true)} (${units.interval(metric.change_low, metric.change_high)}); threshold ${units.percent(metric.threshold)}`;
  const line = (x1, x2, y1, y2, attributes) => makeSvg("line", { x1, x2, y1, y2, ...attributes });
  const known = isNumber(metric.change_low) && isNumber(metric.change_high);
  const title = makeSvg("title", {});
  title.textContent = told;
  return makeSvg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": told }, title,
    makeSvg("rect", { x: at(-metric.threshold), width: at(metric.threshold) - at(-metric.threshold), y: 1, height: height - 2, fill: "var(--band)" }),
    line(at(0), at(0), 1, height - 1, { stroke: "var(--soft)", "stroke-width": 1 }),
    ...(known ? [line(at(metric.change_low), at(metric.change_high), middle, middle, { stroke: color, "stroke-width": 2.5 })] : []),
    makeSvg("circle", { cx: at(metric.change), cy: middle, r: 4, fill: color }));
}
