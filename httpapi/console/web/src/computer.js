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

async function look() {
  const c = await attempt(() => call("GET", "computer"));
  if (!c) return;
  document.title = c.name || "Computer";
  $("name").textContent = c.name || c.id;
  $("name").title = `${c.id}, image ${c.image}`;
  $("state").textContent = c.state;
  $("state").className = "state " + c.state;
  $("to-desktop").href = `/c/${computer}/desktop`;
  $("to-desktop").hidden = !c.desktop;
}

window.addEventListener("focus", look);
files.open();
processes.open();
ports.open();
look();
terminal.open(look); // which starts the computer, if it sleeps
