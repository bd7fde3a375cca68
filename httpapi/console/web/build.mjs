// Makes ../dist: one script and one style for each page, and the pages.
import { build } from "esbuild";
import { copyFile, readFile, readdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, "..", "dist");

const made = await build({
  entryPoints: ["computer.js", "desktop.js", "page.css"].map((f) => join(here, "src", f)),
  outdir: dist,
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  legalComments: "none",
  metafile: true,
});
for (const page of ["computer.html", "desktop.html"]) {
  await copyFile(join(here, "src", page), join(dist, page));
}

// The licences of what is in the scripts, and their texts.
const packages = new Set();
for (const input of Object.keys(made.metafile.inputs)) {
  const within = input.match(/node_modules\/((?:@[^/]+\/)?[^/]+)\//);
  if (within) packages.add(within[1]);
}
let licences = "";
for (const name of [...packages].sort()) {
  const dir = join(here, "node_modules", name);
  const about = JSON.parse(await readFile(join(dir, "package.json"), "utf8"));
  licences += `${name} ${about.version}, ${about.license}\n\n`;
  for (const file of (await readdir(dir)).filter((f) => /^licen[sc]e/i.test(f)).sort()) {
    licences += (await readFile(join(dir, file), "utf8")) + "\n\n";
  }
}
await writeFile(join(dist, "licences.txt"), licences);
