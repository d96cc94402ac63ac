// What pages can't do without a script. Each works on elements that carry its data-… attribute.
"use strict";

document.documentElement.dataset.scripted = "";

// A choice is sent as soon as it is made.
for (const field of document.querySelectorAll("[data-submits]")) {
  field.addEventListener("change", () => field.form.requestSubmit());
}

// A button that copies the text of the element that it names.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copies]");
  if (!button) return;
  await navigator.clipboard.writeText(document.getElementById(button.dataset.copies).textContent);
  button.textContent = button.dataset.copied;
});

// A part that takes long is fetched when the page is there.
for (const place of document.querySelectorAll("[data-loads]")) {
  fetch(place.dataset.loads)
    .then((answer) => (answer.ok ? answer.text() : Promise.reject(answer)))
    .then((html) => {
      place.innerHTML = html;
      place.dataset.loaded = "";
    })
    .catch(() => {}); // what is there leads to the page that says why
}
