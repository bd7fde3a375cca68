import { at, call } from "./api.js";
import { $, attempt, make } from "./dom.js";

function row(p) {
  return make("tr", {},
    make("td", { className: "number", textContent: p.port }),
    make("td", { textContent: p.name ?? "" }),
    make("td", { textContent: p.visibility === "public" ? "everybody" : "who has a session" }),
    make("td", {}, make("a", { href: at(`ports/${p.port}`), target: "_blank", rel: "noopener noreferrer", textContent: p.url })));
}

/** Shows what is published now. */
export async function show() {
  const found = await attempt(() => call("GET", "ports"));
  if (!found) return;
  $("published").replaceChildren(...(found.ports.length ? found.ports.map(row)
    : [make("tr", {}, make("td", { colSpan: 4, className: "hint", textContent: "No port is published." }))]));
}

/** Makes the button work. */
export function open() { $("look-ports").onclick = show; }
