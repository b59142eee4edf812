"use strict";
// Tables that sort and search. Without it the page still reads.

const part = (tag, about = {}, ...inside) => {
  const made = Object.assign(document.createElement(tag), about);
  made.append(...inside);
  return made;
};
const counted = (value) => value.toLocaleString("en-US");

// The number a cell begins with: 1,225; 0.5 ± 0.1; 12 %
const leading = (text) => {
  const found = text.replace(/,/g, "").replace(/^[≥≤<>~]\s*/, "").match(/^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?/i);
  return found ? Number(found[0]) : NaN;
};

function sortable(table, refresh) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = part("button", { type: "button", textContent: head.textContent });
    if (!head.textContent) button.setAttribute("aria-label", "first column");
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const falling = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", falling ? "descending" : "ascending");
      const text = (row) => row.cells[column].textContent.trim();
      const rows = [...body.rows];
      const numbers = rows.every((row) => !text(row) || !Number.isNaN(leading(text(row))));
      const order = (one, two) => {
        const [a, b] = [text(one), text(two)];
        if (!a || !b) return (a ? 0 : 1) - (b ? 0 : 1); // empty cells stay last
        const by = numbers ? leading(a) - leading(b) : a.localeCompare(b, "en", { numeric: true });
        return falling ? -by : by;
      };
      body.append(...rows.sort(order));
      refresh();
    });
  });
}

function searchable(table, details, open) {
  const body = table.tBodies[0];
  body.append(...details.querySelectorAll("tbody tr"));
  const name = table.caption.firstElementChild.textContent;
  const find = part("input", { type: "search", autocomplete: "off", placeholder: "search" });
  find.setAttribute("aria-label", `search in ${name}`);
  const all = part("button", { type: "button" });
  const said = part("output");
  all.setAttribute("aria-expanded", "false");
  const refresh = () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    const whole = all.getAttribute("aria-expanded") === "true";
    let found = 0;
    for (const row of body.rows) {
      const text = row.textContent.toLowerCase();
      const fits = words.every((word) => text.includes(word));
      row.hidden = !fits || (!words.length && !whole && found >= open);
      found += fits;
    }
    all.hidden = words.length > 0;
    all.textContent = whole ? `first ${open} rows` : `all ${counted(body.rows.length)} rows`;
    said.textContent = words.length ? `${counted(found)} of ${counted(body.rows.length)} rows` : "";
  };
  find.addEventListener("input", refresh);
  all.addEventListener("click", () => {
    all.setAttribute("aria-expanded", String(all.getAttribute("aria-expanded") !== "true"));
    refresh();
  });
  details.replaceWith(part("div", { className: "controls" }, find, all, said));
  refresh();
  return refresh;
}

for (const table of document.querySelectorAll(".listed > .scroll > table.sorts")) {
  const open = table.tBodies[0].rows.length;
  const details = table.closest(".listed").querySelector("details");
  sortable(table, details ? searchable(table, details, open) : () => {});
}
