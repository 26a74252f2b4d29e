// The share of the device's limit that each cell reaches: a row for each model and quant, a column for each measurement.
function efficiencies(rows) {
  return rows.flatMap((cell) =>
    ["pp_tps", "tg_tps", "output_tps"].filter((name) => isNumber(cell.metrics[name]?.efficiency)).slice(0, 1)
      .map((name) => ({
        cell, name,
        share: cell.metrics[name].efficiency,
        model: [cell.model, cell.quant, ...apart.map((name) => cell[name])].join(" · "),
        measured: `${cell.workload}\n${cell.backend}`,
        place: ["prefill", "decode", "serving"].indexOf(cell.kind),
      })));
}

const NARROWEST = 74;

function efficiencyMap(found, width) {
  const models = distinct(found, (each) => each.model);
  const measured = [...d3.rollup(found, (each) => each[0].place, (each) => each.measured)]
    .sort((one, other) => one[1] - other[1] || naturally(one[0], other[0])).map(([name]) => name);
  const roomFor = (names) => Math.min(Math.max(...names.map((name) => name.length)) * LETTER + 14, width * 0.4);
  const fitting = (names) => Math.max(2, Math.floor((width - roomFor(names)) / NARROWEST));
  // Turned round where the measurements do not fit beside one another and the models do, as on a phone.
  const turned = measured.length > fitting(models) && models.length <= fitting(measured);
  const [down, across] = turned ? [measured, models] : [models, measured];
  const [rowOf, columnOf] = turned ? ["measured", "model"] : ["model", "measured"];
  const room = roomFor(down);
  const columns = across.slice(0, fitting(down));
  const kept = down.filter((row) => found.some((each) => each[rowOf] === row && columns.includes(each[columnOf]))).slice(0, MOST_ROWS);
  const shown = found.filter((each) => columns.includes(each[columnOf]) && kept.includes(each[rowOf]));
  const letters = lettersIn((width - room) / columns.length - 6);
  const labels = new Map(kept.map((row) => [row, clipped(row.replace("\n", " · "), lettersIn(room - 8))]));
  const inLines = (column) => column.split(/\n| · /).map((part) => clipped(part, letters)).join("\n");
  const drawn = Plot.plot({
    ...{ width, height: kept.length * 27 + 66, marginLeft: room, marginRight: 6, marginTop: 44, marginBottom: 10, padding: 0.05 },
    style: { fontSize: "12px", background: "transparent" },
    x: { domain: columns, axis: "top", label: null, tickSize: 0, tickFormat: inLines },
    y: { domain: kept, label: null, tickSize: 0, tickFormat: (row) => labels.get(row) },
    color: { type: "linear", scheme: "YlGnBu", domain: [0, 1], clamp: true },
    marks: [
      Plot.cell(shown, { x: columnOf, y: rowOf, fill: "share", rx: 3 }),
      Plot.text(shown, { x: columnOf, y: rowOf, text: (each) => units.percent(each.share), fill: (each) => (each.share > 0.5 ? "white" : "black"), fontSize: 11 }),
      Plot.tip(shown, Plot.pointer({ x: columnOf, y: rowOf, title: (each) => told(each.cell, each.name) })),
    ],
  });
  return { drawn, left_out: found.length - shown.length };
}
