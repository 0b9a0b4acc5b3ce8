// Looks at pages of npair-report in a browser: `node look.mjs [--pictures DIR] PAGE.html..`; README.md says how to install what it needs.
// Ends with 1 if a page asks for anything from outside, breaks its own policy, scrolls sideways, has a serious fault by axe-core, or
// cannot be read without its script or used by keyboard.
import { existsSync, mkdirSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { createRequire } from "node:module";
import puppeteer from "puppeteer-core";

const axe = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const places = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const executablePath = places.find((place) => place && existsSync(place));
if (!executablePath) {
  console.error("no Chromium: install one, or say where it is by CHROMIUM=PATH");
  process.exit(2);
}

const files = process.argv.slice(2);
const at = files.indexOf("--pictures");
const pictures = at < 0 ? null : files.splice(at, 2)[1];
if (pictures) mkdirSync(pictures, { recursive: true });
const faults = [];
const SIZES = [[320, 640], [360, 740], [1280, 900]];
const wait = (ms) => new Promise((done) => setTimeout(done, ms));

/// A tab that writes down what the page does that it should not.
async function open(browser, file, { width, height, theme, script = true }) {
  const page = await browser.newPage();
  const where = `${basename(file)}, ${width} px, ${theme}${script ? "" : ", without script"}`;
  const fault = (text) => faults.push(`${where}: ${text}`);
  const own = pathToFileURL(resolve(file)).href;
  page.on("request", (r) => r.url() === own || r.url().startsWith("data:") || fault(`asks for ${r.url()}`));
  page.on("console", (m) => ["error", "warn"].includes(m.type()) && fault(`console: ${m.text()}`));
  page.on("pageerror", (e) => fault(`script: ${e.message}`));
  page.on("dialog", (d) => (fault(`opens a dialog: ${d.message()}`), d.dismiss()));
  await page.setJavaScriptEnabled(script);
  await page.setViewport({ width, height, deviceScaleFactor: 1, hasTouch: width < 500 });
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: theme }]);
  await page.goto(own, { waitUntil: "load" });
  return { page, fault, where };
}

async function sideways({ page, fault }) {
  const found = await page.evaluate(() => {
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= width) return null;
    const wide = [...document.querySelectorAll("main *")].filter((e) => e.getBoundingClientRect().right > width + 1 && !e.closest(".scroll"));
    return wide.slice(0, 3).map((e) => `${e.tagName}.${e.getAttribute("class") ?? ""}`).join(", ") || "something";
  });
  if (found) fault(`scrolls sideways: ${found}`);
}

/// A serious or critical fault ends the run; lesser ones are printed.
async function accessible(browser, file, size) {
  const tab = await open(browser, file, size);
  await tab.page.setBypassCSP(true);
  await tab.page.reload({ waitUntil: "load" });
  await tab.page.evaluate(() => document.querySelectorAll("details").forEach((d) => (d.open = true)));
  await tab.page.addScriptTag({ path: axe });
  const { violations } = await tab.page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  for (const v of violations) {
    const text = `axe: ${v.impact}: ${v.id}: ${v.help} (${v.nodes.length} times, first ${v.nodes[0].html.slice(0, 120)}; ${v.nodes[0].failureSummary?.split("\n")[1] ?? ""})`;
    if (["serious", "critical"].includes(v.impact)) tab.fault(text);
    else console.log(`${tab.where}: ${text}`);
  }
  await tab.page.close();
}

/// The first stop is the skip link; arrow keys read off values; the filter leaves one class.
async function keyboard({ page, fault }) {
  await page.keyboard.press("Tab");
  const first = await page.evaluate(() => document.activeElement.className);
  if (first !== "skip") fault(`the first stop of the tab key is "${first}", not the skip link`);
  for (const [canvas, said] of [["figure.plot:not(.map) .canvas", ".tip"], ["figure.map .canvas", ".card"]]) {
    if (!(await page.$(canvas))) continue;
    await page.focus(canvas);
    const heard = [];
    for (const key of ["ArrowRight", "ArrowRight", "ArrowDown"]) {
      await page.keyboard.press(key);
      heard.push(await page.$eval(said, (e) => (e.hidden ? "" : e.textContent)));
    }
    if (heard.some((text) => !text) || new Set(heard).size < 2) fault(`${canvas}: arrow keys read off ${JSON.stringify(heard)}`);
  }
  if (!(await page.$("figure.map select"))) return;
  await page.select("figure.map select", "0");
  const [on, all] = await page.$eval("figure.map", (f) => [f.querySelectorAll(".points path:not(.off)").length, f.querySelectorAll(".points path").length]);
  if (!(on > 0 && on < all)) fault(`the filter shows ${on} of ${all}`);
}

const browser = await puppeteer.launch({ executablePath, args: ["--no-sandbox"] });
for (const file of files) {
  for (const theme of ["light", "dark"]) {
    for (const [width, height] of SIZES) {
      const size = { width, height, theme };
      const tab = await open(browser, file, size);
      await sideways(tab);
      if (pictures && width !== 320) {
        await wait(200);
        await tab.page.screenshot({ path: join(pictures, `${basename(file, ".html")}-${width}-${theme}.png`), fullPage: true });
      }
      await keyboard(tab);
      await tab.page.close();
      if (width !== 320) await accessible(browser, file, size);
    }
  }
  const bare = await open(browser, file, { width: 360, height: 740, theme: "light", script: false });
  await sideways(bare);
  if (pictures) {
    await bare.page.pdf({ path: join(pictures, `${basename(file, ".html")}.pdf`), format: "A4", margin: { top: "15mm", bottom: "15mm", left: "15mm", right: "15mm" } });
  }
  await bare.page.close();
}
await browser.close();
faults.forEach((fault) => console.error(fault));
console.log(faults.length ? `${faults.length} faults` : `${files.length} pages without fault`);
process.exit(faults.length ? 1 : 0);
