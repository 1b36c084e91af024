import { Inviter, Registerer, RegistererState, SessionState, UserAgent, Web } from "sip.js";
import { Audio, statistics } from "./audio.js";

/** SIP.js as an agent's phone. */
export class SipjsAgent {
  registration = "offline";
  call = "idle";
  cause = "";
  status = 0;
  log = [];
  /** Calls that came in. */
  rung = 0;

  async start({ url, dn, domain, password, hz, amplitude, options }) {
    this.audio = await Audio.open(hz, amplitude);
    this.domain = domain;
    this.ua = new UserAgent({
      uri: UserAgent.makeURI(`sip:${dn}@${domain}`),
      transportOptions: { server: url },
      authorizationUsername: dn,
      authorizationPassword: password,
      logLevel: "error",
      reconnectionAttempts: 30,
      reconnectionDelay: 1,
      sessionDescriptionHandlerFactory: Web.defaultSessionDescriptionHandlerFactory(async () => this.audio.stream()),
      sessionDescriptionHandlerFactoryOptions: { iceGatheringTimeout: 500, peerConnectionConfiguration: { iceServers: [] } },
      delegate: {
        onInvite: (invitation) => {
          this.session = invitation;
          this.call = "incoming";
          this.rung++;
          this.peer = invitation.remoteIdentity.uri.user;
          invitation.delegate = { ...invitation.delegate, onCancel: () => (this.cause = "Canceled") };
          this.#follow(invitation);
          const resumed = invitation.request.getHeader("X-Crosspoint-Resume");
          if (resumed) {
            this.log.push(`resumed ${resumed}`);
            queueMicrotask(() => this.answer());
          } else if (/answer-after=0/.test(invitation.request.getHeader("Call-Info") ?? "")) {
            // What any phone does that answers by itself (answer = "deferred").
            queueMicrotask(() => this.answer());
          }
        },
        // SIP.js registers again where its page makes it.
        onConnect: () => this.registerer?.register({ requestDelegate: { onAccept: () => (this.registration = "registered") } }),
        onDisconnect: () => {
          this.log.push("disconnected");
          this.registration = "disconnected";
        },
      },
      ...options,
    });
    await this.ua.start();
    this.registerer = new Registerer(this.ua, { expires: 120 });
    this.registerer.stateChange.addListener((state) => {
      if (state === RegistererState.Registered) this.registration = "registered";
      if (state === RegistererState.Unregistered) this.registration = "unregistered";
    });
    await this.registerer.register({
      requestDelegate: {
        onReject: (response) => {
          this.registration = "failed";
          this.status = response.message.statusCode ?? 0;
        },
      },
    });
  }

  #follow(session) {
    session.stateChange.addListener((state) => {
      this.log.push(state);
      if (state === SessionState.Established) {
        this.call = "established";
        this.audio.hear(session.sessionDescriptionHandler.remoteMediaStream);
      } else if (state === SessionState.Terminated) {
        // Two calls may end one after the other.
        this.call = ["established", "ended"].includes(this.call) ? "ended" : "failed";
      }
    });
    session.delegate = {
      ...session.delegate,
      onBye: () => (this.by = "remote"),
      onSessionDescriptionHandler: (handler) => {
        handler.peerConnectionDelegate = { ontrack: (e) => this.audio.hear(e.streams[0] ?? new MediaStream([e.track])) };
      },
    };
  }

  async dial(number) {
    this.call = "dialing";
    const inviter = new Inviter(this.ua, UserAgent.makeURI(`sip:${number}@${this.domain}`), { earlyMedia: true });
    this.session = inviter;
    this.#follow(inviter);
    await inviter.invite({
      requestDelegate: {
        onProgress: (response) => {
          const status = response.message.statusCode;
          if (status > 100) this.call = response.message.body ? "early" : "ringing";
          this.log.push(`progress ${status}`);
        },
        onReject: (response) => {
          this.status = response.message.statusCode ?? 0;
          this.cause = response.message.reasonPhrase ?? "";
        },
      },
    });
  }
  // What SIP.js returns cannot be handed over WebDriver: nothing is returned.
  async answer() {
    await this.session.accept();
  }
  async reject(status) {
    await this.session.reject({ statusCode: status });
  }
  async hangUp() {
    switch (this.session.state) {
      case SessionState.Initial:
      case SessionState.Establishing:
        await (this.session instanceof Inviter ? this.session.cancel() : this.session.reject());
        break;
      default:
        await this.session.bye();
    }
  }
  async digitByInfo(digit) {
    await this.session.info({
      requestOptions: {
        body: { contentDisposition: "render", contentType: "application/dtmf-relay", content: `Signal=${digit}\r\nDuration=160` },
      },
    });
  }
  async press(keys) {
    for (const key of keys) await this.digitByInfo(key);
  }
  digitByRtp(digits, ms = 160) {
    this.session.sessionDescriptionHandler.peerConnection.getSenders()[0].dtmf.insertDTMF(digits, ms, 70);
  }
  async hold() {
    await this.session.invite({ sessionDescriptionHandlerModifiers: [Web.holdModifier] });
  }
  async unhold() {
    await this.session.invite({ sessionDescriptionHandlerModifiers: [] });
  }
  async consult(number) {
    this.first = this.session;
    await this.dial(number);
  }
  async refer(number) {
    await this.#refer(this.session, UserAgent.makeURI(`sip:${number}@${this.domain}`));
  }
  /** Hands the first call on to the second one's party. */
  async complete() {
    await this.#refer(this.first, this.session);
  }
  async #refer(session, to) {
    this.transfer = "asked";
    await session.refer(to, {
      onNotify: (notification) => {
        const status = Number(/^SIP\/2.0 (\d+)/.exec(notification.request.body)?.[1] ?? 0);
        this.log.push(`refer ${status}`);
        if (status >= 200) this.transfer = status < 300 ? "accepted" : "failed";
        notification.accept();
      },
      requestDelegate: { onReject: () => (this.transfer = "requestFailed") },
    });
  }
  measure(ms) {
    return this.audio.measure(ms);
  }
  stats() {
    return statistics(this.session?.sessionDescriptionHandler?.peerConnection);
  }
  stop() {
    return this.ua.stop();
  }
  see() {
    const { registration, call, cause, status, log, peer, by } = this;
    return { registration, call, cause, status, log, peer, by };
  }
}
