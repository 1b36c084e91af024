// A CometD server that writes every message published to it to its output, one JSON object per line.
//
//   node server.js PORT [DELAY_MS]
//
// It answers a publication after DELAY_MS. Channels /refused/** it does not allow.
'use strict';
const http = require('http');
const cometd = require('cometd-nodejs-server');

const [port, delay] = [Number(process.argv[2]), Number(process.argv[3] || 0)];
const server = cometd.createCometDServer({ timeout: 2000, maxInterval: 3000 });

server.policy = {
    canHandshake: (session, message, callback) => callback(null, true),
    canCreate: (session, message, channel, callback) => {
        const allowed = !channel.startsWith('/refused/');
        if (allowed && !server.getServerChannel(channel)) {
            const created = server.createServerChannel(channel);
            created.addListener('message', (from, on, published, done) => {
                // Written before the answer goes: what was said yes to has been seen.
                process.stdout.write(JSON.stringify({ channel, data: published.data }) + '\n', () => {
                    if (delay > 0) setTimeout(done, delay);
                    else done();
                });
            });
        }
        callback(null, allowed);
    },
    canSubscribe: (session, message, channel, callback) => callback(null, true),
    canPublish: (session, message, channel, callback) => callback(null, true),
};

const web = http.createServer(server.handle);
web.listen(port, '127.0.0.1', () => process.stderr.write('listening\n'));
