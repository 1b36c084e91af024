import { CometD } from "cometd";
import { basic, element } from "./page";

/** What a widget says of itself, as in GWS's widget API. */
interface Widget {
  id: string;
  title: string;
  url: string;
  width: number;
  height: number;
}

/** The desktop's own CometD: widgets of the same origin listen by it. */
const cometd = new CometD("desktop");
cometd.unregisterTransport("callback-polling");
cometd.configure({ url: new URL("/genesys/cometd", location.href).href, logLevel: "warn", useWorkerScheduler: false });

function registerWidget({ id, title, url, width, height }: Widget): void {
  const frame = document.createElement("iframe");
  frame.id = id;
  frame.title = title;
  frame.src = url;
  frame.width = String(width);
  frame.height = String(height);
  // Without it a frame of another origin has no microphone.
  frame.allow = "microphone; autoplay";
  element("widgets").append(frame);
}

Object.assign(window, { genesys: { wwe: { cometd, service: { registerWidget } } } });

/** As a desktop does: the cookie comes by REST, for no WebSocket can bring one, and widgets share it. */
async function logIn(user: string, password: string): Promise<boolean> {
  const answer = await fetch("/api/v2/me", { headers: { Authorization: basic(user, password) }, cache: "no-store" });
  return answer.ok;
}

element<HTMLFormElement>("log-in").addEventListener("submit", (e) => {
  e.preventDefault();
  const refused = () => (element("status").textContent = "The login was refused.");
  logIn(element<HTMLInputElement>("user").value, element<HTMLInputElement>("password").value).then((isIn) => {
    if (!isIn) return refused();
    return cometd.handshake((reply) => {
      if (!reply.successful) return refused();
      element("status").textContent = "Connected";
      element("log-in").hidden = true;
      registerWidget({ id: "webrtc-phone", title: "WebRTC Phone", url: "index.html", width: 300, height: 500 });
    });
  }, refused);
});
