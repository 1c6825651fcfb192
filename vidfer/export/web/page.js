// The page: where pictures come from, what is drawn, what can be saved. The networks run in worker.js.

const byId = (id) => document.getElementById(id);
const say = (text) => { if (byId("said").textContent !== text) byId("said").textContent = text; };  // it is read aloud
const LATE_SECONDS = 3;  // a camera that gives no picture for so long is said to give none
const STEP_SECONDS = 0.1;  // from one looked-at picture of a video to the next: the network's own step
const frame = document.createElement("canvas"), pen = frame.getContext("2d", { willReadFrequently: true });
const video = Object.assign(document.createElement("video"), { muted: true, playsInline: true });
let about, worker, view, source = null;  // what is being looked at: { stopped, stop, ending }
let name = "camera";

async function bytesOf(path, progress) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(`${path} is missing: ${answer.status}`);
  const parts = [];
  for (const reader = answer.body.getReader(); ;) {
    const { done, value } = await reader.read();
    if (done) return new Blob(parts).arrayBuffer();
    parts.push(value);
    progress(value.length);
  }
}

async function load() {
  about = await (await fetch("pipeline.json")).json();
  const total = about.files.reduce((sum, { bytes }) => sum + bytes, 0), megabytes = (count) => Math.round(count / 1e6);
  let loaded = 0;
  const progress = (count) => say(`Loading the networks: ${megabytes(loaded += count)} of ${megabytes(total)} MB`);
  const found = await Promise.all(about.files.map(({ path }) => bytesOf(path, progress)));
  // All is here: from now on neither the page nor its worker, which inherits this, may connect to anything.
  const policy = Object.assign(document.createElement("meta"), { httpEquiv: "Content-Security-Policy", content: "connect-src 'none'" });
  document.head.append(policy);
  // A worker from a file would have no policy unless its server sent one.
  const script = new Blob([`import ${JSON.stringify(new URL("worker.js", location).href)};`], { type: "text/javascript" });
  worker = new Worker(URL.createObjectURL(script), { type: "module" });
  const asked = Number(new URLSearchParams(location.search).get("threads"));
  const half = Math.floor(navigator.hardwareConcurrency / 2);  // threads that wait for each other need cores to themselves
  const threads = self.crossOriginIsolated ? asked || Math.max(1, Math.min(4, half)) : 1;
  const networks = Object.fromEntries(about.files.flatMap(({ network }, i) => (network ? [[network, found[i]]] : [])));
  await ask({ about, networks, wasm: found[about.files.findIndex(({ network }) => !network)], threads });
  document.body.dataset.threads = threads;
  const elements = { picture: byId("picture"), chart: byId("chart"), people: byId("people"), who: byId("who"), legend: byId("legend") };
  view = new FacesOverTime(elements, about);
  ready();
  say("Ready.");
}

// Sends the worker a message and returns its answer.
function ask(message, transfer = []) {
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => (data.error ? reject(new Error(data.error)) : resolve(data));
    worker.onerror = (event) => reject(new Error(event.message || "the worker does not start"));
    worker.postMessage(message, transfer);
  });
}

function ready() {
  byId("camera").disabled = byId("file").disabled = false;
  byId("choose").removeAttribute("aria-disabled");
  if (document.activeElement === byId("stop")) byId("camera").focus();  // the keyboard goes on from there
  byId("stop").hidden = true;
}

function busy() {
  byId("camera").disabled = byId("file").disabled = true;
  byId("choose").setAttribute("aria-disabled", "true");
}

async function begin(what, duration) {
  const mine = source = { stopped: "" };  // or what is to be said of the end
  mine.ending = new Promise((resolve) => { mine.stop = (text = "Stopped.") => { mine.stopped ||= text; resolve(); }; });
  name = what;
  view.begin(duration);
  byId("notice").open = false;
  byId("stop").hidden = false;
  if ([document.body, byId("camera")].includes(document.activeElement)) byId("stop").focus();  // who pressed a button stays among them
  byId("hint").hidden = true;
  byId("save").disabled = true;
  await ask({ begin: true });
  return mine;
}

function end(text) {
  source?.stop();
  for (const track of video.srcObject?.getTracks() ?? []) track.stop();
  video.srcObject = null;
  if (video.src) URL.revokeObjectURL(video.src);
  video.removeAttribute("src");
  video.load();
  ready();
  say(text);
}

// Looks at the picture that the video shows now; draws and keeps what was found.
async function look(seconds) {
  if (frame.width !== video.videoWidth || frame.height !== video.videoHeight) {
    Object.assign(frame, { width: video.videoWidth, height: video.videoHeight });
  }
  pen.drawImage(video, 0, 0);
  const picture = pen.getImageData(0, 0, frame.width, frame.height);
  const { data, width, height } = picture;
  const { faces, milliseconds } = await ask({ picture: { data, width, height }, seconds }, [data.buffer]);
  view.add(seconds, faces.map(({ landmarks, ...face }) => face), frame);  // an hour's landmarks would take 400 MB
  byId("save").disabled = false;
  // For pages that show this one and for programs that drive it.
  document.dispatchEvent(new CustomEvent("vidfer:frame", { detail: { seconds, faces, milliseconds, picture: frame } }));
  return milliseconds;
}

