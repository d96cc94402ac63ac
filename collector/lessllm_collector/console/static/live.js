// The list of calls, asked for again and again while it is looked at.
"use strict";

const list = document.getElementById("calls");
const said = document.querySelector("[data-following]");
const EVERY_MS = 3000;

function say(text) {
  if (said.textContent !== text) said.textContent = text;
}

async function renew() {
  const answer = await fetch(location.href, { headers: { accept: "text/html" } });
  if (!answer.ok) throw new Error(answer.status);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const known = new Set([...list.querySelectorAll("tr[data-id]")].map((row) => row.dataset.id));
  const newer = page.getElementById("calls");
  for (const row of newer.querySelectorAll("tr[data-id]")) {
    if (!known.has(row.dataset.id)) row.classList.add("fresh");
  }
  list.replaceChildren(...newer.childNodes);
}

async function follow() {
  // Whoever reads a row, or has it under the keyboard, keeps it.
  const paused = document.hidden || list.contains(document.activeElement);
  say(paused ? said.dataset.paused : said.dataset.following);
  try {
    if (!paused) await renew();
  } catch {
    say(said.dataset.paused);
  }
  setTimeout(follow, EVERY_MS);
}

setTimeout(follow, EVERY_MS);
say(said.dataset.following);
