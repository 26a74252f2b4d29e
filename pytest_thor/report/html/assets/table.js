// Every cell: sorted by a click on a head, rows made as they come into sight, each opened by a click.
const table = (() => {
  const STEP = 100;
  const element = document.getElementById("cells");
  const [head, body] = [element.tHead, element.tBodies[0]];
  const more = document.getElementById("more");
  const deciding = (cell) => cell.metrics[cell.decided_by];
  const figure = (field) => (cell) => { const value = deciding(cell)?.[field]; return isNumber(value) ? value : null; };
  const inUnit = (field) => (cell) => { const metric = deciding(cell); return metric ? units.figure(metric[field], metric.unit) : ""; };
  const percent = (field, signed) => (cell) => { const metric = deciding(cell); return metric ? units.share(metric[field], signed) : ""; };
  const published = (cell) => publishedOf(cell, cell.decided_by);
  const references = distinct(cells.filter((cell) => cell.share), (cell) => cell.share.reference);

  const COLUMNS = [
    { label: "verdict", sort: (cell) => cell.index, show: (cell) => verdictMark(cell.word) },
    ...apart.map((name) => ({ label: name, sort: (cell) => cell[name], show: (cell) => cell[name] })),
    { label: "cell", sort: (cell) => cell.id, name: true },
    { label: "metric", rest: true, sort: (cell) => cell.decided_by, show: (cell) => make("code", { title: metricTitle(cell.decided_by) }, cell.decided_by) },
    { label: "measured", sort: figure("value"), show: inUnit("value"), number: true },
    { label: "baseline", rest: true, sort: figure("baseline"), show: inUnit("baseline"), number: true },
    { label: "change", sort: figure("change"), show: percent("change", true), number: true },
    { label: "against the threshold", rest: true, sort: (cell) => harm(deciding(cell)), show: (cell) => strip(deciding(cell)) },
    { label: "of the limit", rest: true, sort: figure("efficiency"), show: percent("efficiency"), number: true },
    ...(references.length ? [{ label: references.length === 1 ? `of ${clipped(references[0], 20)}` : "of ref. quant", sort: (cell) => cell.share?.ratio ?? null, number: true, rest: true, show: (cell) => (cell.share ? make("span", { title: `${shareText(cell.share)} of ${cell.share.reference}` }, units.percent(cell.share.ratio)) : "") }] : []),
    ...(cells.some(published) ? [{ label: "published", sort: (cell) => published(cell)?.value ?? null, number: true, show: (cell) => { const found = published(cell); return found ? make("span", { class: "published", title: publishedText(found) }, units.figure(found.value, found.unit)) : ""; } }] : []),
    { label: "size", rest: true, sort: (cell) => cell.size_bytes, show: (cell) => (cell.size_bytes ? units.bytes(cell.size_bytes) : ""), number: true },
  ];
  // On a phone the rest is left out; it is in what a click opens.
  const classOf = (column) => [column.number && "number", column.name && "name", column.rest && "rest"].filter(Boolean).join(" ") || null;
  let rows = [];
  let made = 0;
  let sorted = { place: 0, descending: false };
  const open = new Set();

  // How many thresholds were lost.
  function harm(metric) {
    if (!metric || !isNumber(metric.change) || !metric.threshold) return null;
    return (metric.better === "lower" ? metric.change : -metric.change) / metric.threshold;
  }

  function order() {
    const { sort } = COLUMNS[sorted.place];
    const sign = sorted.descending ? -1 : 1;
    const missing = (value) => value === null || value === undefined || value === "";
    const keyed = filter.rows().map((cell) => [sort(cell), cell]);
    keyed.sort(([one, a], [other, b]) => {
      if (missing(one) || missing(other)) return missing(one) - missing(other) || a.index - b.index;
      const compared = typeof one === "number" ? one - other : naturally(one, other);
      return sign * compared || a.index - b.index;
    });
    rows = keyed.map(([, cell]) => cell);
  }

  function show() {
    order();
    made = 0;
    body.replaceChildren();
    [...head.rows[0].cells].forEach((cell, place) =>
      place === sorted.place ? cell.setAttribute("aria-sort", sorted.descending ? "descending" : "ascending") : cell.removeAttribute("aria-sort"));
    grow(STEP);
  }

  function grow(count) {
    const until = Math.min(rows.length, made + count);
    const added = document.createDocumentFragment();
    for (; made < until; made += 1) added.append(rowOf(rows[made]));
    body.append(added);
    more.hidden = made >= rows.length;
    more.textContent = `${rows.length - made} more as you scroll`;
    for (const row of body.querySelectorAll("tr[data-reopen]")) { row.removeAttribute("data-reopen"); unfold(row); }
  }

  function rowOf(cell) {
    const row = make("tr", { class: "cell", id: `cell-${cell.index}`, "data-index": cell.index, "data-reopen": open.has(cell.index) });
    for (const column of COLUMNS) {
      const content = column.name ? make("button", { type: "button", "aria-expanded": "false" }, cell.id) : column.show(cell);
      row.append(make("td", { class: classOf(column) }, content));
    }
    return row;
  }

  async function unfold(row) {
    const cell = cells[Number(row.dataset.index)];
    const button = row.querySelector("button");
    open.add(cell.index);
    button.setAttribute("aria-expanded", "true");
    const place = make("td", { colspan: COLUMNS.length }, "…");
    row.after(make("tr", { class: "detail" }, place));
    try {
      place.replaceChildren(await detailOf(cell));
    } catch (problem) {
      place.replaceChildren(make("p", { class: "bad" }, `This browser cannot show it (${problem}); report.json has it.`));
    }
  }

  function fold(row) {
    open.delete(Number(row.dataset.index));
    row.querySelector("button").setAttribute("aria-expanded", "false");
    row.nextElementSibling.remove();
  }

  const toggle = (row) => (row.nextElementSibling?.className === "detail" ? fold(row) : unfold(row));

  // Opens a cell wherever it is, also one that the filter leaves out.
  async function reveal(index) {
    if (!cells[index]) return;
    if (!rows.some((cell) => cell.index === index)) { filter.clear(); await new Promise((done) => setTimeout(done, 10)); }
    while (made < rows.length && !document.getElementById(`cell-${index}`)) grow(1000);
    const row = document.getElementById(`cell-${index}`);
    if (row.nextElementSibling?.className !== "detail") await unfold(row);
    row.scrollIntoView({ block: "start", behavior: "instant" });
    window.scrollBy(0, -70);
  }

  head.append(make("tr", {}, COLUMNS.map((column, place) => {
    const sort = () => { sorted = { place, descending: sorted.place === place && !sorted.descending }; show(); };
    const press = (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); sort(); } };
    return make("th", { scope: "col", tabindex: 0, class: classOf(column), onclick: sort, onkeydown: press }, column.label);
  })));
  body.addEventListener("click", (event) => {
    const row = event.target.closest("tr.cell");
    if (row && !String(window.getSelection())) toggle(row);
  });
  new IntersectionObserver((seen) => { if (seen.some((each) => each.isIntersecting)) grow(STEP); }, { rootMargin: "600px" }).observe(more);

  return { show, reveal, growAll: () => grow(rows.length), count: () => rows.length };
})();
