// The SQL page: Ctrl+Enter runs the statement, a column's name goes where the cursor is, columns are found.
"use strict";

const statement = document.getElementById("q");

statement.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    statement.form.requestSubmit();
  }
});

for (const column of document.querySelectorAll("[data-column]")) {
  column.querySelector("button").addEventListener("click", () => {
    statement.setRangeText(column.dataset.column, statement.selectionStart, statement.selectionEnd, "end");
    statement.focus();
  });
}

const finder = document.querySelector("[data-finds]");
finder.closest("label").hidden = false;
finder.addEventListener("input", () => {
  const wanted = finder.value.trim().toLowerCase();
  for (const table of document.getElementById(finder.dataset.finds).children) {
    let found = 0;
    for (const column of table.querySelectorAll("[data-column]")) {
      column.hidden = !column.textContent.toLowerCase().includes(wanted);
      found += column.hidden ? 0 : 1;
    }
    table.hidden = found === 0;
    if (wanted && found) table.open = true;
  }
});