function report(times) {
  const recent = times.slice(-20), span = (recent.at(-1).at - recent[0].at) / 1000;
  if (recent.length < 5) return;
  const rate = (recent.length - 1) / span, cost = recent.reduce((sum, { milliseconds }) => sum + milliseconds, 0) / recent.length;
  const threads = Number(document.body.dataset.threads);
  byId("speed").textContent = `${rate.toFixed(1)} pictures a second, ${Math.round(cost)} ms each, ${threads === 1 ? "one thread" : `${threads} threads`}.`;
}

// Returns what waits for the camera's next picture, and gives its time; one that came in the meantime is there at once.
function pictures(mine) {
  const shown = video.requestVideoFrameCallback ? (note) => video.requestVideoFrameCallback(note) : requestAnimationFrame;
  let fresh = null, wake = () => {};
  const note = (now) => {
    fresh = now;
    wake();
    if (!mine.stopped) shown(note);
  };
  shown(note);
  return async () => {
    if (fresh === null) {
      const late = setTimeout(() => say("The camera gives no pictures."), 1000 * LATE_SECONDS);
      await Promise.race([new Promise((resolve) => { wake = resolve; }), mine.ending]);
      clearTimeout(late);
    }
    if (!mine.stopped) say("Looking at the camera.");
    const now = fresh;
    fresh = null;
    return now;
  };
}

byId("camera").onclick = async () => {
  busy();
  try {
    if (!navigator.mediaDevices) throw new Error("browsers give cameras to pages from https:// or localhost only");
    video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 640 }, height: { ideal: 480 }, facingMode: "user" } });
    await video.play();
    const mine = await begin("camera", null), times = [];
    for (const track of video.srcObject.getTracks()) track.onended = () => mine.stop("The camera was taken away.");
    const began = performance.now(), next = pictures(mine);
    for (let now = await next(); !mine.stopped; now = await next()) {
      times.push({ milliseconds: await look((now - began) / 1000), at: performance.now() });
      report(times);
    }
    end(mine.stopped);
  } catch (error) {
    const reasons = { NotAllowedError: "the camera was not allowed", NotFoundError: "no camera was found" };
    end(`This did not work: ${reasons[error.name] ?? error.message}.`);
  }
};

async function open(file) {
  busy();
  try {
    video.src = URL.createObjectURL(file);
    await new Promise((resolve, reject) => {
      video.onloadeddata = resolve;
      video.onerror = () => reject(new Error(`this browser cannot read ${file.name}`));
    });
    if (!Number.isFinite(video.duration)) await seek(1e9);  // what browsers record does not say its length before its end
    const mine = await begin(file.name.replace(/\.[^.]*$/, ""), video.duration), times = [];
    say(`Looking at ${file.name}.`);
    for (let i = 0; i * STEP_SECONDS < video.duration && !mine.stopped; i++) {
      const seconds = i * STEP_SECONDS;
      await seek(Math.min(seconds + 1e-3, video.duration));  // not between two pictures, where rounding would choose
      times.push({ milliseconds: await look(seconds), at: performance.now() });
      report(times);
    }
    end(mine.stopped || `${file.name}: all ${video.duration.toFixed(1)} s were looked at.`);
  } catch (error) {
    end(`This did not work: ${error.message}.`);
  }
}

function seek(seconds) {
  return new Promise((resolve, reject) => {
    video.onseeked = resolve;
    video.onerror = () => reject(new Error("the video is damaged"));
    video.currentTime = seconds;
  });
}

byId("file").onchange = ({ target }) => { if (target.files[0]) open(target.files[0]); target.value = ""; };
byId("stop").onclick = () => source.stop();
document.ondragover = (event) => { event.preventDefault(); document.body.classList.add("over"); };
document.ondragleave = () => document.body.classList.remove("over");
document.ondrop = (event) => {
  event.preventDefault();
  document.body.classList.remove("over");
  if (event.dataTransfer.files[0] && !byId("file").disabled) open(event.dataTransfer.files[0]);
};

// timeline.csv: one row per looked-at picture and face, one without numbers where there is none.
byId("save").onclick = () => {
  const { columns, decimals } = about, lines = [columns.join(",")];
  view.rows.forEach(({ seconds, faces }, i) => {
    for (const face of faces.length ? faces : [null]) {
      const values = { frame: i + 1, timestamp: seconds, face_id: face?.faceId ?? -1, success: face ? 1 : 0 };
      if (face) {
        const [left, top, right, bottom] = face.box, [pitch, yaw, roll] = face.pose, emotion = about.labels[view.leading(face)];
        Object.assign(values, { confidence: face.confidence, x: left, y: top, width: right - left, height: bottom - top, pitch, yaw, roll });
        Object.assign(values, { quality: face.quality, emotion, emotion_confidence: Math.max(...face.probabilities) });
        about.labels.forEach((label, k) => { values[label] = face.probabilities[k]; });
      }
      lines.push(columns.map((column) => {
        const value = values[column] ?? "";
        return column in decimals && value !== "" ? value.toFixed(decimals[column]) : value;
      }).join(","));
    }
  });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([`${lines.join("\n")}\n`], { type: "text/csv" }));
  link.download = `${name}-timeline.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
};

onresize = () => view?.draw();
matchMedia("(prefers-color-scheme: dark)").onchange = () => { view?.drawLegend(); view?.draw(); };
say("Loading.");
load().catch((error) => say(`This page does not work: ${error.message}.`));
