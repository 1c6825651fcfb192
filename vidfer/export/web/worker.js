// Runs the networks beside the page, so that it stays smooth: pictures in, faces out.
import * as ort from "./runtime/ort.wasm.min.mjs";
import { Stream } from "./stream.js";

let stream, about;
const sessions = {};

async function run(name, inputs) {
  const given = Object.entries(inputs).map(([input, [values, shape]]) => [input, new ort.Tensor("float32", values, shape)]);
  return sessions[name].run(Object.fromEntries(given));
}

async function start({ networks, wasm, threads }) {
  Object.assign(ort.env.wasm, { wasmBinary: wasm, numThreads: threads, wasmPaths: new URL("runtime/", import.meta.url).href });
  ort.env.logLevel = "error";
  for (const [name, bytes] of Object.entries(networks)) {
    sessions[name] = await ort.InferenceSession.create(new Uint8Array(bytes), { executionProviders: ["wasm"] });
  }
}

// One message after the other, each with an answer.
let last = Promise.resolve();
onmessage = ({ data }) => {
  last = last.then(async () => {
    try {
      if (data.about) {
        ({ about } = data);
        await start(data);
      }
      if (data.about || data.begin) stream = new Stream(run, about);
      const began = performance.now(), faces = data.picture ? await stream.look(data.picture, data.seconds) : [];
      postMessage({ faces, milliseconds: performance.now() - began });
    } catch (error) {
      postMessage({ error: String(error?.message ?? error) });
    }
  });
};
