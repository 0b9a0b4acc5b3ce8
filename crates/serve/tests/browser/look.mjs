// Uses the page of npair-serve in a browser: `node look.mjs [--pictures DIR] PROGRAM`, the program being examples/page; README.md says
// more. Ends with 1 if something does not work, or is asked for outside.
import { existsSync, mkdirSync, mkdtempSync, readFileSync } from "node:fs";
import { spawn } from "node:child_process";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createRequire } from "node:module";
import puppeteer from "puppeteer-core";

const axe = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const places = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const executablePath = places.find((place) => place && existsSync(place));
if (!executablePath) {
  console.error("no Chromium: install one, or say where it is by CHROMIUM=PATH");
  process.exit(2);
}
const args = process.argv.slice(2);
const at = args.indexOf("--pictures");
const pictures = at < 0 ? null : args.splice(at, 2)[1];
if (pictures) mkdirSync(pictures, { recursive: true });
const query = join(mkdtempSync(join(tmpdir(), "look-")), "fox.png");
const TOKEN = "look-at-this";
const faults = [];
let checks = 0;
const wait = (ms) => new Promise((done) => setTimeout(done, ms));

/// A server, and its address.
async function serve(...more) {
  const child = spawn(args[0], [query, ...more], { stdio: ["pipe", "pipe", "inherit"] });
  const line = await new Promise((done, fail) => {
    child.stdout.once("data", (data) => done(String(data)));
    child.once("exit", (code) => fail(new Error(`the server ended with ${code}`)));
  });
  return { child, address: line.trim() };
}

/// A tab that writes down what the page does that it should not.
async function open(browser, address, { width, height, theme }, allowed = () => false) {
  const page = await browser.newPage();
  const where = `${width} px, ${theme}`;
  const fault = (text) => faults.push(`${where}: ${text}`);
  const own = (url) => url.startsWith(address + "/") || url.startsWith("data:") || url.startsWith(`blob:${address}`);
  page.on("request", (r) => own(r.url()) || fault(`asks for ${r.url()}`));
  page.on("console", (m) => ["error", "warn"].includes(m.type()) && !allowed(m.text()) && fault(`console: ${m.text()} ${m.location().url ?? ""}`));
  page.on("pageerror", (e) => fault(`script: ${e.message}`));
  await page.setViewport({ width, height, deviceScaleFactor: 1, hasTouch: width < 500 });
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: theme }]);
  await page.goto(address, { waitUntil: "networkidle0" });
  const expect = (what, is) => (checks++, is || fault(what));
  return { page, fault, where, expect };
}
const text = (page, selector) => page.$eval(selector, (e) => e.textContent);
const cards = (page) => page.$$eval("#answers li", (list) => list.map((li) => ({ name: li.querySelector(".name").textContent, badge: li.querySelector(".badge")?.textContent ?? "", picture: !!li.querySelector("img") })));
const settled = async (page, before) => {
  await page.waitForFunction((before) => !["", "Searching…", "Enrolling…", before].includes(document.getElementById("said").textContent), { timeout: 8000 }, before).catch(() => {});
  await page.waitForNetworkIdle({ idleTime: 150 });
};

/// Gives the page a file as a drop or a paste does.
const hand = (page, how) => page.evaluate((how, bytes) => {
  const data = new DataTransfer();
  data.items.add(new File([Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0))], "fox.png", { type: "image/png" }));
  const event = how === "paste" ? new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }) : new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true });
  document.getElementById("drop").dispatchEvent(event);
}, how, readFileSync(query).toString("base64"));

async function sideways({ page, fault }) {
  const found = await page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);
  if (found) fault("scrolls sideways");
}

/// A serious or critical fault ends the run; lesser ones are printed.
async function accessible(tab, state) {
  // Through the debugger: the page's policy lets no other script in.
  await tab.page.evaluate(readFileSync(axe, "utf8"));
  const { violations } = await tab.page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  checks++;
  for (const v of violations) {
    const said = `axe, ${state}: ${v.impact}: ${v.id}: ${v.help} (${v.nodes.length} times, first ${v.nodes[0].html.slice(0, 120)}; ${v.nodes[0].failureSummary?.split("\n")[1] ?? ""})`;
    if (["serious", "critical"].includes(v.impact)) tab.fault(said);
    else console.log(`${tab.where}: ${said}`);
  }
}

async function picture(tab, name, size) {
  if (pictures) await tab.page.screenshot({ path: join(pictures, `${name}-${size.width}-${size.theme}.png`), fullPage: true });
}

