import { call } from "./api.js";
import { $, ask, attempt, make } from "./dom.js";

const kill = 9;
const signals = [["Interrupt", 2], ["End", 15], ["Kill", kill]];

async function signal(p, number) {
  if (number === kill && await ask(`Kill process ${p.pid} and its group?`, null, "Kill") === null) return;
  const failed = await attempt(async () => { await call("POST", `processes/${p.pid}/signal`, { signal: number }); return false; });
  if (failed === false) await show();
}

function row(p) {
  return make("tr", {},
    make("td", { className: "number", textContent: p.pid }),
    make("td", {}, make("code", { textContent: p.argv.join(" ") })),
    make("td", { textContent: p.tag ?? "" }),
    make("td", { className: "actions" }, ...signals.map(([word, number]) =>
      make("button", { textContent: word, onclick: () => signal(p, number), aria: { label: `${word} process ${p.pid}` } }))));
}

/** Shows what runs now. */
export async function show() {
  const found = await attempt(() => call("GET", "processes"));
  if (!found) return;
  $("running").replaceChildren(...(found.processes.length ? found.processes.map(row)
    : [make("tr", {}, make("td", { colSpan: 4, className: "hint", textContent: "Nothing that was started from outside runs." }))]));
}

/** Makes the button work. */
export function open() { $("look-processes").onclick = show; }
