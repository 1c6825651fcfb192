"use strict";
const byId = (id) => document.getElementById(id);
const rows = new Map();  // of jobs by id: their list items
const isOver = (job) => ["done", "failed", "cancelled"].includes(job.state);
const FILES = { "clip/report.html": "report", "clip/timeline.csv": "timeline.csv", "clip/segments.csv": "segments.csv",
                "clip/summary.json": "summary.json" };

async function ask(method, path, headers) {
  const answer = await fetch(path, { method, headers });
  if (answer.status === 401) { byId("login").hidden = false; byId("service").hidden = true; }
  if (!answer.ok) throw new Error((await answer.json()).detail);
  return answer.status === 204 ? null : answer.json();
}

const say = (text) => { byId("said").textContent = text; };
const tell = (promise) => promise.catch((error) => say(error.message));

async function start() {
  const jobs = await ask("GET", "jobs");
  byId("login").hidden = true;
  byId("service").hidden = false;
  for (const job of jobs.reverse()) if (!rows.has(job.id)) follow(job);
}

byId("login").onsubmit = async (event) => {
  event.preventDefault();
  await tell(ask("POST", "session", { authorization: `Bearer ${byId("token").value}` }).then(start));
  byId("token").value = "";
};

function newRow(name) {
  const row = byId("row").content.cloneNode(true).firstElementChild;
  row.querySelector(".name").textContent = name || "video";
  byId("jobs").prepend(row);
  return row;
}

function follow(job, row = newRow(job.name)) {
  rows.set(job.id, row);
  row.querySelector(".cancel").onclick = () => tell(ask("POST", `jobs/${job.id}/cancel`).then((now) => draw(row, now)));
  row.querySelector(".delete").onclick = () => tell(ask("DELETE", `jobs/${job.id}`).then(() => forget(job.id)));
  draw(row, job);
  if (isOver(job)) return;
  const events = new EventSource(`jobs/${job.id}/events`);
  events.addEventListener("job", (event) => {
    const now = JSON.parse(event.data);
    draw(row, now);
    if (isOver(now)) events.close();
  });
  events.addEventListener("deleted", () => { events.close(); forget(job.id); });
}

function forget(id) {
  rows.get(id)?.remove();
  rows.delete(id);
}

function draw(row, job) {
  const share = job.frames_total ? job.frames_done / job.frames_total : 0;
  const percent = job.state === "running" && job.frames_total ? `: ${Math.floor(100 * share)} % of the frames` : "";
  row.className = job.state;
  row.querySelector(".state").textContent = job.state + (job.error ? `: ${job.error.message}` : percent);
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
      const answer = JSON.parse(request.responseText);
      if (request.status === 202) follow(answer, row); else fail(String(answer.detail));
      resolve();
    };
    const fail = (why) => {
      row.className = "failed";
      state.textContent = `not taken: ${why}`;
      bar.hidden = row.querySelector(".cancel").hidden = true;
      resolve();
    };
    request.open("POST", `jobs?name=${encodeURIComponent(file.name.slice(0, 200))}`);
    request.setRequestHeader("content-type", "application/octet-stream");
    request.send(file);
  });
}

async function sendAll(files) {
  for (const file of files) await send(file);
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
start().catch((error) => say(error.message));
