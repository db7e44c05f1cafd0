// The page's own script: votes that survive a lost connection, keys, swipes, and what htmx does not do.
"use strict";
const words = JSON.parse(document.getElementById("words").textContent);
const reasons = JSON.parse(document.getElementById("reasons").textContent);
const find = (name, within = document) => within.querySelector(name);
const grid = document.getElementById("grid");

// What is waiting to be sent, in order; it outlives the page and a lost connection. Each has an id, so that none counts twice.
const OUTBOX = "genloop-outbox";
const waiting = () => JSON.parse(localStorage.getItem(OUTBOX) || "[]");
const keep = (list) => localStorage.setItem(OUTBOX, JSON.stringify(list));
let sending = Promise.resolve();
const name = () => crypto.randomUUID?.() ?? Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

async function put(path, body) { // the answer; null where it has to wait
  const key = name();
  keep([...waiting(), { key, path, body }]);
  return (await send())?.get(key) ?? null;
}

function send() {
  const alone = navigator.locks ? (work) => navigator.locks.request(OUTBOX, work) : (work) => work(); // of several tabs, one sends
  const before = sending;
  sending = (async () => { await before; return alone(sendAll); })();
  return sending;
}

async function sendAll() {
  const answers = new Map();
  while (waiting().length) {
    const [first] = waiting();
    let response;
    try {
      response = await fetch(first.path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(first.body) });
    } catch {
      offline(true);
      return answers;
    }
    if ([408, 429, 502, 503, 504].includes(response.status)) {
      offline(true);
      return answers;
    }
    keep(waiting().filter((one) => one.key !== first.key));
    answers.set(first.key, response);
    if (!response.ok && response.status !== 404) toast(`${words.failed} ${(await response.clone().json().catch(() => ({}))).detail ?? response.status}`);
  }
  offline(false);
  return answers;
}

function offline(is) {
  const note = document.getElementById("offline");
  if (!is && !note.hidden) toast(words.sent);
  note.hidden = !is;
  clearTimeout(offline.timer);
  if (is) offline.timer = setTimeout(send, 3000);
}
addEventListener("online", send);

function toast(text, chips = []) {
  const box = document.getElementById("toast");
  box.replaceChildren(document.createTextNode(text), ...chips);
  box.classList.add("shown");
  clearTimeout(toast.timer);
  toast.timer = setTimeout(() => box.classList.remove("shown"), chips.length ? 6000 : 2500);
}

// Pictures
const pictures = () => [...document.querySelectorAll(".picture")];
const selected = () => document.activeElement?.closest?.(".picture") ?? pictures()[0];
const sampleOf = (picture) => {
  const { version, seed, label, prompt } = picture.dataset;
  return { version: +version, seed: +seed, ...(label === "" ? {} : { label: +label }), ...(prompt ? { prompt } : {}) };
};
const now = () => new Date().toISOString(); // a vote that has to wait for a connection keeps its time
const undoable = []; // what was said last comes last
const last = () => undoable.at(-1);

async function vote(picture, value) {
  if (picture.dataset.said === String(value) || picture.classList.contains("busy")) return; // said already
  const token = picture.dataset.token, sample = sampleOf(picture), id = name();
  const earlier = undoable.find((one) => one.card === picture);
  picture.classList.add("busy", value > 0 ? "right" : "left");
  const said = { id, sample, token, value, card: picture };
  undoable.push(said);
  mark(picture, value);
  judged(said);
  if (value > 0) toast(words.liked);
  else toast(words.disliked, reasons.map((reason, number) => chip(reason.text, number)));
  if (earlier) await takeBack(earlier); // another mind
  const answer = await put("/api/v1/events", { id, at: now(), type: "vote", sample, value, token });
  if (answer?.ok && grid && !grid.classList.contains("one")) said.next = await replace(picture);
  picture.classList.remove("busy", "right", "left");
}

function mark(picture, value) { // the buttons show what was said
  picture.dataset.said = value || "";
  for (const [deed, own] of [["like", 1], ["dislike", -1]]) find(`[data-do="${deed}"]`, picture).setAttribute("aria-pressed", String(value === own));
}

function chip(reason, number) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = `${number + 1} ${reason}`;
  button.addEventListener("click", () => because(number));
  return button;
}

async function because(number) { // the reason comes with a vote in the place of the first
  const said = last();
  if (!said || said.value !== -1 || !reasons[number]) return;
  const { id, sample, token } = said;
  said.id = name();
  document.getElementById("toast").classList.remove("shown");
  await put("/api/v1/events/withdraw", { id });
  await put("/api/v1/events", { id: said.id, at: now(), type: "vote", sample, value: -1, token, reason: reasons[number].value });
}

function judged(said) {
  const item = document.createElement("li"), image = document.createElement("img");
  item.className = said.value > 0 ? "yes" : "no";
  image.className = "pixels";
  image.src = said.card.dataset.url;
  image.alt = find("img", said.card).alt;
  item.append(image);
  const list = document.getElementById("judged");
  list?.prepend(item);
  said.item = item;
  while (list && list.children.length > 40) list.lastChild.remove();
}

