import JsSIP from "jssip";
import { Audio, statistics } from "./audio.js";

JsSIP.debug.disable();

/** JsSIP as an agent's phone. */
export class JssipAgent {
  registration = "offline";
  call = "idle";
  cause = "";
  status = 0;
  log = [];
  /** Calls that came in. */
  rung = 0;

  async start({ url, dn, domain, password, hz, amplitude, options }) {
    this.audio = await Audio.open(hz, amplitude);
    this.ua = new JsSIP.UA({
      sockets: [new JsSIP.WebSocketInterface(url)],
      uri: `sip:${dn}@${domain}`,
      password,
      register_expires: 120,
      // Kept over a reload, as RFC 5626 4.1 wants it; JsSIP by itself makes a new one each time.
      instance_id: (sessionStorage.instance ??= crypto.randomUUID()),
      connection_recovery_min_interval: 1,
      connection_recovery_max_interval: 2,
      ...options,
    });
    this.domain = domain;
    this.ua.on("registered", () => (this.registration = "registered"));
    this.ua.on("unregistered", () => (this.registration = "unregistered"));
    this.ua.on("registrationFailed", (e) => {
      this.registration = "failed";
      this.status = e.response?.status_code ?? 0;
    });
    this.ua.on("disconnected", () => {
      this.log.push("disconnected");
      this.registration = "disconnected";
    });
    this.ua.on("newRTCSession", ({ session, originator, request }) => {
      this.session = session;
      const resumed = originator === "remote" && request.getHeader("X-Crosspoint-Resume");
      if (resumed) {
        this.log.push(`resumed ${resumed}`);
        queueMicrotask(() => this.answer());
        if (resumed.includes("held")) session.on("confirmed", () => session.hold());
      } else if (originator === "remote" && /answer-after=0/.test(request.getHeader("Call-Info") ?? "")) {
        // What any phone does that answers by itself (answer = "deferred" or "nailed").
        queueMicrotask(() => this.answer());
      }
      if (originator === "remote") {
        this.call = "incoming";
        this.rung++;
        this.peer = request.from.uri.user;
        this.headers = request.data;
      }
      this.#follow(session);
    });
    this.ua.start();
  }

  #follow(session) {
    const listen = (pc) => pc.addEventListener("track", (e) => this.audio.hear(e.streams[0] ?? new MediaStream([e.track])));
    if (session.connection) listen(session.connection);
    session.on("peerconnection", (e) => listen(e.peerconnection));
    session.on("icecandidate", (e) => e.ready());
    session.on("progress", (e) => {
      if (e.originator !== "remote") return;
      this.call = e.response?.body ? "early" : "ringing";
      this.log.push(`progress ${e.response?.status_code}`);
    });
    session.on("accepted", () => this.log.push("accepted"));
    session.on("confirmed", () => {
      this.call = "established";
      this.log.push("confirmed");
    });
    session.on("hold", (e) => this.log.push(`hold ${e.originator}`));
    session.on("unhold", (e) => this.log.push(`unhold ${e.originator}`));
    session.on("newInfo", (e) => {
      this.log.push(`info ${e.originator} ${e.info.contentType}`);
      // What the gateway's own page does: the desk answers, nobody clicks.
      const isCommand = e.originator === "remote" && e.info.contentType === "application/vnd.crosspoint+json";
      if (isCommand && JSON.parse(e.info.body).command === "answer" && this.call === "incoming") this.answer();
    });
    session.on("failed", (e) => this.#over("failed", e));
    session.on("ended", (e) => this.#over("ended", e));
  }

  #over(how, e) {
    this.call = how;
    this.cause = e.cause;
    this.status = e.message?.status_code ?? 0;
    this.by = e.originator;
    this.log.push(how);
  }

  options() {
    return { mediaStream: this.audio.stream(), pcConfig: { iceServers: [] } };
  }

  dial(number) {
    this.call = "dialing";
    this.session = this.ua.call(`sip:${number}@${this.domain}`, this.options());
  }
  answer() {
    this.session.answer(this.options());
  }
  reject(status) {
    this.session.terminate({ status_code: status });
  }
  hangUp() {
    this.session.terminate();
  }
  digitByInfo(digit) {
    this.session.sendDTMF(digit, { duration: 160 });
  }
  digitByRtp(digits, ms = 160) {
    this.session.connection.getSenders()[0].dtmf.insertDTMF(digits, ms, 70);
  }
  hold() {
    this.session.hold();
  }
  unhold() {
    this.session.unhold();
  }
  /** Puts the call on hold, and calls somebody else. */
  consult(number) {
    this.first = this.session;
    this.first.hold();
    this.dial(number);
  }
  refer(number) {
    this.#refer(this.session, number, {});
  }
  /** Hands the first call on to the second one's party. */
  complete(number) {
    this.#refer(this.first, number, { replaces: this.session });
  }
  #refer(session, number, options) {
    this.transfer = "asked";
    const follow = (name) => (e) => {
      const status = e?.status_line?.status_code ?? e?.response?.status_code ?? 0;
      this.log.push(`refer ${name} ${status}`);
      if (name === "accepted" || name === "failed" || name === "requestFailed") this.transfer = name;
    };
    const names = ["requestSucceeded", "requestFailed", "trying", "progress", "accepted", "failed"];
    const eventHandlers = Object.fromEntries(names.map((name) => [name, follow(name)]));
    session.refer(`sip:${number}@${this.domain}`, { ...options, eventHandlers });
  }
  /** Takes the first call back from hold and makes three of the two, as our own page does: the first is the one that stays. */
  confer() {
    const { first, session: second } = this;
    const command = JSON.stringify({ command: "conference", with: second._request.call_id });
    // 491: the trunk is still being told that nobody is on hold.
    const failed = (e) => {
      const status = e.response?.status_code ?? 0;
      this.log.push(`refused ${status}`);
      if (status === 491) setTimeout(ask, 300);
    };
    // JsSIP takes no handlers of an INFO, but shows it before it goes.
    const ask = () => {
      first.once("newInfo", ({ info }) => info.on("failed", failed));
      first.sendInfo("application/vnd.crosspoint+json", command);
    };
    second.on("ended", () => {
      this.session = first;
      this.audio.hear(new MediaStream(first.connection.getReceivers().map((receiver) => receiver.track)));
    });
    first.unhold({}, ask);
  }
  press(keys) {
    this.digitByRtp(keys);
  }
  /** What our own page sends: a wish, by INFO. */
  wish(command) {
    this.session.sendInfo("application/vnd.crosspoint+json", JSON.stringify(command));
  }
  callIdOfFirst() {
    return this.first._request.call_id;
  }
  measure(ms) {
    return this.audio.measure(ms);
  }
  stats() {
    return statistics(this.session?.connection);
  }
  stop() {
    this.ua.stop();
  }
  see() {
    const { registration, call, cause, status, log, peer, by } = this;
    return { registration, call, cause, status, log, peer, by };
  }
}
