// The page: where pictures come from, what is drawn, what can be saved. The networks run in worker.js.

const byId = (id) => document.getElementById(id);
const say = (text) => { byId("said").textContent = text; };
const SPAN_SECONDS = 30;  // of the chart while a camera runs
const MOST_POINTS = 1500;  // of a line in the chart
const STEP_SECONDS = 0.1;  // from one looked-at picture of a video to the next: the network's own step
const frame = document.createElement("canvas"), pen = frame.getContext("2d", { willReadFrequently: true });
const video = Object.assign(document.createElement("video"), { muted: true, playsInline: true });
let about, worker, source = null;  // what is being looked at: { stopped, stop, ending, duration }
let rows = [], chosen = null, name = "camera";

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
  drawLegend();
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
  byId("stop").hidden = true;
}

function busy() {
  byId("camera").disabled = byId("file").disabled = true;
  byId("choose").setAttribute("aria-disabled", "true");
}

async function begin(what, duration) {
  const mine = source = { stopped: false, duration };
  mine.ending = new Promise((resolve) => { mine.stop = () => { mine.stopped = true; resolve(); }; });
  [rows, chosen, name] = [[], null, what];
  byId("notice").open = false;
  byId("stop").hidden = false;
  byId("hint").hidden = true;
  byId("save").disabled = true;
  byId("people").replaceChildren();
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
  rows.push({ seconds, faces: faces.map(({ landmarks, ...face }) => face) });  // an hour's landmarks would take 400 MB
  for (const { faceId } of faces) addPerson(faceId);
  drawPicture(faces);
  draw();
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
    if (fresh === null) await Promise.race([new Promise((resolve) => { wake = resolve; }), mine.ending]);
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
    video.srcObject.getTracks().forEach((track) => { track.onended = mine.stop; });  // it was unplugged
    say("Looking at the camera.");
    const began = performance.now(), next = pictures(mine);
    for (let now = await next(); !mine.stopped; now = await next()) {
      times.push({ milliseconds: await look((now - began) / 1000), at: performance.now() });
      report(times);
    }
    end("Stopped.");
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
    end(mine.stopped ? "Stopped." : `${file.name}: all ${video.duration.toFixed(1)} s were looked at.`);
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

const own = getComputedStyle(document.documentElement);
const colourOf = (emotion) => own.getPropertyValue(`--${emotion}`) || about.colours[emotion];
const labelOf = ({ probabilities }) => about.labels[probabilities.indexOf(Math.max(...probabilities))];

function drawLegend() {
  byId("legend").replaceChildren(...about.labels.map((emotion) => {
    const entry = document.createElement("li"), mark = document.createElement("i");
    mark.style.background = colourOf(emotion);
    entry.append(mark, emotion, document.createElement("b"));
    return entry;
  }));
}

function addPerson(faceId) {
  chosen ??= faceId;
  const group = byId("people");
  if ([...group.children].some((button) => button.value === String(faceId))) return;
  const button = Object.assign(document.createElement("button"), { value: faceId, textContent: `face ${faceId}` });
  button.onclick = () => { chosen = faceId; press(); draw(); };
  group.append(button);
  press();
}

function press() {
  for (const button of byId("people").children) button.setAttribute("aria-pressed", button.value === String(chosen));
}

function drawPicture(faces) {
  const canvas = byId("picture"), context = canvas.getContext("2d"), { width, height } = frame;
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  context.drawImage(frame, 0, 0);
  context.lineWidth = Math.max(2, width / 250);
  const size = Math.max(14, width / 36);
  context.font = `600 ${size}px system-ui, sans-serif`;
  for (const face of faces) {
    const [left, top, right, bottom] = face.box, text = `${face.faceId} ${labelOf(face)}`;
    context.strokeStyle = context.fillStyle = about.colours[labelOf(face)];
    context.strokeRect(left, top, right - left, bottom - top);
    const above = Math.max(top - size * 1.4, 0);
    context.fillRect(left, above, context.measureText(text).width + size * 0.6, size * 1.4);
    context.fillStyle = ["neutral", "happiness", "surprise", "fear"].includes(labelOf(face)) ? "#000" : "#fff";
    context.fillText(text, left + size * 0.3, above + size);
  }
}

// The course of the chosen face, and what its last picture said.
function draw() {
  const canvas = byId("chart"), ratio = devicePixelRatio, { clientWidth: width, clientHeight: height } = canvas;
  Object.assign(canvas, { width: width * ratio, height: height * ratio });
  const context = canvas.getContext("2d"), now = rows.at(-1)?.seconds ?? 0, last = rows.at(-1)?.faces.find(({ faceId }) => faceId === chosen);
  [...byId("legend").children].forEach((entry, i) => {
    entry.lastChild.textContent = last ? `${Math.round(100 * last.probabilities[i])} %` : "";
  });
  const [from, to] = source?.duration ? [0, source.duration] : [Math.max(0, now - SPAN_SECONDS), Math.max(now, SPAN_SECONDS)];
  const edge = { left: 50, right: 24, top: 14, bottom: 28 };
  const x = (seconds) => edge.left + ((seconds - from) / (to - from)) * (width - edge.left - edge.right);
  const y = (share) => edge.top + (1 - share) * (height - edge.top - edge.bottom);
  context.scale(ratio, ratio);
  context.font = "12px system-ui, sans-serif";
  Object.assign(context, { fillStyle: own.getPropertyValue("--quiet"), strokeStyle: own.getPropertyValue("--line"), lineWidth: 1 });
  for (const share of [0, 0.5, 1]) {
    context.beginPath();
    context.moveTo(edge.left, y(share));
    context.lineTo(width - edge.right, y(share));
    context.stroke();
    context.textAlign = "right";
    context.fillText(`${100 * share} %`, edge.left - 6, y(share) + 4);
  }
  const step = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600].find((one) => ((to - from) / one) * 52 < width) ?? 7200;
  for (let seconds = Math.ceil(from / step) * step; seconds <= to; seconds += step) {
    context.textAlign = "center";
    context.fillText(`${seconds} s`, x(seconds), height - 9);
  }
  Object.assign(context, { lineWidth: 2, lineJoin: "round" });
  const shown = rows.filter(({ seconds }) => seconds >= from), every = Math.ceil(shown.length / MOST_POINTS);
  const seen = shown.filter((_, i) => i % every === 0);
  about.labels.forEach((emotion, i) => {
    context.strokeStyle = colourOf(emotion);
    context.beginPath();
    let before = null;
    for (const { seconds, faces } of seen) {
      const face = faces.find(({ faceId }) => faceId === chosen);
      if (face) context[before === null ? "moveTo" : "lineTo"](x(seconds), y(face.probabilities[i]));
      before = face ? seconds : null;
    }
    context.stroke();
  });
}

// timeline.csv: one row per looked-at picture and face, one without numbers where there is none.
byId("save").onclick = () => {
  const { columns, decimals } = about, lines = [columns.join(",")];
  rows.forEach(({ seconds, faces }, i) => {
    for (const face of faces.length ? faces : [null]) {
      const values = { frame: i + 1, timestamp: seconds, face_id: face?.faceId ?? -1, success: face ? 1 : 0 };
      if (face) {
        const [left, top, right, bottom] = face.box, [pitch, yaw, roll] = face.pose, emotion = labelOf(face);
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

onresize = () => { if (about) draw(); };
matchMedia("(prefers-color-scheme: dark)").onchange = () => { if (about) { drawLegend(); draw(); } };
say("Loading.");
load().catch((error) => say(`This page does not work: ${error.message}.`));
