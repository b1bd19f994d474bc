// Pages are whole without this file. With it they keep themselves fresh: the page hears that a fact
// has landed, fetches itself again and takes over what changed, leaving alone what people are using.
"use strict";

const root = document.documentElement;
const skew = Date.now() - Number(root.dataset.now);
const QUIETEST = 1000; // milliseconds between two refreshes, however many facts land

// Words for "how long ago", as the server says them.
function ago(then) {
  const seconds = (Date.now() - skew - then) / 1000;
  if (Math.abs(seconds) < 5) return "just now";
  const length = roughly(Math.abs(seconds));
  return seconds > 0 ? `${length} ago` : `in ${length}`;
}

function roughly(seconds) {
  for (const [length, unit] of [[86400, "day"], [3600, "h"], [60, "min"]]) {
    const count = Math.floor(seconds / length);
    if (count >= 1) return `${count} ${unit}${unit === "day" && count > 1 ? "s" : ""}`;
  }
  return `${Math.floor(seconds)} s`;
}

function tick() {
  for (const time of document.querySelectorAll("time[data-ago]")) {
    const words = ago(Number(time.dataset.ago));
    if (time.textContent !== words) time.textContent = words;
  }
}

// Make `old` like `fresh` by changing as little as possible.
function morph(old, fresh) {
  if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName || old.id !== fresh.id) {
    old.replaceWith(fresh);
    return;
  }
  if (old.nodeType === Node.ELEMENT_NODE) {
    morphAttributes(old, fresh);
    morphChildren(old, fresh);
  } else if (old.data !== fresh.data) old.data = fresh.data;
}

function morphAttributes(old, fresh) {
  const keeps = (name) =>
    (name === "open" && old.nodeName === "DETAILS") || (name === "value" && inUse(old));
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && !keeps(name)) old.removeAttribute(name);
  }
  for (const { name, value } of [...fresh.attributes]) {
    if (old.getAttribute(name) !== value && !keeps(name)) old.setAttribute(name, value);
  }
}

function inUse(element) {
  return element === document.activeElement || element.closest("form")?.dataset.sent === "yes";
}

// Children with an id are found again wherever they went; the others are matched in order.
function morphChildren(old, fresh) {
  const named = new Map([...old.children].filter((each) => each.id).map((each) => [each.id, each]));
  let here = old.firstChild;
  for (const next of [...fresh.childNodes]) {
    const known = next.id && named.get(next.id);
    if (known && known !== here) old.insertBefore(known, here);
    if (known) {
      here = known.nextSibling;
      morph(known, next);
    } else if (here && !here.id && !next.id && here.nodeName === next.nodeName) {
      const following = here.nextSibling;
      morph(here, next);
      here = following;
    } else {
      old.insertBefore(next, here);
    }
  }
  while (here) {
    const following = here.nextSibling;
    here.remove();
    here = following;
  }
}

async function refresh() {
  const answer = await fetch(location.href, { headers: { "X-Detente-Live": "1" } });
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of ["main", "footer"]) {
    morph(document.querySelector(part), document.importNode(fresh.querySelector(part), true));
  }
  document.title = fresh.title;
  tick();
  say(true);
}

let [busy, wanted] = [false, false];

// At most one refresh at a time, at most one a second, and always one after the last fact.
async function refreshSoon() {
  wanted = true;
  if (busy || document.hidden) return;
  busy = true;
  while (wanted && !document.hidden) {
    wanted = false;
    await refresh().catch(() => say(false));
    await new Promise((done) => setTimeout(done, QUIETEST));
  }
  busy = false;
}

function say(connected) {
  const live = document.getElementById("live");
  live.hidden = false;
  live.className = connected ? "live" : "live lost";
  live.textContent = connected ? "Live" : "Not live: trying to reach the node again";
}

function listen() {
  const hears = root.dataset.hears;
  if (!hears) return;
  const events = new EventSource(`/live?after=${root.dataset.position}&hears=${hears}`);
  events.addEventListener("facts", refreshSoon);
  events.addEventListener("open", () => say(true));
  events.addEventListener("error", () => say(false));
  document.addEventListener("visibilitychange", () => wanted && refreshSoon());
  addEventListener("pagehide", () => events.close());
  addEventListener("pageshow", (event) => event.persisted && location.reload());
}

// The server writes times in the reader's zone once it knows it.
function tellZone() {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const cookie = `zone=${encodeURIComponent(zone)}`;
  if (!zone || zone === root.dataset.zone || document.cookie.includes(cookie)) return;
  document.cookie = `${cookie}; path=/; max-age=31536000; samesite=strict`;
  refresh();
}

document.addEventListener("keydown", (event) => {
  const open = event.key === "Escape" && event.target.closest("details[open]");
  if (!open) return;
  open.open = false;
  open.querySelector("summary").focus();
});
document.addEventListener("submit", (event) => (event.target.dataset.sent = "yes"));
setInterval(tick, 5000);
tellZone();
listen();
