// What a GWS is to a subscriber: a session by HTTP Basic, a CSRF token, CometD on /v2/me/calls. Users have the password "secret".
//
//   node gws.js PORT MESSAGE
//
// Each subscriber is told of a call: MESSAGE, in whose text USER stands for its name.
'use strict';
const http = require('http');
const crypto = require('crypto');
const cometd = require('cometd-nodejs-server');

const [port, message] = [Number(process.argv[2]), process.argv[3]];
const server = cometd.createCometDServer({ timeout: 2000, maxInterval: 3000 });
const sessions = new Map();

server.addListener('subscribed', (channel, session) => {
    session.deliver(null, '/v2/me/calls', JSON.parse(message.replaceAll('USER', session.user)));
});
server.policy = {
    canHandshake: (session, handshake, callback) => {
        session.user = server.context.request.user;
        callback(null, true);
    },
    canSubscribe: (session, subscribe, channel, callback) => callback(null, channel.name === '/v2/me/calls'),
    canCreate: (session, create, channel, callback) => callback(null, channel === '/v2/me/calls'),
    canPublish: (session, publish, channel, callback) => callback(null, false),
};

function refuse(response) {
    response.writeHead(403, { 'Content-Type': 'application/json' });
    response.end('{"statusCode":20,"statusMessage":"Access denied"}');
}

function login(request, response) {
    const basic = Buffer.from((request.headers.authorization || '').replace(/^Basic /, ''), 'base64').toString();
    const [user, password] = basic.split(':');
    if (password !== 'secret') return refuse(response);
    const [id, csrf] = [crypto.randomUUID(), crypto.randomUUID()];
    sessions.set(id, { user, csrf });
    response.writeHead(200, {
        'Set-Cookie': `JSESSIONID=${id}; Path=/; HttpOnly`,
        'X-CSRF-HEADER': 'X-CSRF-TOKEN',
        'X-CSRF-TOKEN': csrf,
    });
    response.end('{"statusCode":0}');
}

http.createServer((request, response) => {
    if (request.url === '/api/v2/me' && request.method === 'GET') return login(request, response);
    const id = /JSESSIONID=([^;]+)/.exec(request.headers.cookie || '');
    const session = id && sessions.get(id[1]);
    if (!session || request.headers['x-csrf-token'] !== session.csrf) return refuse(response);
    request.user = session.user;
    server.handle(request, response);
}).listen(port, '127.0.0.1', () => process.stderr.write('listening\n'));
