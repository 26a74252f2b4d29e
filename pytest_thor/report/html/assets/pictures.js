// Which pictures there are, where each has its data, and what a reader may choose in it.
const has = (name) => (cell) => isNumber(cell.metrics[name]?.value);

function workloadChoices(rows, name) {
  const byWorkload = d3.rollup(rows.filter(has(name)), (found) => found.length, (cell) => cell.workload);
  return [...byWorkload].sort((one, other) => other[1] - one[1] || naturally(one[0], other[0])).map(([workload]) => [workload, workload]);
}

function barsPicture(name, title, caption) {
  return {
    title, caption, label: "workload",
    choices: (rows) => workloadChoices(rows, name),
    draw: (rows, workload, width) => metricBars(rows.filter((cell) => cell.workload === workload && has(name)(cell)), name, width),
  };
}

const SIZED = ["tg_tps", "pp_tps"];
const BARS = "Bar: measured, with its 90 % interval. Tick: baseline. Diamond: published by others.";
const LOAD_CAPTION = { throughput: "Ring: saturation. Dotted red: the device's limit, where it is near.", latency: "Line: median. Dashed: p99. Ring: saturation." };

function loadPicture(title, caption, metricsOf) {
  return {
    title, caption, tall: true, label: "curve",
    choices: (rows) => {
      const curves = loadCurves(rows);
      return metricsOf.flatMap(([metrics, short]) =>
        [["max_concurrency", "requests at once"], ["request_rate", "request rate"]]
          .filter(([level]) => curves.some((curve) => curve.level === level && curve.points.filter(has(metrics[0])).length > 1))
          .map(([level, over]) => [`${metrics.join(" ")}|${level}`, `${short} over ${over}`]));
    },
    draw: (rows, choice, width) => {
      const [metrics, level] = choice.split("|");
      return loadPlot(loadCurves(rows), { level, metrics: metrics.split(" "), width });
    },
  };
}

const PICTURES = [
  barsPicture("pp_tps", "Prefill speed", BARS),
  barsPicture("tg_tps", "Decode speed", BARS),
  {
    title: "Size against speed", tall: true, caption: "Dashed red: the most that the device can reach at that size.", label: "workload",
    choices: (rows) => SIZED.flatMap((name) => workloadChoices(rows.filter((cell) => cell.size_bytes), name).map(([workload]) => [`${name}|${workload}`, workload])),
    draw: (rows, choice, width) => {
      const [name, ...workload] = choice.split("|");
      return sizeAndLimit(rows.filter((cell) => cell.size_bytes && cell.workload === workload.join("|") && has(name)(cell)), name, width);
    },
  },
  {
    title: "Efficiency", wide: true, caption: "Measured, as a share of the device's limit.",
    choices: (rows) => (efficiencies(rows).length ? [["all", "all"]] : []),
    draw: (rows, _, width) => efficiencyMap(efficiencies(rows), width),
  },
  barsPicture("output_tps", "Throughput under load", BARS),
  {
    title: "Latency distributions", caption: "Line: 5th to 95th percentile. Bar: the middle half. Tick: median. Circle: p99.", label: "latency",
    choices: (rows) => LATENCIES.filter(([name]) => rows.some((cell) => cell.latency[name])),
    draw: (rows, name, width) => latencyBoxes(rows.filter((cell) => cell.latency[name]), name, width),
  },
  loadPicture("Throughput against concurrency", LOAD_CAPTION.throughput, [[["output_tps"], "output throughput"]]),
  loadPicture("Latency over load", LOAD_CAPTION.latency, [
    [["ttft_ms.median", "ttft_ms.p99"], "TTFT"],
    [["tpot_ms.median", "tpot_ms.p99"], "TPOT"],
  ]),
  barsPicture("energy_j_per_token", "Energy per token", BARS),
  {
    title: "History", wide: true, label: "cell",
    caption: "Point: one stored run, in the colour of its verdict; small points are its launches. Dashed: the accepted level. Shaded: within the threshold.",
    choices: (rows) => {
      const kept = rows.filter((cell) => cell.runs && cell.decided_by);
      const one = kept.slice(0, 300).map((cell) => [String(cell.index), cell.called]);
      return kept.length > 1 ? [["worst", `the ${Math.min(6, kept.length)} worst of ${kept.length}`], ...one] : one;
    },
    draw: async (rows, choice, width) => {
      const kept = rows.filter((cell) => cell.runs && cell.decided_by);
      const wanted = choice === "worst" ? kept.slice(0, 6) : [cells[Number(choice)]];
      const records = await Promise.all(wanted.map(recordOf));
      const across = wanted.length === 1 || width < 860 ? 1 : width < 1290 ? 2 : 3;
      const each = Math.floor((width - 16 * (across - 1)) / across);
      const drawn = records.map((record, place) =>
        make("div", {}, make("h4", {}, verdictMark(wanted[place].word), ` ${wanted[place].called}`), historyPlot(record, wanted[place].decided_by, each)));
      return { drawn: make("div", { class: wanted.length > 1 ? "multiples" : "" }, drawn) };
    },
  },
];

