import RFB from "@novnc/novnc";
import { closed, computer, Patience, socket } from "./api.js";
import { $ } from "./dom.js";

const patience = new Patience();
// Nothing of this gets better by itself.
const final = [closed.session, closed.forbidden, closed.gone, closed.stopped, closed.none];

function say(text, again = false) {
  $("said").textContent = text;
  $("again").hidden = !again;
  $("notice").hidden = !text;
}

function connect() {
  say("Connecting…");
  const ws = socket(`/c/${computer}/desktop/socket`);
  ws.addEventListener("close", lost);
  const rfb = new RFB($("desktop"), ws);
  rfb.scaleViewport = true;
  rfb.resizeSession = true;
  rfb.background = "#000";
  rfb.addEventListener("connect", () => {
    patience.ended();
    say("");
    rfb.focus();
  });
  rfb.addEventListener("desktopname", (e) => { document.title = e.detail.name || "Desktop"; });
  rfb.addEventListener("clipboard", (e) => { navigator.clipboard?.writeText(e.detail.text).catch(() => {}); });
}

async function lost({ code, reason }) {
  $("desktop").replaceChildren();
  if (final.includes(code)) return say(reason, true);
  say(`${reason || "The connection was lost"}; connecting again…`);
  await patience.wait();
  // A connection that was refused does not say why.
  const res = await fetch(`/c/${computer}/desktop`).catch(() => null);
  if (res?.status === 401) return say("The session has ended", true);
  connect();
}

$("again").onclick = connect;
connect();
