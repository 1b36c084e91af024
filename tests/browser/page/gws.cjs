// A GWS in little, by plain HTTP, with the CometD project's own server: for tests of the proxy and of the page.
// Says its port on standard output. `POST /test/event` publishes what it is given on the channel that it is given;
// `GET /test/asked` tells what was asked by REST, and every cookie that ever came.
const http = require("node:http");
const cometd = require("cometd-nodejs-server");

const server = cometd.createCometDServer({ timeout: 20000 });
const asked = [];
const cookies = new Set();
const user = {
  userName: "agent5001",
  firstName: "Ann",
  lastName: "Agent",
  devices: [{ id: "dev-1", phoneNumber: "5001", userState: { state: "NotReady" } }],
  channels: [{ name: "voice", state: "NotReady" }],
  calls: [],
};
const basic = `Basic ${Buffer.from("agent5001:secret").toString("base64")}`;

function publish(channel, data) {
  server.getServerChannel(channel)?.publish(null, data);
}

function json(response, status, body) {
  response.writeHead(status, { "Content-Type": "application/json" });
  response.end(JSON.stringify(body));
}

function rest(request, response, body) {
  const isIn = (request.headers.cookie ?? "").split("; ").includes("JSESSIONID=theirs");
  if (!isIn && request.headers.authorization !== basic) return json(response, 403, { statusCode: 20, statusMessage: "Access denied" });
  response.setHeader("Set-Cookie", ["JSESSIONID=theirs; Path=/; HttpOnly"]);
  response.setHeader("X-CSRF-HEADER", "X-CSRF-TOKEN");
  response.setHeader("X-CSRF-TOKEN", "token");
  if (request.method === "GET") return json(response, 200, { statusCode: 0, user });
  if (request.headers["x-csrf-token"] !== "token") return json(response, 403, { statusCode: 20, statusMessage: "No token" });
  asked.push([request.url, JSON.parse(body || "{}")]);
  return json(response, 200, { statusCode: 0 });
}

const web = http.createServer((request, response) => {
  for (const cookie of (request.headers.cookie ?? "").split("; ")) if (cookie) cookies.add(cookie.split("=")[0]);
  if (request.url.startsWith("/genesys/cometd")) {
    const isIn = (request.headers.cookie ?? "").includes("JSESSIONID=theirs");
    return isIn ? server.handle(request, response) : json(response, 403, { error: "Not authenticated" });
  }
  let body = "";
  request.on("data", (part) => (body += part));
  request.on("end", () => {
    if (request.url === "/test/asked") return json(response, 200, { asked, cookies: [...cookies] });
    if (request.url !== "/test/event") return rest(request, response, body);
    const { channel, data } = JSON.parse(body);
    publish(channel, data);
    return json(response, 200, {});
  });
});
web.listen(Number(process.argv[2] ?? 0), "127.0.0.1", () => console.log(web.address().port));
