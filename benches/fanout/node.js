// The other server: publishes to /fan/out what it is told to, COUNT events every INTERVAL_MS.
//
//   node node.js FOLDER_OF_COMETD_NODEJS_SERVER
'use strict';
const http = require('http');
const readline = require('readline');
const cometd = require(process.argv[2]);

const server = cometd.createCometDServer({ timeout: 60000, maxInterval: 10000 });
const channel = server.createServerChannel('/fan/out');
channel.persistent = true;
const filling = 'x'.repeat(500);

const web = http.createServer(server.handle);
web.listen(0, '127.0.0.1', () => console.log(web.address().port));

readline.createInterface({ input: process.stdin }).on('line', (line) => {
    const [, count, interval] = line.split(' ');
    let left = Number(count);
    const timer = setInterval(() => {
        channel.publish(null, { sent_ns: Number(process.hrtime.bigint()), filling });
        left -= 1;
        if (left === 0) {
            clearInterval(timer);
            console.log('done');
        }
    }, Number(interval));
}).on('close', () => process.exit(0));