async function replace(picture) { // the very next picture obeys the click
  try {
    const response = await fetch(`/grid?${asked({ count: 1 })}`);
    if (!response.ok) return null;
    const holder = document.createElement("div");
    holder.innerHTML = await response.text();
    const next = find(".picture", holder), focus = document.activeElement?.closest?.(".picture") === picture;
    if (!next || !picture.isConnected) return null;
    picture.replaceWith(next);
    if (focus) next.focus({ preventScroll: true });
    knows();
    return next;
  } catch {
    return null; // the picture stays
  }
}

async function knows() {
  const response = await fetch(`/knows?${new URLSearchParams({ taste: find("#taste")?.value ?? "everyone" })}`).catch(() => null);
  if (response?.ok && find("#knows")) find("#knows").innerHTML = await response.text();
}

function asked(more = {}) {
  const form = document.getElementById("asked");
  const values = form ? Object.fromEntries(new FormData(form)) : {};
  return new URLSearchParams({ ...values, ...more });
}

async function undo() {
  const said = undoable.pop();
  if (!said) return;
  if (!(await takeBack(said))) return toast(words.late);
  const { card, next } = said;
  if (card && next?.isConnected) { next.replaceWith(card); card.focus(); }
  if (card) mark(card, 0);
  toast(words.undone);
  knows();
}

async function takeBack(said) {
  undoable.splice(0, undoable.length, ...undoable.filter((one) => one !== said));
  const response = await put("/api/v1/events/withdraw", { id: said.id });
  if (response && !response.ok) return false;
  said.item?.remove();
  return true;
}

async function favourite(picture) {
  const button = find('[data-do="favourite"]', picture), on = button.getAttribute("aria-pressed") !== "true";
  button.setAttribute("aria-pressed", String(on));
  const response = await put("/favourites", { sample: sampleOf(picture), on });
  if (!response || response.ok) toast(on ? words.kept : words.dropped);
}

async function vary(picture) {
  const { version, seed, label, prompt } = sampleOf(picture);
  const query = new URLSearchParams({ version, seed, ...(label === undefined ? {} : { label }), ...(prompt ? { prompt } : {}), turn: Date.now() % 1e6 });
  await htmx.ajax("GET", `/grid/like?${query}`, { target: "#grid", swap: "innerHTML" });
  pictures()[0]?.focus();
}

let first = null;
async function morph(picture) {
  const sample = sampleOf(picture);
  if (sample.prompt) return toast(words.oneclass);
  if (first && picture.classList.contains("marked")) {
    first = null;
    return picture.classList.remove("marked");
  }
  if (first && first.version === sample.version && first.label !== sample.label) return toast(words.oneclass);
  if (!first || first.version !== sample.version) {
    first = sample;
    pictures().forEach((one) => one.classList.toggle("marked", one === picture));
    return toast(words.marked);
  }
  const body = { first: first.seed, last: sample.seed, version: sample.version, steps: 16, ...(sample.label === undefined ? {} : { label: sample.label }) };
  first = null;
  pictures().forEach((one) => one.classList.remove("marked"));
  const response = await fetch("/api/v1/interpolate", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
  const answer = await response.json();
  if (!response.ok) return toast(`${words.failed} ${answer.detail}`);
  const at = find("#morph-at"), frame = find("#morph-frame");
  at.value = 0;
  at.oninput = () => { frame.src = answer.frames[+at.value]; };
  at.oninput();
  answer.frames.forEach((url) => { new Image().src = url; });
  find("#morph").showModal();
}

let flagged = null;
function report(picture) {
  flagged = picture;
  find("#report-reason").value = "";
  find("#report").showModal();
}
find("[data-send-report]")?.addEventListener("click", async () => {
  find("#report").close();
  const response = await put("/api/v1/events", { id: name(), at: now(), type: "report", sample: sampleOf(flagged), token: flagged.dataset.token, reason: find("#report-reason").value });
  if (!response?.ok) return;
  toast(words.reported);
  if (grid.classList.contains("one")) location.assign("/");
  else await replace(flagged);
});

async function copy(picture) {
  const { version, seed, label, prompt } = sampleOf(picture);
  try {
    await navigator.clipboard.writeText(`version ${version}, seed ${seed}${label === undefined ? "" : `, label ${label}`}${prompt ? `, prompt ${prompt}` : ""}`);
    toast(words.copied);
  } catch {
    toast(words.uncopied); // without TLS a browser allows it on this machine alone
  }
}

const deeds = { like: (one) => vote(one, 1), dislike: (one) => vote(one, -1), favourite, vary, morph, report, copy };
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-do]");
  if (button) {
    deeds[button.dataset.do](button.closest(".picture"));
    button.closest("details")?.removeAttribute("open");
  }
  if (event.target.closest("[data-help]")) find("#help").showModal();
  if (event.target.closest("[data-close]")) event.target.closest("dialog").close();
  const chosen = event.target.closest("[data-choose]");
  if (chosen) choose(+chosen.dataset.choose);
  if (event.target.closest("[data-skip]")) htmx.trigger("#pair", "next");
  document.querySelectorAll(".more[open]").forEach((menu) => { if (!menu.contains(event.target)) menu.open = false; });
});
document.addEventListener("submit", (event) => {
  if (event.target.dataset.sure && !confirm(event.target.dataset.sure)) event.preventDefault();
});

