// The computer's own API, which the page's cookie opens.

/** The computer that this page is of. */
export const computer = location.pathname.split("/")[2];

/** A path of the API; parameters that are null are left out. */
export function at(path, params = {}) {
  const query = new URLSearchParams(Object.entries(params).filter(([, v]) => v != null)).toString();
  return `/c/${computer}/api/${path}${query && "?" + query}`;
}

/** What the server refused, with its status. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Calls the API and returns its JSON, or null when it says nothing. */
export async function call(method, path, params) {
  const res = await fetch(at(path, params), { method });
  if (res.status === 204) return null;
  const body = await res.json().catch(() => ({}));
  if (!res.ok) throw new Refused(res.status, body.error?.message ?? `The computer cannot be reached (${res.status})`);
  return body;
}

/** The WebSocket at a path of the page's host. */
export function socket(path) {
  const url = new URL(path, location);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  const ws = new WebSocket(url);
  ws.binaryType = "arraybuffer";
  return ws;
}

/** Codes of closed WebSockets: 4000 and an HTTP status. */
export const closed = { session: 4401, forbidden: 4403, gone: 4404, stopped: 4409, none: 4501 };

/** Waits longer after each failure, up to 10 s; a success makes it short again. */
export class Patience {
  #next = 500;
  ended() { this.#next = 500; }
  wait() {
    const ms = this.#next;
    this.#next = Math.min(ms * 2, 10_000);
    return new Promise((done) => setTimeout(done, ms));
  }
}
