// One start of an engine: its samples, its machine, its evidence, its log.
function launchBlock(launch, number, of, metrics) {
  const build = [launch.engine.name, launch.engine.version, launch.engine.commit && `(${launch.engine.commit})`].filter(Boolean).join(" ");
  const sampled = Object.entries(launch.samples);
  const head = [`${of} ${number}`, launch.started_at.slice(0, 19).replace("T", " "), isNumber(launch.duration_s) ? units.duration(launch.duration_s) : "", build];
  const about = sampled.length === 1 ? ` · ${samplesText(sampled[0][1], unitOf(sampled[0][0], metrics))}` : "";
  return make("details", {},
    make("summary", {}, head.filter(Boolean).join(" · "), clipped(about, 160), launch.failure ? make("span", { class: "bad" }, " · failed") : "", launch.doubts.length ? make("span", { class: "bad" }, " · doubted") : ""),
    launch.failure ? make("p", { class: "bad" }, launch.failure) : "",
    sampled.map(([name, values]) => make("div", {}, make("b", {}, name), ` ${values.length} in ${unitOf(name, metrics) || "its unit"}`, make("div", { class: "samples mono" }, samplesText(values, "")))),
    launch.log_tail ? [make("h4", {}, "End of the log"), make("pre", { class: "log" }, launch.log_tail)] : "",
    launch.telemetry ? folded("Telemetry", launch.telemetry) : "",
    Object.keys(launch.evidence).length ? folded("Evidence", launch.evidence) : "",
    sampled.length ? folded("Samples, exact", launch.samples) : "",
    make("p", {}, make("small", {}, launch.engine.path)));
}

function samplesText(values, unit) {
  const shown = values.map((value) => (isNumber(value) ? units.figure(value, unit === "B" ? "B" : "").trim() : String(value))).join(", ");
  return unit && unit !== "B" ? `${shown} ${unit}` : shown;
}

function unitOf(name, metrics) {
  const found = metrics[name] ?? Object.entries(metrics).find(([key]) => key.split(".")[0] === name)?.[1];
  return found?.unit ?? "";
}

// What a record holds, as a list of names and values; what has an inside of its own is behind a click, as JSON.
function folded(title, content, open = false) {
  const plain = Object.entries(content).filter(([, value]) => value === null || typeof value !== "object");
  const nested = Object.entries(content).filter(([, value]) => value !== null && typeof value === "object");
  const box = make("details", { open }, make("summary", {}, title));
  const fill = () => {
    if (box.childElementCount > 1) return;
    if (plain.length) box.append(make("dl", { class: "mono" }, plain.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value === null ? "not known" : String(value))])));
    for (const [name, value] of nested) box.append(make("p", { class: "mono" }, name), make("pre", { class: "log" }, JSON.stringify(value, null, 1)));
  };
  if (open) fill();
  else box.addEventListener("toggle", fill, { once: true });
  return box;
}
