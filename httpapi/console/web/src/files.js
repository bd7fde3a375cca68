import { at, call, Refused } from "./api.js";
import { $, ask, attempt, make } from "./dom.js";

let folder = ""; // shown, below the workspace; "" is the workspace

const join = (name) => (folder ? `${folder}/${name}` : name);

function sized(bytes) {
  if (bytes == null) return "";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let i = 0;
  for (; bytes >= 1024 && i < units.length - 1; i++) bytes /= 1024;
  return `${i ? bytes.toFixed(1) : bytes} ${units[i]}`;
}

function where() {
  const parts = folder ? folder.split("/") : [];
  const step = (name, to) => make("button", { textContent: name, onclick: () => show(to) });
  $("path").replaceChildren(step("workspace", ""),
    ...parts.flatMap((name, i) => ["/", step(name, parts.slice(0, i + 1).join("/"))]));
}

function row(entry) {
  const path = join(entry.name);
  const directory = entry.type === "directory";
  const name = directory
    ? make("button", { className: "folder", textContent: entry.name + "/", onclick: () => show(path) })
    : make("a", { textContent: entry.name, href: at("file", { path }), download: entry.name });
  const act = (word, onclick) => make("button", { textContent: word, onclick, aria: { label: `${word} ${entry.name}` } });
  return make("tr", {},
    make("td", {}, name),
    make("td", { className: "number", textContent: sized(entry.size_bytes) }),
    make("td", { className: "mode", textContent: entry.mode.toString(8).padStart(4, "0") }),
    make("td", { className: "actions" },
      act("Rename", () => rename(entry.name, path)),
      act("Delete", () => remove(entry.name, path, directory))));
}

// change does something to the folder and shows it again, with the failure if
// there is one.
async function change(method, path, params) {
  const failed = await attempt(async () => { await call(method, path, params); return false; });
  if (failed === false) await show();
}

async function rename(name, path) {
  const to = await ask(`Rename ${name} to`, name, "Rename");
  if (to && to !== name) await change("POST", "move", { path, to: join(to) });
}

async function remove(name, path, directory) {
  if (await ask(`Delete ${name}${directory ? " and all that is in it" : ""}?`, null, "Delete") === null) return;
  await change("DELETE", "file", { path, recursive: directory || null });
}

async function makeFolder() {
  const name = await ask("Name of the new folder", "", "Make");
  if (name) await change("POST", "directory", { path: join(name) });
}

// send uploads one file; fetch would not tell how far it is.
function send(file, path, progress) {
  return new Promise((done, failed) => {
    const req = new XMLHttpRequest();
    req.open("PUT", at("file", { path }));
    req.upload.onprogress = (e) => { progress.value = e.total ? e.loaded / e.total : 1; };
    req.onload = () => {
      if (req.status === 204) return done();
      let message = `Refused (${req.status})`;
      try { message = JSON.parse(req.responseText).error.message; } catch { /* a proxy's words, not ours */ }
      failed(new Refused(req.status, message));
    };
    req.onerror = () => failed(new Error("The connection was lost"));
    req.send(file);
  });
}

async function upload(files) {
  // The folder that is shown may be another before the last has gone.
  for (const [file, path] of [...files].map((file) => [file, join(file.name)])) {
    const progress = make("progress", { max: 1, value: 0, aria: { label: `Upload of ${file.name}` } });
    const line = make("li", {}, file.name, progress);
    $("transfers").append(line);
    try {
      await send(file, path, progress);
      line.remove();
    } catch (err) {
      line.className = "bad";
      line.replaceChildren(`${file.name}: ${err.message}`, make("button", { textContent: "OK", onclick: () => line.remove() }));
    }
    await show();
  }
}

/** Shows a folder of the workspace. */
export async function show(path = folder) {
  const found = await attempt(() => call("GET", "files", { path }));
  if (!found) return;
  folder = path;
  where();
  const rank = (e) => (e.type === "directory" ? 0 : 1);
  const entries = found.entries.sort((a, b) => rank(a) - rank(b) || a.name.localeCompare(b.name));
  $("entries").replaceChildren(...(entries.length ? entries.map(row)
    : [make("tr", {}, make("td", { colSpan: 4, className: "hint", textContent: "This folder is empty." }))]));
}

/** Makes the buttons work. */
export function open() {
  const panel = $("files"), chosen = $("chosen-files");
  $("new-folder").onclick = makeFolder;
  $("choose-files").onclick = () => chosen.click();
  chosen.onchange = async () => { await upload(chosen.files); chosen.value = ""; };
  panel.ondragover = (e) => { e.preventDefault(); panel.classList.add("dropping"); };
  panel.ondragleave = () => panel.classList.remove("dropping");
  panel.ondrop = (e) => {
    e.preventDefault();
    panel.classList.remove("dropping");
    upload(e.dataTransfer.files);
  };
}
