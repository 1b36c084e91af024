// A CometD server that writes every message published to it to its output, one JSON object per line.
//
//   node server.js PORT [DELAY_MS [LOGIN]]
//
// It answers a publication after DELAY_MS. Channels /refused/** it does not allow. LOGIN is "none"; "basic": each request must
// have HTTP Basic of crosspoint:secret; "session": a GET with it sets a cookie, which all else must have;
// "handshake": ext.authentication has the same two, as `user` and `credentials`.
'use strict';
const crypto = require('crypto');
const http = require('http');
const cometd = require('cometd-nodejs-server');

const [port, delay, login] = [Number(process.argv[2]), Number(process.argv[3] || 0), process.argv[4] || 'none'];
const server = cometd.createCometDServer({ timeout: 2000, maxInterval: 3000 });

server.policy = {
    canHandshake: (session, message, callback) => {
        const { user, credentials } = (message.ext && message.ext.authentication) || {};
        callback(null, login !== 'handshake' || (user === 'crosspoint' && credentials === 'secret'));
    },
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

const BASIC = `Basic ${Buffer.from('crosspoint:secret').toString('base64')}`;
// Of this process: one that is started anew knows none of those before.
const session = crypto.randomUUID();

function isIn(request) {
    if (login === 'basic') return request.headers.authorization === BASIC;
    // A password in each request is not what it asked for.
    if (login === 'session') {
        return !request.headers.authorization && (request.headers.cookie || '').includes(`SESSION=${session}`);
    }
    return true;
}

const web = http.createServer((request, response) => {
    if (login === 'session' && request.method === 'GET' && request.headers.authorization === BASIC) {
        response.writeHead(200, { 'Set-Cookie': `SESSION=${session}; Path=/; HttpOnly` });
        return response.end();
    }
    if (isIn(request)) return server.handle(request, response);
    response.writeHead(401);
    response.end();
});
web.listen(port, '127.0.0.1', () => process.stderr.write('listening\n'));
