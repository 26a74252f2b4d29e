// Which cells are looked at; the pictures and the table follow.
const filter = (() => {
  const form = document.getElementById("filter");
  const search = document.getElementById("search");
  const chosen = new Map();
  const words = new Set();
  const listeners = [];
  const texts = cells.map((cell) =>
    [cell.id, cell.matrix, cell.model, cell.quant, cell.backend, cell.workload, cell.kind, cell.device, cell.word]
      .join(" ").toLowerCase());
  let rows = cells;

  function apply() {
    const wanted = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    rows = cells.filter((cell) =>
      (words.size === 0 || words.has(cell.word)) &&
      [...chosen].every(([name, value]) => value === "" || cell[name] === value) &&
      wanted.every((word) => texts[cell.index].includes(word)));
    for (const button of document.querySelectorAll("[data-word]"))
      button.setAttribute("aria-pressed", String(words.has(button.dataset.word)));
    document.getElementById("shown").textContent = `${rows.length} of ${cells.length} cells`;
    for (const listener of listeners) listener(rows);
  }

  for (const name of ["matrix", "device", "kind", "model", "quant", "backend", "workload"]) {
    const values = distinct(cells, (cell) => cell[name]);
    if (values.length < 2) continue;
    const options = [["", `every ${name}`], ...values.map((value) => [value, value])];
    const select = makeSelect(options, name, "", (value) => { chosen.set(name, value); apply(); });
    select.dataset.filter = name;
    document.getElementById("selects").append(select);
  }
  let waiting = null;
  search.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(apply, 120); });
  form.addEventListener("submit", (event) => { event.preventDefault(); apply(); });
  form.addEventListener("reset", () => { chosen.clear(); words.clear(); setTimeout(apply); });
  for (const button of document.querySelectorAll("[data-word]"))
    button.addEventListener("click", () => {
      const word = button.dataset.word;
      if (!words.delete(word)) words.add(word);
      apply();
    });

  return { rows: () => rows, apply, clear: () => form.reset(), follow: (listener) => listeners.push(listener) };
})();