/// Searching in every way, and the filter.
async function searching(tab, size) {
  const { page, expect } = tab;
  expect("facts are not told", (await text(page, "#facts")).startsWith("48 rows"));
  await picture(tab, "empty", size);
  await accessible(tab, "empty");
  const file = await page.$("#file");
  await file.uploadFile(query);
  await settled(page);
  let found = await cards(page);
  expect(`12 neighbours: ${found.length}`, found.length === 12);
  expect(`the fox is nearest: ${JSON.stringify(found[0])}`, found[0]?.name === "red fox" && found[0]?.badge === "match");
  expect("some are no match", found.some((card) => card.badge === "no match"));
  expect("most have a picture", found.filter((card) => card.picture).length >= 8);
  await sideways(tab);
  await page.$eval("#class", (e) => (e.value = ""));
  await page.select("#class", "kingfisher");
  await settled(page);
  found = await cards(page);
  expect(`the filter leaves one class: ${JSON.stringify(found)}`, found.length === 8 && found.every((card) => card.name === "kingfisher"));
  await page.select("#class", '<b>tree & "frog"</b>');
  await settled(page);
  found = await cards(page);
  expect("markup is text", found.length === 8 && found[0].name === '<b>tree & "frog"</b>');
  await page.select("#class", "");
  for (const how of ["drop", "paste"]) {
    await page.$eval("#answers", (e) => e.replaceChildren());
    await hand(page, how);
    await settled(page);
    expect(`${how} searches`, (await cards(page)).length === 12);
  }
  await picture(tab, "found", size);
  await accessible(tab, "found");
}

/// A row is enrolled, found, and removed after a question; by keyboard.
async function writing(tab, size) {
  const { page, expect } = tab;
  await page.$eval("#new-path", (e) => (e.value = "mine.png"));
  await page.type("#new-class", "<i>new</i>");
  await page.type("#new-token", "wrong-token");
  await page.keyboard.press("Enter");
  await page.waitForSelector("#wrong:not([hidden])");
  expect(`a wrong token is said: ${await text(page, "#wrong")}`, (await text(page, "#wrong")).includes("token"));
  await page.$eval("#new-token", (e) => (e.value = ""));
  await page.type("#new-token", TOKEN);
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.getElementById("said").textContent.startsWith("Enrolled"));
  await page.waitForNetworkIdle({ idleTime: 150 });
  const shown = await cards(page);
  expect("the new row is found", shown.some((card) => card.name === "<i>new</i>"));
  const mine = async () => (await page.$$("#answers li")).reduce(async (found, li) => (await li.$eval(".path", (e) => e.textContent)) === "mine.png" ? li : found, null);
  for (const answer of ["Escape", "yes"]) {
    const li = await mine();
    await (await li.$("button")).focus();
    await page.keyboard.press("Enter");
    await page.waitForSelector("#sure[open]");
    await wait(100);
    if (answer === "Escape") {
      await picture(tab, "asked", size);
      await accessible(tab, "asked");
      await page.keyboard.press("Escape");
      await wait(100);
      expect("what is not confirmed stays", await mine());
    } else {
      await page.keyboard.press("Tab");
      await page.keyboard.press("Enter");
      await page.waitForFunction(() => document.getElementById("said").textContent.startsWith("Removed"));
      expect("what is removed is gone", !(await mine()));
    }
  }
  await picture(tab, "writable", size);
  await accessible(tab, "writable");
}

/// The camera's picture is searched for.
async function camera(tab) {
  const { page, expect } = tab;
  expect("the camera is offered", await page.$eval("#camera", (e) => !e.hidden));
  await page.click("#camera");
  await page.waitForFunction(() => document.getElementById("video").videoWidth > 0, { timeout: 8000 });
  const before = await text(page, "#said");
  await page.$eval("#answers", (e) => e.replaceChildren());
  await page.click("#shoot");
  await page.waitForSelector("#answers li", { timeout: 8000 });
  expect(`the camera's picture is searched for (${before})`, (await page.$eval("#new-path", (e) => e.value)).startsWith("camera-"));
}

/// By the tab key: skip link first, then everything can be reached and its focus be seen.
async function keyboard({ page, expect }) {
  await page.keyboard.press("Tab");
  expect("the first stop is the skip link", await page.evaluate(() => document.activeElement.className === "skip"));
  const seen = [];
  for (let i = 0; i < 8; i++) {
    await page.keyboard.press("Tab");
    seen.push(await page.evaluate(() => document.activeElement.id));
  }
  for (const id of ["file", "camera", "class", "k", "far"]) expect(`tab reaches ${id}: ${seen}`, seen.includes(id));
}

const browser = await puppeteer.launch({ executablePath, args: ["--no-sandbox", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"] });
for (const theme of ["light", "dark"]) {
  for (const [width, height] of [[360, 740], [1280, 900]]) {
    const size = { width, height, theme };
    const { child, address } = await serve();
    // A refused token is an error to the browser too.
    const tab = await open(browser, address, size, (said) => said.includes("401"));
    await keyboard(tab);
    await searching(tab, size);
    await writing(tab, size);
    await camera(tab);
    await tab.page.close();
    child.stdin.end();
    await wait(300);
  }
}
{
  const size = { width: 360, height: 740, theme: "light" };
  const { child, address } = await serve("--closed");
  const tab = await open(browser, address, size, (said) => said.includes("401"));
  tab.expect("the token is asked for", await tab.page.$eval("#key", (e) => !e.hidden));
  await accessible(tab, "closed");
  await picture(tab, "closed", size);
  await tab.page.type("#token", TOKEN);
  await tab.page.keyboard.press("Enter");
  await tab.page.waitForFunction(() => document.getElementById("facts").textContent.startsWith("48 rows"), { timeout: 5000 }).catch(() => tab.fault("the token opens nothing"));
  await tab.page.close();
  child.stdin.end();
}
await browser.close();
faults.forEach((fault) => console.error(fault));
console.log(faults.length ? `${faults.length} faults` : `${checks} checks without fault`);
process.exit(faults.length ? 1 : 0);
