import { FitAddon } from "@xterm/addon-fit";
import { Terminal } from "@xterm/xterm";
import "@xterm/xterm/css/xterm.css";
import { at, closed, computer, Patience, socket } from "./api.js";
import { $ } from "./dom.js";

// pieceBytes bounds what one message carries of what is pasted.
const pieceBytes = 16 << 10;

// The shell outlives the page: its number is kept with the tab.
const kept = `bothy-shell-${computer}`;

const term = new Terminal({
  cursorBlink: true,
  fontFamily: "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace",
  fontSize: 14,
  scrollback: 10_000,
  theme: { background: "#101216", foreground: "#e4e7ec", cursor: "#7cc4a4" },
});
const fit = new FitAddon();
const patience = new Patience();
const encoder = new TextEncoder();

let ws = null;
let live = false; // what is shown is now, and not recalled
let ended = false; // the shell has, and Enter makes a new one
let began = () => {};

const say = (text) => { $("terminal-state").textContent = text; };
const tell = (message) => { if (ws?.readyState === WebSocket.OPEN) ws.send(JSON.stringify(message)); };

function type(bytes) {
  // Answers to questions of the past, which the terminal gives while it is
  // shown that, would be typed into what runs now.
  if (!live || ws?.readyState !== WebSocket.OPEN) return;
  for (let i = 0; i < bytes.length; i += pieceBytes) ws.send(bytes.subarray(i, i + pieceBytes));
}

function heard(message) {
  if (message.pid) {
    sessionStorage.setItem(kept, message.pid);
    say(`Shell ${message.pid}`);
  }
  // Only when all before it was shown.
  if (message.live) term.write("", () => { live = true; });
  if (message.ended) {
    sessionStorage.removeItem(kept);
    term.write(`\r\n\x1b[2mThe shell has ended (${message.ended}). Press Enter for a new one.\x1b[0m\r\n`);
    say("Ended");
    ended = true;
  }
}

function connect() {
  live = false;
  const pid = sessionStorage.getItem(kept);
  const mine = socket(at("terminal", { pid, cols: term.cols, rows: term.rows }));
  ws = mine;
  let begun = false;
  mine.onmessage = ({ data }) => {
    if (mine !== ws) return;
    if (!begun) {
      begun = true;
      patience.ended();
      term.reset(); // what the shell showed last comes next
      began();
    }
    if (typeof data === "string") heard(JSON.parse(data));
    else term.write(new Uint8Array(data));
  };
  mine.onclose = (e) => { if (mine === ws) lost(e); };
}

async function lost({ code, reason }) {
  live = false;
  if (ended) return;
  if (code === closed.session || code === closed.forbidden || code === closed.stopped) return say(reason);
  if (code === closed.gone) sessionStorage.removeItem(kept); // the computer has started anew
  say(`${reason || "The connection was lost"}; connecting again…`);
  await patience.wait();
  // A connection that was refused does not say why.
  const res = await fetch(at("computer")).catch(() => null);
  if (res?.status === 401) return say("The session has ended");
  connect();
}

function renew() {
  tell({ hang_up: true });
  sessionStorage.removeItem(kept);
  ended = false;
  const old = ws;
  ws = null;
  old?.close();
  connect();
  term.focus();
}

/** Puts the terminal on the page and connects it; begins is called whenever it is connected. */
export function open(begins) {
  began = begins;
  term.loadAddon(fit);
  term.open($("screen"));
  fit.fit();
  term.onData((data) => {
    if (ended && data === "\r") renew();
    else type(encoder.encode(data));
  });
  term.onBinary((data) => type(Uint8Array.from(data, (c) => c.charCodeAt(0))));
  term.onResize(({ cols, rows }) => tell({ cols, rows }));
  new ResizeObserver(() => { if ($("screen").clientHeight > 0) fit.fit(); }).observe($("screen"));
  $("new-shell").onclick = renew;
  connect();
  term.focus();
}

/** Gives the terminal the keyboard. */
export const show = () => term.focus();
