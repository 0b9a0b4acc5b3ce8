"use strict";
(() => {
const at = (id) => document.getElementById(id);
// Text of users is only ever set as text.
const make = (name, text, kind) => {
  const e = document.createElement(name);
  if (kind) e.className = kind;
  if (text !== undefined) e.textContent = text;
  return e;
};
// A name, not an address: nothing is asked for there.
const SVG = document.querySelector("svg").namespaceURI;
const sign = (which) => {
  const svg = document.createElementNS(SVG, "svg"), use = document.createElementNS(SVG, "use");
  svg.setAttribute("class", "sign");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", "#sign-" + which);
  svg.append(use);
  return svg;
};
const number = (n) => n.toLocaleString("en");
let facts = null, picture = null, token = "", asked = 0, stream = null, urls = [];

const say = (text) => { at("said").textContent = text; };
const wrong = (text) => { at("wrong").textContent = text; at("wrong").hidden = !text; };

// An answer of the API, or an error with its words.
async function api(path, options = {}) {
  const headers = { ...(options.headers || {}) };
  if (token) headers.authorization = "Bearer " + token;
  let answer;
  try {
    answer = await fetch(path, { ...options, headers, credentials: "omit" });
  } catch {
    throw new Error("The server does not answer: is it still running?");
  }
  if (answer.ok) return answer;
  let why = "The server answers " + answer.status;
  try { why = (await answer.json()).error || why; } catch { /* no words */ }
  const error = new Error(why);
  error.status = answer.status;
  throw error;
}
const json = async (path, options) => (await api(path, options)).json();

async function begin() {
  try {
    facts = await json("/api/facts");
  } catch (e) {
    if (e.status === 401) {
      at("key").hidden = false;
      at("facts").textContent = "";
      if (token) wrong(e.message);
      return at("token").focus();
    }
    return wrong(e.message);
  }
  at("key").hidden = true;
  wrong("");
  at("new-token").value = token;
  at("enrol").hidden = !facts.writable;
  const far = at("far");
  far.replaceChildren(...facts.rates.map((rate) => {
    const option = make("option", "1 in " + number(Math.round(1 / rate)));
    if (rate <= 0) option.textContent = "none";
    option.value = String(rate);
    return option;
  }));
  at("far-field").hidden = !facts.rates.length;
  const usual = facts.rates.filter((rate) => rate <= facts.far * (1 + 1e-9)).pop();
  if (usual !== undefined) far.value = String(usual);
  await classes();
  tell();
}

function tell() {
  const rows = facts.rows === 1 ? "1 row" : number(facts.rows) + " rows";
  at("facts").textContent = rows + ", vectors of " + number(facts.width) + " values, compared by " + facts.measure
    + (facts.rates.length ? "" : "; no thresholds, so that nothing is called a match");
}

async function classes() {
  const { classes, without } = await json("/api/classes");
  const chosen = at("class").value;
  const options = classes.map(({ class: name, rows }) => {
    const option = make("option", name + " (" + number(rows) + ")");
    option.value = name;
    return option;
  });
  const all = make("option", "All classes");
  all.value = "";
  at("class").replaceChildren(all, ...options);
  if (classes.some((c) => c.class === chosen)) at("class").value = chosen;
  at("known").replaceChildren(...classes.map((c) => Object.assign(make("option"), { value: c.class })));
  facts.rows = classes.reduce((sum, c) => sum + c.rows, without);
}

// A picture that is too large for the server is made smaller here.
async function fitted(file) {
  const most = facts ? facts.max_upload_bytes : 8 << 20;
  if (file.size <= most) return file;
  const bitmap = await createImageBitmap(file);
  const scale = Math.min(1, 2048 / Math.max(bitmap.width, bitmap.height));
  const canvas = make("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.92));
}

async function take(file, name) {
  if (!file) return;
  if (file.type && !file.type.startsWith("image/")) return wrong("This is no picture: choose a JPEG, PNG or WebP file.");
  try {
    picture = await fitted(file);
  } catch {
    return wrong("This picture cannot be read: choose a JPEG, PNG or WebP file.");
  }
  const shown = at("shown");
  if (shown.src) URL.revokeObjectURL(shown.src);
  shown.src = URL.createObjectURL(picture);
  shown.hidden = false;
  at("new-path").value = name || file.name || "picture";
  at("again").disabled = at("add").disabled = false;
  await search();
}
const typed = (blob) => ({ "content-type": blob.type.startsWith("image/") ? blob.type : "application/octet-stream" });

async function search() {
  if (!picture) return;
  const mine = ++asked;
  wrong("");
  say("Searching…");
  const k = Math.min(50, Math.max(1, Math.round(Number(at("k").value)) || 12));
  at("k").value = String(k);
  const fields = new URLSearchParams({ k: String(k) });
  if (at("class").value) fields.set("class", at("class").value);
  if (!at("far-field").hidden) fields.set("far", at("far").value);
  try {
    const { answers } = await json("/api/search?" + fields, { method: "POST", body: picture, headers: typed(picture) });
    // A later question has been asked meanwhile.
    if (mine === asked) show(answers);
  } catch (e) {
    if (mine !== asked) return;
    say("");
    wrong(e.message);
    if (e.status === 401) at("key").hidden = false;
  }
}

function show(answers) {
  urls.forEach((url) => URL.revokeObjectURL(url));
  urls = [];
  at("answers").replaceChildren(...answers.map(card));
  at("found").hidden = !answers.length;
  const matches = answers.filter((a) => a.matches).length;
  const count = answers.length === 1 ? "1 neighbour" : number(answers.length) + " neighbours";
  if (!answers.length) say("Nothing: the index has no such rows.");
  else if (answers[0].matches === null) say(count + ".");
  else say(count + ", " + (matches === 0 ? "none of them a match." : matches === 1 ? "1 of them a match." : number(matches) + " of them match."));
  pictures(answers, asked);
}

// Nothing is certain, so that neither 0% nor 100% is said.
function likely(probability) {
  const percent = Math.round(probability * 100);
  return percent < 1 ? "under 1% likely" : percent > 99 ? "over 99% likely" : percent + "% likely";
}

function card(answer, place) {
  const item = make("li"), text = make("div", undefined, "text"), pic = make("div", "no picture", "pic");
  item.dataset.id = answer.id;
  pic.setAttribute("aria-hidden", "true");
  text.append(make("p", answer.class === null ? "no class" : answer.class, "name"));
  text.append(make("p", answer.path, "path"));
  text.append(make("p", "similarity " + answer.similarity.toFixed(4), "value"));
  if (answer.matches !== null) {
    const badge = make("span", undefined, "badge " + (answer.matches ? "yes" : "no"));
    badge.append(sign(answer.matches ? "yes" : "no"), make("span", answer.matches ? "match" : "no match"));
    const line = make("p", undefined, "value verdict");
    line.append(badge);
    if (answer.probability !== null) line.append(make("span", likely(answer.probability)));
    text.append(line);
  }
  if (facts.writable && token) {
    const remove = make("button", "Remove", "plain danger");
    remove.type = "button";
    remove.setAttribute("aria-label", "Remove row " + (place + 1) + ": " + answer.path);
    remove.addEventListener("click", () => ask(answer));
    text.append(remove);
  }
  item.append(pic, text);
  return item;
}

// A few at once: browsers open six connections, and a search should not wait behind pictures.
async function pictures(answers, mine) {
  const left = [...answers];
  const next = async () => {
    for (let answer = left.shift(); answer && mine === asked; answer = left.shift()) {
      try {
        const found = await api("/api/thumbnails/" + answer.id);
        if (found.status === 204) continue;
        const blob = await found.blob();
        const pic = document.querySelector('li[data-id="' + answer.id + '"] .pic');
        if (!pic || mine !== asked) continue;
        const img = make("img");
        img.alt = "";
        img.src = URL.createObjectURL(blob);
        urls.push(img.src);
        pic.replaceChildren(img);
      } catch { /* "no picture" is said already */ }
    }
  };
  await Promise.all([next(), next(), next(), next()]);
}

async function enrol() {
  token = at("new-token").value.trim();
  const fields = new URLSearchParams({ path: at("new-path").value });
  if (at("new-class").value.trim()) fields.set("class", at("new-class").value.trim());
  wrong("");
  say("Enrolling…");
  try {
    const { id, replaced } = await json("/api/rows?" + fields, { method: "POST", body: picture, headers: typed(picture) });
    await classes();
    tell();
    await search();
    say("Enrolled as row " + id + (replaced.length ? "; row " + replaced.join(", ") + " of that name gave way." : "."));
  } catch (e) {
    if (e.status === 401) token = "";
    say("");
    wrong(e.message);
  }
}

let doomed = null;
function ask(answer) {
  doomed = answer;
  at("sure-what").textContent = answer.path + (answer.class === null ? "" : ", class " + answer.class) + ". It cannot be brought back.";
  at("sure").returnValue = "no";
  at("sure").showModal();
}
async function remove() {
  if (at("sure").returnValue !== "yes" || !doomed) return;
  try {
    const { path } = await json("/api/rows/" + doomed.id, { method: "DELETE" });
    await classes();
    tell();
    await search();
    say("Removed: " + path);
    at("said").focus();
  } catch (e) {
    wrong(e.message);
  }
}

async function camera() {
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch {
    return wrong("The camera cannot be used: allow it in the browser, or choose a file.");
  }
  at("viewer").hidden = false;
  at("video").srcObject = stream;
  await at("video").play();
  at("shoot").focus();
}
function close() {
  if (stream) stream.getTracks().forEach((track) => track.stop());
  stream = null;
  at("video").srcObject = null;
  at("viewer").hidden = true;
  at("camera").focus();
}
function shoot() {
  const video = at("video"), canvas = make("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d").drawImage(video, 0, 0);
  canvas.toBlob((blob) => { close(); take(blob, "camera-" + new Date().toISOString().slice(0, 19) + ".jpg"); }, "image/jpeg", 0.92);
}

const submits = (id, what) => at(id).addEventListener("submit", (e) => { e.preventDefault(); what(); });
submits("key", () => { token = at("token").value.trim(); begin(); });
submits("how", search);
submits("new", enrol);
for (const id of ["class", "far"]) at(id).addEventListener("change", search);
at("k").addEventListener("change", search);
at("file").addEventListener("change", () => { take(at("file").files[0]); at("file").value = ""; });
document.addEventListener("paste", (e) => {
  const file = [...e.clipboardData.files].find((f) => f.type.startsWith("image/"));
  if (file) { e.preventDefault(); take(file, "pasted-" + new Date().toISOString().slice(0, 19) + ".png"); }
});
// Beside the field too: a browser would leave the page for what is dropped.
document.addEventListener("dragover", (e) => { e.preventDefault(); at("drop").classList.add("over"); });
document.addEventListener("dragleave", (e) => { if (!e.relatedTarget) at("drop").classList.remove("over"); });
document.addEventListener("drop", (e) => { e.preventDefault(); at("drop").classList.remove("over"); take(e.dataTransfer.files[0]); });
at("sure").addEventListener("close", remove);
if (navigator.mediaDevices && navigator.mediaDevices.getUserMedia) at("camera").hidden = false;
at("camera").addEventListener("click", camera);
at("shoot").addEventListener("click", shoot);
at("close").addEventListener("click", close);
begin();
})();
