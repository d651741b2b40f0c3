// @parse/node-apn on the work of the benchmarks. bench/client.py has the protocol.
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import apn from '@parse/node-apn';

const work = JSON.parse(readFileSync(process.argv[2]));
const tokens = readFileSync(work.tokens_file, 'utf8').trim().split('\n').slice(0, work.pushes);

const notification = new apn.Notification();
notification.rawPayload = JSON.parse(readFileSync(work.payload_file));
notification.topic = work.topic;
notification.pushType = 'liveactivity';
notification.priority = 10;

const options = {
  token: { key: work.key_file, keyId: work.key_id, teamId: work.team_id },
  address: work.host,
  port: work.port,
  ca: readFileSync(work.ca_file),
  production: true,
  // A push waits for its turn on a connection inside the library: five seconds, the default, count from there.
  requestTimeout: 600_000,
};
const provider =
  work.connections === 1 ? new apn.Provider(options) : new apn.MultiProvider({ ...options, clientCount: work.connections });

// `send` takes a list and waits for all of it: lists of one chunk, so many at a time as fill the connections twice.
const CHUNK = 100;
const atOnce = Math.max(1, Math.ceil((2 * work.streams * work.connections) / CHUNK));

async function round() {
  const result = { accepted: 0, rejected: 0, failed: 0, errors: {} };
  async function push(chunk) {
    const { sent, failed } = await provider.send(notification, chunk);
    result.accepted += sent.length;
    for (const one of failed) {
      if (Number.isInteger(one.status) && one.response) {
        result.rejected += 1;
      } else {
        result.failed += 1;
        const text = String(one.error?.message ?? one.error ?? one.status);
        result.errors[text] = (result.errors[text] ?? 0) + 1;
      }
    }
  }
  // A fresh connection to APNs takes one request and then more: one push each goes ahead.
  let next = work.connections;
  await push(tokens.slice(0, next));
  async function carry() {
    while (next < tokens.length) {
      await push(tokens.slice(next, (next += CHUNK)));
    }
  }
  await Promise.all(Array.from({ length: atOnce }, carry));
  return result;
}

console.log('ready');
for await (const _ of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await round()));
}
process.exit(0);
