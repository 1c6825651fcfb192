"use strict";
const byId = (id) => document.getElementById(id);
const rows = new Map();  // of jobs by id: their list items
const isOver = (job) => ["done", "failed", "cancelled"].includes(job.state);
const FILES = { "clip/report.html": "report", "clip/timeline.csv": "timeline.csv", "clip/segments.csv": "segments.csv",
                "clip/summary.json": "summary.json" };

const AWAY = "The service does not answer. This page tries again; what it shows is of before.";
const BUSY_SECONDS = 1, IDLE_SECONDS = 10;  // from one look at the jobs to the next

// Asks the service; what went wrong is an error with the answer's status, 0 without an answer.
async function ask(method, path, headers) {
  const refuse = (status, text) => { throw Object.assign(new Error(text), { status }); };
  const answer = await fetch(path, { method, headers }).catch(() => refuse(0, AWAY));
  if (answer.status === 401) { byId("login").hidden = false; byId("service").hidden = true; }
  // what stands before a service may answer in its place, with a page of its own
  if (!answer.ok) refuse(answer.status, (await answer.json().catch(() => null))?.detail ?? `refused: ${answer.status} ${answer.statusText}`);
  return answer.status === 204 ? null : answer.json();
}

const say = (text) => { if (byId("said").textContent !== text) byId("said").textContent = text; };
function tell(promise) {
  say("");
  return promise.catch((error) => say(error.message));
}

// Looks at the jobs, now and again: they go on, come and are deleted also from elsewhere, and a service may be gone for
// a while. One request for all: a stream of events for each would use up a browser's six connections.
let next = null, turn = 0, sending = 0;
async function look() {
  clearTimeout(next);
  const mine = ++turn;  // what an earlier look finds is out of date
  let wait = BUSY_SECONDS;
  try {
    const jobs = await ask("GET", "jobs"), known = new Set(jobs.map((job) => job.id));
    if (mine !== turn) return;
    if (byId("said").textContent === AWAY) say("");
    byId("login").hidden = true;
    byId("service").hidden = false;
    for (const id of [...rows.keys()]) if (!known.has(id)) forget(id);
    for (const job of jobs.reverse()) if (rows.has(job.id) || !sending) follow(job);  // one that is being sent has a row
    if (jobs.every(isOver)) wait = IDLE_SECONDS;
  } catch (error) {
    if (mine !== turn) return;
    say(error.status === 401 ? "" : error.message);
    if (error.status === 401) return;
  }
  next = setTimeout(look, 1000 * wait);
}

byId("login").onsubmit = async (event) => {
  event.preventDefault();
  const entered = ask("POST", "session", { authorization: `Bearer ${byId("token").value}` });
  await tell(entered.then(look, (error) => {
    throw error.status === 401 ? new Error("This is not the service's token.") : error;
  }));
  byId("token").value = "";
};
document.onvisibilitychange = () => { if (document.hidden) clearTimeout(next); else look(); };

function newRow(name) {
  const row = byId("row").content.cloneNode(true).firstElementChild;
  row.querySelector(".name").textContent = name || "video";
  byId("jobs").prepend(row);
  return row;
}

function follow(job, row = rows.get(job.id) ?? newRow(job.name)) {
  rows.set(job.id, row);
  const change = (method, path) => tell(ask(method, path).catch((error) => {
    if (error.status !== 404) throw error;  // else somebody deleted it
  }).then(look));
  row.querySelector(".cancel").onclick = () => change("POST", `jobs/${job.id}/cancel`);
  row.querySelector(".delete").onclick = () => change("DELETE", `jobs/${job.id}`);
  draw(row, job);
}

function forget(id) {
  rows.get(id).remove();
  rows.delete(id);
}

function draw(row, job) {
  const share = job.frames_total ? job.frames_done / job.frames_total : 0;
  const percent = job.state === "running" && job.frames_total ? `: ${Math.floor(100 * share)} % of the frames` : "";
  row.className = job.state;
  const state = row.querySelector(".state"), text = job.state + (job.error ? `: ${job.error.message}` : percent);
  if (state.textContent !== text) state.textContent = text;  // else it could not be marked and copied
  const bar = row.querySelector("progress"), chart = row.querySelector(".chart"), results = row.querySelector(".results");
  bar.hidden = job.state !== "running";
  if (job.frames_total) bar.value = share; else bar.removeAttribute("value");
  row.querySelector(".cancel").hidden = isOver(job);
  row.querySelector(".delete").hidden = false;
  if (job.state !== "done" || !results.hidden) return;
  results.hidden = false;
  for (const file of job.files.filter((name) => name in FILES)) {
    const link = document.createElement("a");
    link.href = `jobs/${job.id}/results/${file}`;
    link.textContent = FILES[file];
    if (file.endsWith(".html")) link.target = "_blank"; else link.download = FILES[file];
    results.append(link);
  }
  if (job.files.includes("clip/timeline.png")) {
    chart.src = `jobs/${job.id}/results/clip/timeline.png`;
    chart.alt = `Expressions over time in ${job.name || "the video"}`;
    chart.hidden = false;
  }
}

function send(file) {
  const row = newRow(file.name), bar = row.querySelector("progress"), state = row.querySelector(".state");
  const request = new XMLHttpRequest();  // fetch does not tell how much was sent
  return new Promise((resolve) => {
    state.textContent = "being sent";
    row.querySelector(".delete").hidden = true;
    row.querySelector(".cancel").onclick = () => request.abort();
    request.upload.onprogress = (event) => { bar.value = event.loaded / event.total; };
    request.onabort = () => { row.remove(); resolve(); };
    request.onerror = () => { fail("the connection broke off: send it again"); };
    request.onload = () => {
      let answer = null;
      try { answer = JSON.parse(request.responseText); } catch { /* of what stands before the service */ }
      if (request.status === 202 && answer) { follow(answer, row); look(); }
      else fail(answer?.detail ?? `${request.status} ${request.statusText}`);
      if (request.status === 401) look();
      resolve();
    };
    const fail = (why) => {
      row.className = "failed";
      state.textContent = `not taken: ${why}`;
      bar.hidden = row.querySelector(".cancel").hidden = true;
      const remove = row.querySelector(".delete");
      remove.hidden = false;
      remove.onclick = () => row.remove();
      resolve();
    };
    request.open("POST", `jobs?name=${encodeURIComponent(file.name.slice(0, 200))}`);
    request.setRequestHeader("content-type", "application/octet-stream");
    request.send(file);
  });
}

async function sendAll(files) {
  sending += files.length;
  for (const file of files) {
    await send(file);
    sending--;
  }
  look();
}

const drop = byId("drop");
byId("file").onchange = (event) => { sendAll([...event.target.files]); event.target.value = ""; };
drop.ondragover = (event) => { event.preventDefault(); drop.classList.add("over"); };
drop.ondragleave = () => drop.classList.remove("over");
drop.ondrop = (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  sendAll([...event.dataTransfer.files]);
};
look();
