// The official CometD client of one version, under remote control: a command per line in, an answer or an event per line out.
//   node client.mjs 3|7|8
//   {"id":1,"op":"open","tab":"a","url":"…","transport":"long-polling","extensions":["ack","timesync"],"login":{…}}
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(import.meta.url);
const version = process.argv[2];

/** The client's classes; each version has its own way to be loaded. */
async function load() {
  if (version === "8") {
    (await import("cometd-nodejs-client-2")).adapt();
    const { CometD, AckExtension, TimeSyncExtension } = await import("cometd-8");
    return { CometD, extensions: { ack: AckExtension, timesync: TimeSyncExtension } };
  }
  require("cometd-nodejs-client").adapt();
  const { CometD } = require(`cometd-${version}`);
  const extensions = {
    ack: require(`cometd-${version}/AckExtension`),
    timesync: require(`cometd-${version}/TimeSyncExtension`),
  };
  return { CometD, extensions };
}

const { CometD, extensions } = await load();
const tabs = new Map();
const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);

/** The clientId that each tab says is its own. */
const poses = new Map();

function open({ tab, url, transport, extensions: wanted = [], login }) {
  const cometd = new CometD();
  cometd.configure({ url, logLevel: "warn", maxNetworkDelay: 5000, backoffIncrement: 100, maxBackoff: 300 });
  for (const other of cometd.getTransportTypes()) {
    if (other !== transport) cometd.unregisterTransport(other);
  }
  for (const name of wanted) cometd.registerExtension(name, new extensions[name]());
  if (login) {
    cometd.registerExtension("login", {
      outgoing(message) {
        if (message.channel === "/meta/handshake") {
          message.ext = { ...message.ext, authentication: login };
        }
        return message;
      },
    });
  }
  cometd.registerExtension("pose", {
    outgoing(message) {
      if (poses.has(tab) && message.clientId) message.clientId = poses.get(tab);
      return message;
    },
  });
  for (const channel of ["handshake", "connect", "disconnect", "unsuccessful"]) {
    cometd.addListener(`/meta/${channel}`, (message) => say({ tab, meta: channel, message }));
  }
  tabs.set(tab, cometd);
  return { transports: cometd.getTransportTypes() };
}

const operations = {
  open,
  handshake: ({ cometd }) => new Promise((done) => cometd.handshake(done)),
  subscribe: ({ cometd, tab, channel }) =>
    new Promise((done) => {
      const told = ({ channel: at, data }) => say({ tab, event: at, data });
      cometd.subscribe(channel, told, done);
      // A handshake clears what was subscribed to; the client's book has the page subscribe where it hears of one.
      cometd.addListener("/meta/handshake", ({ successful }) => {
        if (successful) cometd.subscribe(channel, told);
      });
    }),
  publish: ({ cometd, channel, data }) => new Promise((done) => cometd.publish(channel, data, done)),
  // All in one request, as far as the transport has that.
  batch: ({ cometd, channels }) =>
    new Promise((done) => {
      const replies = [];
      cometd.batch(() => {
        for (const channel of channels) {
          cometd.subscribe(channel, () => {}, (reply) => {
            if (replies.push(reply) === channels.length) done(replies);
          });
        }
      });
    }),
  disconnect: ({ cometd }) => new Promise((done) => cometd.disconnect(done)),
  name: ({ cometd }) => cometd.getClientId(),
  // From here on it sends this clientId; without one its own.
  pose: ({ tab, as }) => {
    if (as) poses.set(tab, as);
    else poses.delete(tab);
  },
  state: ({ cometd }) => ({
    status: cometd.getStatus(),
    clock: cometd.getExtension("timesync")?.getTimeOffset() ?? null,
  }),
};

for await (const line of createInterface({ input: process.stdin })) {
  const { id, op, ...rest } = JSON.parse(line);
  const cometd = tabs.get(rest.tab);
  Promise.resolve(operations[op]({ cometd, ...rest })).then(
    (answer) => say({ id, answer }),
    (error) => say({ id, error: String(error) }),
  );
}
process.exit(0);
