// What pages can't do without a script. Each works on elements that carry its data-… attribute.
"use strict";

document.documentElement.dataset.scripted = "";

// A choice is sent as soon as it is made.
for (const field of document.querySelectorAll("[data-submits]")) {
  field.addEventListener("change", () => field.form.requestSubmit());
}

// A button that copies the text of the element that it names.
for (const button of document.querySelectorAll("[data-copies]")) {
  button.addEventListener("click", async () => {
    const text = document.getElementById(button.dataset.copies).textContent;
    await navigator.clipboard.writeText(text);
    button.textContent = button.dataset.copied;
  });
}