const pictures = (() => {
  const place = document.getElementById("pictures");
  const columns = [0, 1].map(() => make("div", { class: "column" }));
  const wide = make("div", { class: "column wide" });
  const heights = [0, 0];
  let order = 0;
  const shown = PICTURES.filter((picture) => picture.choices(cells).length).map((picture) => {
    const plot = make("div", { class: "plot" });
    const note = make("small");
    const control = make("span");
    const figure = make("figure", { class: picture.wide ? "picture wide" : "picture", "data-picture": picture.title },
      make("header", {}, make("h3", {}, picture.title), control),
      make("figcaption", {}, picture.caption, " ", note), plot);
    if (picture.wide) wide.append(figure);
    else {
      const shorter = heights[1] < heights[0] ? 1 : 0;
      heights[shorter] += picture.tall ? 3 : 1;
      figure.style.order = order++;
      columns[shorter].append(figure);
    }
    return { ...picture, plot, note, control, choice: null, turn: 0 };
  });

  async function draw(picture, rows) {
    const turn = ++picture.turn;
    const choices = picture.choices(rows);
    if (!choices.some(([value]) => value === picture.choice)) picture.choice = choices[0]?.[0] ?? null;
    picture.control.replaceChildren(...(choices.length > 1 ? [makeSelect(choices, `${picture.title}: ${picture.label}`, picture.choice, (value) => { picture.choice = value; draw(picture, filter.rows()); })] : []));
    if (picture.choice === null) {
      picture.note.textContent = "";
      picture.plot.replaceChildren(make("p", { class: "calm" }, "No cell with this matches the filter."));
      return;
    }
    const result = await picture.draw(rows, picture.choice, Math.max(260, Math.floor(picture.plot.clientWidth)));
    if (turn !== picture.turn) return;
    result.drawn.setAttribute("aria-label", picture.title);
    picture.plot.replaceChildren(result.drawn);
    const notes = [
      choices.length === 1 && picture.label === "workload" ? choices[0][1] : "",
      result.only ?? "",
      result.left_out ? `${result.left_out} more ${result.what ?? "cells"} not drawn: filter to see them` : "",
    ];
    picture.note.textContent = notes.filter(Boolean).join(" · ");
  }

  const drawAll = (rows) => Promise.all(shown.map((picture) => draw(picture, rows)));
  place.append(...columns, wide);
  if (!shown.length) document.getElementById("pictures-title").parentElement.hidden = true;
  return { drawAll, follow: () => {
    let width = place.clientWidth;
    new ResizeObserver(() => {
      if (Math.abs(place.clientWidth - width) < 2) return;
      width = place.clientWidth;
      drawAll(filter.rows());
    }).observe(place);
  } };
})();
