"use strict";

const root = document.documentElement;

function offerThemes() {
  const button = document.getElementById("theme");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
  const show = () => button.setAttribute("aria-pressed", String(isDark()));
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    show();
  });
  dark.addEventListener("change", show);
  button.hidden = false;
  show();
}

// What a cell is sorted by; null where it holds nothing.
function key(row, column, numeric) {
  const value = row.cells[column].dataset.key ?? "";
  if (value === "") return null;
  return numeric ? Number(value) : value;
}

function compare(one, other, sign) {
  if (one === null || other === null) return (one === null) - (other === null);
  const order = typeof one === "number" ? one - other : one.localeCompare(other, "en", { numeric: true });
  return sign * order;
}

function sort(table, heading) {
  const ascending = heading.getAttribute("aria-sort") !== "ascending";
  const column = Number(heading.dataset.column);
  const numeric = heading.dataset.kind === "number";
  const body = table.tBodies[0];
  const rows = [...body.rows].sort((one, other) =>
    compare(key(one, column, numeric), key(other, column, numeric), ascending ? 1 : -1),
  );
  body.append(...rows);
  for (const other of table.querySelectorAll("[aria-sort]")) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", ascending ? "ascending" : "descending");
}

function offerSorting(table) {
  for (const heading of table.querySelectorAll("th[data-column]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    button.addEventListener("click", () => sort(table, heading));
    heading.append(button);
  }
}

function offerFilter(form) {
  const rows = [...document.querySelectorAll("tr[data-model], details[data-model]")];
  const { words, model, method, shown } = form.elements;
  const apply = () => {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) {
      const text = (row.querySelector("summary") ?? row).textContent.toLowerCase();
      row.hidden = !(
        wanted.every((word) => text.includes(word)) &&
        ["", row.dataset.model].includes(model.value) &&
        ["", row.dataset.method].includes(method.value)
      );
    }
    const all = rows.filter((row) => row.localName === "tr");
    const left = all.filter((row) => !row.hidden).length;
    shown.value = left === all.length ? "" : `${left} of ${all.length} rows in the tables below`;
  };
  // Not every browser sends `input` for a choice from a list.
  for (const event of ["input", "change"]) form.addEventListener(event, apply);
  form.addEventListener("reset", () => setTimeout(apply));
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  apply();
}

// Browsers open what a link leads into; older ones leave it folded.
function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  for (let one = target.closest("details"); one; one = one.parentElement.closest("details")) one.open = true;
  target.scrollIntoView();
}

offerThemes();
addEventListener("hashchange", openTarget);
openTarget();
document.querySelectorAll("table.sortable").forEach(offerSorting);
document.querySelectorAll("form.filter").forEach(offerFilter);
