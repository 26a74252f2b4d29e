// Elements are only ever made from text: nothing of the report is read as HTML.
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

function makeSvg(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function makeSelect(options, label, chosen, onchange) {
  const select = make("select", { "aria-label": label });
  for (const [value, text] of options) {
    const option = make("option", { value }, clipped(text, 60));
    option.selected = value === chosen;
    select.append(option);
  }
  select.addEventListener("change", () => onchange(select.value));
  return select;
}

function clipped(text, letters) {
  if (text.length <= letters) return text;
  const half = Math.floor((letters - 1) / 2);
  return `${text.slice(0, letters - 1 - half)}…${text.slice(-half)}`;
}

function verdictMark(word) {
  return make("span", { class: `verdict v-${word}` }, make("i", { class: "mark" }), word);
}

const tone = (word) => `var(--${page.words.includes(word) ? word : "skipped"})`;
