for (const place of document.querySelectorAll(".strip[data-cell]")) {
  const cell = cells[Number(place.dataset.cell)];
  place.append(strip(cell.metrics[cell.decided_by]));
}
for (const link of document.querySelectorAll("[data-open]"))
  link.addEventListener("click", (event) => { event.preventDefault(); table.reveal(Number(link.dataset.open)); });

let drawn = Promise.resolve();
filter.follow((rows) => { drawn = pictures.drawAll(rows); });
filter.follow(() => table.show());
filter.apply();
pictures.follow();
window.addEventListener("beforeprint", () => table.growAll());
const named = /^#cell-(\d+)$/.exec(location.hash);
if (named) table.reveal(Number(named[1]));
drawn.then(() => requestAnimationFrame(() => { performance.mark("drawn"); document.documentElement.dataset.ready = "true"; }));