// Keys, which can be switched off for those whose voice or hands would press them by accident
const keysOn = find("#keys-on");
keysOn.checked = localStorage.getItem("genloop-keys") !== "off";
keysOn.addEventListener("change", () => localStorage.setItem("genloop-keys", keysOn.checked ? "on" : "off"));
document.addEventListener("keydown", (event) => {
  if (event.repeat || event.ctrlKey || event.metaKey || event.altKey || (!keysOn.checked && event.key !== "?") || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) || find("dialog[open]")) return;
  const key = event.key.toLowerCase(), all = pictures(), place = all.indexOf(document.activeElement?.closest?.(".picture"));
  const keys = {
    j: () => all[Math.min(place + 1, all.length - 1)]?.focus(),
    k: () => all[Math.max(place - 1, 0)]?.focus(),
    l: () => deeds.like(selected()),
    d: () => deeds.dislike(selected()),
    v: () => vary(selected()),
    f: () => favourite(selected()),
    m: () => morph(selected()),
    c: () => copy(selected()),
    n: () => find("#asked")?.requestSubmit(),
    z: undo,
    "?": () => find("#help").showModal(),
    arrowleft: () => find("[data-choose]") && choose(0),
    arrowright: () => find("[data-choose]") && choose(1),
  };
  if (/^[1-9]$/.test(key)) because(+key - 1);
  else if (keys[key] && (all.length || ["z", "?", "n", "arrowleft", "arrowright"].includes(key))) { event.preventDefault(); keys[key](); }
});

// Swipes
let touch = null;
document.addEventListener("pointerdown", (event) => {
  const picture = event.target.closest(".picture");
  touch = picture && event.pointerType === "touch" ? { picture, x: event.clientX, y: event.clientY } : null;
});
document.addEventListener("pointerup", (event) => {
  if (!touch) return;
  const along = event.clientX - touch.x, across = Math.abs(event.clientY - touch.y), { picture } = touch;
  touch = null;
  if (Math.abs(along) > 60 && across < 40) vote(picture, along > 0 ? 1 : -1);
});
document.addEventListener("pointercancel", () => { touch = null; });

// Compare
async function choose(number) {
  const both = [...document.querySelectorAll("[data-choose]")];
  if (both.length !== 2) return;
  const [better, other] = [both[number], both[1 - number]].map((one) => ({ ...JSON.parse(one.dataset.sample), token: one.dataset.token }));
  const id = name();
  const response = await put("/api/v1/events", { id, at: now(), type: "choice", winner: better, loser: other });
  undoable.push({ id });
  if (!response || response.ok) toast(better.version === other.version ? words.chosen : `${words.chosen}: v${better.version}`);
  htmx.trigger("#pair", "next");
}

const slide = document.getElementById("slide");
if (slide) {
  const show = () => {
    const label = find("#slide-label")?.value ?? slide.dataset.label, seed = Math.max(0, Math.floor(+find("#slide-seed").value || 0));
    for (const side of ["left", "right"]) find(`#slide-${side}`).src = `/api/v1/samples/${find(`#${side}`).value}/${seed}/${label}.png`;
  };
  slide.addEventListener("input", show);
  slide.addEventListener("submit", (event) => event.preventDefault());
  find("#slide-at").addEventListener("input", (event) => { find("#slide-right").style.setProperty("clip-path", `inset(0 0 0 ${100 - event.target.value}%)`); });
  show();
}

// The slider is logarithmic
const heat = document.getElementById("heat");
heat?.addEventListener("input", () => { find("#temperature").value = (10 ** +heat.value).toPrecision(3); });

// A prompt takes the place of the class. Pictures of it come when it is sent, and not when the field is left.
const prompt = document.getElementById("prompt");
const choosePrompt = () => { const select = find("#label"); if (select) select.disabled = prompt.value.trim() !== ""; };
prompt?.addEventListener("input", choosePrompt);
prompt?.addEventListener("change", (event) => event.stopPropagation());
if (prompt) choosePrompt(); // a browser may bring the text back with the page

pictures()[0]?.focus({ preventScroll: true });
document.body.addEventListener("htmx:afterSwap", (event) => {
  if (event.detail.target !== grid) return;
  knows();
  if (document.activeElement === document.body || event.detail.requestConfig.elt.id === "asked") pictures()[0]?.focus({ preventScroll: true });
});
document.body.addEventListener("htmx:responseError", async (event) => {
  let detail = "";
  try { detail = JSON.parse(event.detail.xhr.responseText).detail; } catch { /* no words came with it */ }
  toast(`${words.failed} ${detail}`);
});
send();
