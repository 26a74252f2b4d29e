// The share of the device's limit that each cell reaches: a row for each model and quant, a column for each measurement.
function efficiencies(rows) {
  return rows.flatMap((cell) =>
    ["pp_tps", "tg_tps", "output_tps"].filter((name) => isNumber(cell.metrics[name]?.efficiency)).slice(0, 1)
      .map((name) => ({
        cell, name,
        share: cell.metrics[name].efficiency,
        row: `${cell.model} · ${cell.quant}`,
        column: `${cell.workload}\n${cell.backend}`,
        place: ["prefill", "decode", "serving"].indexOf(cell.kind),
      })));
}

function efficiencyMap(found, width) {
  const rows = distinct(found, (each) => each.row);
  const room = Math.min(Math.max(...rows.map((row) => row.length)) * 6.6 + 14, width * 0.4);
  const all = [...d3.rollup(found, (each) => each[0].place, (each) => each.column)]
    .sort((one, other) => one[1] - other[1] || naturally(one[0], other[0])).map(([column]) => column);
  const columns = all.slice(0, Math.max(2, Math.floor((width - room) / 74)));
  const kept = rows.filter((row) => found.some((each) => each.row === row && columns.includes(each.column))).slice(0, MOST_ROWS);
  const shown = found.filter((each) => columns.includes(each.column) && kept.includes(each.row));
  const labels = new Map(kept.map((row) => [row, clipped(row, Math.floor(room / 6.4))]));
  const drawn = Plot.plot({
    ...{ width, height: kept.length * 27 + 66, marginLeft: room, marginRight: 6, marginTop: 44, marginBottom: 10, padding: 0.05 },
    style: { fontSize: "12px", background: "transparent" },
    x: { domain: columns, axis: "top", label: null, tickSize: 0, tickFormat: (column) => column.split("\n").map((part) => clipped(part, 11)).join("\n") },
    y: { domain: kept, label: null, tickSize: 0, tickFormat: (row) => labels.get(row) },
    color: { type: "linear", scheme: "YlGnBu", domain: [0, 1], clamp: true },
    marks: [
      Plot.cell(shown, { x: "column", y: "row", fill: "share", rx: 3 }),
      Plot.text(shown, { x: "column", y: "row", text: (each) => units.percent(each.share), fill: (each) => (each.share > 0.5 ? "white" : "black"), fontSize: 11 }),
      Plot.tip(shown, Plot.pointer({ x: "column", y: "row", title: (each) => told(each.cell, each.name) })),
    ],
  });
  return { drawn, left_out: found.length - shown.length };
}
