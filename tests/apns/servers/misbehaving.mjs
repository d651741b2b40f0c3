// An APNs of sorts on Node's http2: what it answers is written in the first characters of the token.
//
//   node misbehaving.mjs PORT CHAIN KEY [initial window] [stream limit]
import { readFileSync } from "node:fs";
import { constants, createSecureServer } from "node:http2";

const [port, chain, key, window = "65535", streams = "1000"] = process.argv.slice(2);
const server = createSecureServer({
  cert: readFileSync(chain),
  key: readFileSync(key),
  settings: { initialWindowSize: Number(window), maxConcurrentStreams: Number(streams) },
});

const answers = {
  "20": (stream) => answer(stream, 200),
  "40": (stream) => answer(stream, 400, { reason: "BadDeviceToken" }),
  "41": (stream) => answer(stream, 410, { reason: "Unregistered", timestamp: 1790000000000 }),
  "42": (stream) => answer(stream, 429, { reason: "TooManyRequests" }, { "retry-after": "7" }),
  "50": (stream) => answer(stream, 500, "no JSON at all"),
  "ca": (stream) => stream.close(constants.NGHTTP2_CANCEL),
  "ef": (stream) => stream.close(constants.NGHTTP2_REFUSED_STREAM),
  "51": () => {}, // never answers
  "60": (stream) => stream.session.goaway(constants.NGHTTP2_NO_ERROR, stream.id, Buffer.from('{"reason":"Shutdown"}')),
  "dd": (stream) => stream.session.destroy(),
};
const refused = new Set();

function answer(stream, status, body, headers = {}) {
  stream.respond({ ":status": status, "apns-id": "0".repeat(36), ...headers }, { endStream: body === undefined });
  if (body !== undefined) stream.end(typeof body === "string" ? body : JSON.stringify(body));
}

server.on("stream", (stream, headers) => {
  const token = headers[":path"].split("/").pop();
  let kind = token.slice(0, 2);
  if (kind === "ef" || kind === "60") {
    if (refused.has(token)) kind = "20"; // refused once; the second time it is welcome
    refused.add(token);
  }
  const length = Number(token.slice(2, 6));
  let received = 0;
  stream.on("error", () => {});
  stream.on("data", (piece) => (received += piece.length));
  stream.on("end", () => {
    if (length && received !== length) answer(stream, 400, { reason: `Got${received}` });
    else answers[kind](stream);
    if (kind === "60") answer(stream, 200);
  });
});
server.on("sessionError", () => {});
server.listen(Number(port), "127.0.0.1");
process.on("SIGTERM", () => process.exit(0));
