import { call, computer } from "./api.js";
import { $, attempt } from "./dom.js";
import * as files from "./files.js";
import * as ports from "./ports.js";
import * as processes from "./processes.js";
import * as terminal from "./terminal.js";

const parts = { terminal, files, processes, ports };
const tabs = [...document.querySelectorAll("[role=tab]")];
const panel = (tab) => tab.getAttribute("aria-controls");

function choose(tab) {
  for (const t of tabs) {
    const on = t === tab;
    t.setAttribute("aria-selected", on);
    t.tabIndex = on ? 0 : -1;
    $(panel(t)).hidden = !on;
  }
  parts[panel(tab)].show();
}

for (const [i, tab] of tabs.entries()) {
  tab.onclick = () => choose(tab);
  tab.onkeydown = (e) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[e.key];
    if (!step) return;
    const next = tabs[(i + step + tabs.length) % tabs.length];
    choose(next);
    next.focus(); // the terminal takes it else
  };
}

// How often the page looks again by itself.
const lookEvery = 60_000;

async function look() {
  const c = await attempt(() => call("GET", "computer"));
  if (c) show(c);
}

function show(c) {
  document.title = c.name || "Computer";
  $("name").textContent = c.name || c.id;
  $("name").title = `${c.id}, image ${c.image}`;
  $("state").textContent = c.state;
  $("state").className = "state " + c.state;
  $("to-desktop").href = `/c/${computer}/desktop`;
  $("to-desktop").hidden = !c.desktop;
  const at = c.saved_at && new Date(c.saved_at);
  $("saved").hidden = !at;
  if (!at) return;
  const today = at.toDateString() === new Date().toDateString();
  $("saved").textContent = "saved " + (today ? at.toLocaleTimeString() : at.toLocaleString());
  $("saved").title = c.saved_whole
    ? "Its files are all in a save, off its node."
    : "Its files as they were then are in a save, off its node. What was written since would be lost with the node.";
}

window.addEventListener("focus", look);
// In silence: what went wrong before is still to be read.
setInterval(() => document.hidden || call("GET", "computer").then(show, () => {}), lookEvery);
files.open();
processes.open();
ports.open();
look();
terminal.open(look); // which starts the computer, if it sleeps
