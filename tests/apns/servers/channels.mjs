// Channel management of sorts on Node's http2; the bundle id says how it answers.
//
//   node channels.mjs PORT CHAIN KEY
import { readFileSync } from "node:fs";
import { constants, createSecureServer } from "node:http2";

const [port, chain, key] = process.argv.slice(2);
const server = createSecureServer({ cert: readFileSync(chain), key: readFileSync(key) });
const ids = (count) => Array.from({ length: count }, (_, n) => Buffer.alloc(16, `channel ${n}`).toString("base64"));

const answers = {
  good: {
    POST: (stream) => reply(stream, 201, undefined, { "apns-channel-id": ids(1)[0] }),
    GET: (stream, headers) =>
      headers["apns-channel-id"]
        ? reply(stream, 200, '{"message-storage-policy":0,"push-type":"LiveActivity"}')
        : reply(stream, 200, JSON.stringify({ channels: ids(20_000) })),
    DELETE: (stream) => reply(stream, 204),
  },
  odd: {
    POST: (stream) => reply(stream, 201), // and no id
    GET: (stream, headers) => reply(stream, 200, headers["apns-channel-id"] ? '{"message-storage-policy":[2]}' : "[]"),
    DELETE: (stream) => reply(stream, 404, '{"reason":"BadPath"}'),
  },
  cut: {
    POST: (stream) => {
      reply(stream, 201, "{", { "apns-channel-id": ids(1)[0] }, false);
      setTimeout(() => stream.close(constants.NGHTTP2_INTERNAL_ERROR), 20);
    },
    GET: (stream) => reply(stream, 200, JSON.stringify({ channels: ids(60_000) })), // 1.6 MB
    DELETE: (stream) => stream.session.destroy(),
  },
};

function reply(stream, status, body, headers = {}, whole = true) {
  stream.respond({ ":status": status, ...headers }, { endStream: body === undefined });
  if (body !== undefined) whole ? stream.end(body) : stream.write(body);
}

server.on("stream", (stream, headers, flags) => {
  const [, version, apps, bundle] = headers[":path"].split("/");
  const method = headers[":method"];
  const ended = Boolean(flags & constants.NGHTTP2_FLAG_END_STREAM);
  stream.on("error", () => {});
  if (version !== "1" || apps !== "apps" || ended !== (method !== "POST")) return reply(stream, 400, '{"reason":"Odd"}');
  stream.resume();
  stream.on("end", () => answers[bundle][method](stream, headers));
});
server.on("sessionError", () => {});
server.listen(Number(port), "127.0.0.1");
process.on("SIGTERM", () => process.exit(0));
