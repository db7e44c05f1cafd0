// In the widget's frame: a vote, then the next picture. Who votes is in the page, because a frame may have no cookies.
"use strict";
const main = document.querySelector("main"), { visitor, version, seed, label, token } = main.dataset;
const next = (who) => location.replace(`/widget?visitor=${encodeURIComponent(who)}`);
const given = new URLSearchParams(location.search).get("visitor"), before = localStorage.getItem("genloop-visitor");
if (!given && before) next(before); // who was here before
else localStorage.setItem("genloop-visitor", visitor);
for (const button of document.querySelectorAll("button")) {
  button.addEventListener("click", async () => {
    const sample = { version: +version, seed: +seed, ...(label === "" ? {} : { label: +label }) };
    const event = { id: crypto.randomUUID?.() ?? String(Math.random()).slice(2), type: "vote", sample, value: +button.dataset.value, token };
    const headers = { "content-type": "application/json", authorization: `Visitor ${visitor}` };
    try { await fetch("/api/v1/events", { method: "POST", headers, body: JSON.stringify(event) }); } finally { next(visitor); }
  });
}
