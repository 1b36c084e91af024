import { UA, WebSocketInterface, debug } from "jssip";
import type { IceCandidateEvent, IncomingEvent, OutgoingEvent, RTCSession } from "jssip/lib/RTCSession";
import type { IncomingMessageEvent, IncomingRTCSessionEvent, OutgoingMessageEvent, OutgoingRTCSessionEvent } from "jssip/lib/UA";
import { address, failure, hints, named, shown, warning } from "./sip";

debug.disable();

export type Registration = "offline" | "connecting" | "registered" | "failed";

export type CallState = "dialing" | "ringing" | "early" | "incoming" | "established";

/** The one call of the phone, as the view shows it. */
export interface Call {
  state: CallState;
  peer: string;
  muted: boolean;
  held: boolean;
  /** The key that joins it to the call of the agent desktop. */
  callUuid?: string;
  /** `performance.now()` of the answer. */
  establishedAt?: number;
}

export interface Account {
  dn: string;
  /** The password, or what a tab keeps in its place over a reload. */
  secret: { password: string } | { ha1: string };
  domain: string;
  socketUrl: string;
}

export interface PhoneEvents {
  registration(state: Registration, why?: string): void;
  call(call: Call | null, ended?: string): void;
  remoteStream(stream: MediaStream): void;
  localStream(stream: MediaStream | null): void;
}

/** Type of what the gateway and this page say to each other within a call (INFO). */
const COMMAND_TYPE = "application/vnd.crosspoint+json";
/** Header of the INVITE that gives a reloaded page its call back; of the REGISTER that says that we know what it means. */
const RESUME = "X-Crosspoint-Resume";
/** Header of what the gateway says of our DN at the SIP Server: of the 200 to REGISTER, and of a MESSAGE later. */
const TRUNK = "X-Crosspoint-Trunk";

/** Header of either side's messages that names the call as the agent desktop knows it. */
const CALL_UUID = "X-Genesys-CallUUID";

/** How long a second call rings, ms, before it is busy: the word to answer it comes at once, or not at all. */
const SECOND_CALL_MS = 1500;

/** What every call asks of the browser: the microphone, and no servers, for the gateway is where it says. */
const AUDIO = { mediaConstraints: { audio: true, video: false }, pcConfig: { iceServers: [] } };

/** What JsSIP's types leave out of its sessions and of what is sent within them. */
interface Emitter<T> {
  once(event: string, listener: (told: T) => void): void;
}

/** Who looks after a second call beside the phone's own, and after what is wished of both. */
export interface SecondLine {
  /** A call of ours has begun; true: it is the second one. */
  takes(session: RTCSession): boolean;
  /** The gateway said something within the call. */
  told(message: Record<string, unknown>): void;
  /** What is said of the end of the call in place of the plain truth. */
  farewell(): string | null;
}

/** A softphone for one DN with one call at a time; a second caller hears busy. */
export class Phone {
  autoAnswer = false;
  #events: PhoneEvents;
  #ua: UA | null = null;
  #account: Account | null = null;
  #session: RTCSession | null = null;
  /** A second call that the agent desktop has made. */
  #beside: { session: RTCSession; peer: string } | null = null;
  #call: Call | null = null;
  /** The connection was lost since the last registration. */
  #cut = false;
  /** Takes a second call of ours, and what the gateway says of the first one. */
  second: SecondLine | null = null;

  constructor(events: PhoneEvents) {
    this.#events = events;
  }

  get call(): Call | null {
    return this.#call;
  }

  /** The number that is signed in. */
  get dn(): string | undefined {
    return this.#ua?.isRegistered() ? this.#account?.dn : undefined;
  }

  /** What a tab may keep to sign in again after a reload: good for this gateway alone, unlike the password. */
  get ha1(): string | null {
    return (this.#ua?.get("ha1") as string | null | undefined) ?? null;
  }

  /** `instance` names this tab, also after a reload, so that the gateway knows it again (RFC 5626). */
  signIn(account: Account, instance: string): void {
    this.signOut();
    this.#account = account;
    const ua = new UA({
      sockets: [new WebSocketInterface(account.socketUrl)],
      uri: `sip:${account.dn}@${account.domain}`,
      authorization_user: account.dn,
      ...("ha1" in account.secret ? { ha1: account.secret.ha1, realm: account.domain } : account.secret),
      instance_id: instance,
      register: true,
      register_expires: 120,
      session_timers: false,
      connection_recovery_min_interval: 1,
      connection_recovery_max_interval: 10,
      user_agent: "crosspoint-phone",
    });
    this.#ua = ua;
    ua.registrator().setExtraHeaders([`${RESUME}: yes`]);
    ua.on("connecting", () => this.#events.registration("connecting"));
    ua.on("disconnected", (e) => {
      this.#cut = true;
      if (this.#ua === ua) this.#events.registration("connecting", e.error ? "The gateway cannot be reached." : undefined);
    });
    ua.on("registered", (e) => {
      this.#events.registration("registered", warning(e.response.getHeader("Warning")));
      if (this.#cut) this.#mend();
      this.#cut = false;
    });
    ua.on("unregistered", () => {
      if (this.#ua === ua) this.#events.registration("connecting");
    });
    ua.on("registrationFailed", (e) => {
      const status = e.response?.status_code;
      const why =
        status === 401 || status === 403 || status === 407
          ? "DN or password is wrong."
          : status === 404
            ? "The gateway does not know this DN."
            : (e.response?.reason_phrase ?? "No answer from the gateway.");
      this.#events.registration("failed", why);
      if (status && status >= 400 && status < 500 && status !== 408) ua.stop();
    });
    ua.on("newMessage", (e: IncomingMessageEvent | OutgoingMessageEvent) => {
      if (this.#ua === ua && e.originator === "remote") this.#hear(e as IncomingMessageEvent, account.domain);
    });
    ua.on("newRTCSession", (e: IncomingRTCSessionEvent | OutgoingRTCSessionEvent) => this.#adopt(e));
    ua.start();
  }

  signOut(): void {
    const ua = this.#ua;
    this.#ua = null;
    ua?.stop();
    this.#events.registration("offline");
  }

  dial(number: string): void {
    if (!this.#ua || !this.#account || this.#session) return;
    this.#ua.call(address(number, this.#account.domain), AUDIO);
  }

  answer(): void {
    if (this.#call?.state === "incoming") {
      this.#session?.answer(AUDIO);
    }
  }

  hangUp(): void {
    const session = this.#session;
    if (!session || session.isEnded()) return;
    if (this.#call?.state === "incoming") session.terminate({ status_code: 603, reason_phrase: "Decline" });
    else session.terminate();
  }

  toggleMute(): void {
    if (!this.#session || !this.#call) return;
    if (this.#call.muted) this.#session.unmute({ audio: true });
    else this.#session.mute({ audio: true });
  }

  toggleHold(): void {
    if (!this.#session?.isEstablished() || !this.#call) return;
    if (this.#call.held) this.#session.unhold();
    else this.#session.hold();
  }

  /** Asks the gateway for something within the call. */
  wish(command: Record<string, string>, refused: (status: number) => void): void {
    const session = this.#session;
    if (!session?.isEstablished()) return;
    // JsSIP takes no handlers of an INFO, but shows it before it goes.
    const failed = (e: { response?: { status_code: number } | null }) => refused(e.response?.status_code ?? 0);
    (session as unknown as Emitter<{ info: Emitter<{ response?: { status_code: number } | null }> }>).once("newInfo", ({ info }) => info.once("failed", failed));
    session.sendInfo(COMMAND_TYPE, JSON.stringify(command));
  }

  /** Takes the other party back from hold, where it is there, and goes on. */
  retrieve(done: () => void): void {
    if (this.#call?.held && this.#session) this.#session.unhold({}, done);
    else done();
  }

  /** Shows the call once more: what can be done with it has changed. */
  show(): void {
    if (this.#call) this.#update(this.#call);
  }

  /** Somebody else is in the call now. */
  joined(number: string): void {
    if (this.#call) this.#update({ ...this.#call, peer: `${this.#call.peer} + ${number}` });
  }

  /** Calls somebody else beside the call; [`SecondLine`] is asked whether it is the second one. */
  dialBeside(number: string): void {
    if (!this.#ua || !this.#account || !this.#session) return;
    this.#ua.call(address(number, this.#account.domain), AUDIO);
  }

  /** Sends a key of the pad: as RFC 4733 where media flows, which keeps its timing. */
  sendDigit(digit: string): void {
    const sender = this.#session?.connection?.getSenders().find((s) => s.dtmf);
    if (sender?.dtmf?.canInsertDTMF) sender.dtmf.insertDTMF(sender.dtmf.toneBuffer + digit, 120, 60);
    else if (this.#session?.isEstablished()) this.#session.sendDTMF(digit, { duration: 120 });
  }

  #adopt({ session, originator, request }: IncomingRTCSessionEvent | OutgoingRTCSessionEvent): void {
    if (originator === "local" && this.second?.takes(session)) return;
    const incoming = originator === "remote";
    if (this.#session) {
      if (incoming && !this.#beside) this.#consider(session, request);
      else session.terminate({ status_code: 486, reason_phrase: "Busy Here" });
      return;
    }
    const resumed = incoming ? request.getHeader(RESUME) : undefined;
    const party = incoming ? request.from : request.to;
    const unasked = incoming && /answer-after=0|info=alert-autoanswer/.test(hints(request));
    // Called by nobody: the gateway keeps the line for calls that are answered elsewhere (answer = "nailed").
    const standing = unasked && party.uri.host === "anonymous.invalid";
    this.#session = session;
    const callUuid: string | undefined = incoming ? request.getHeader(CALL_UUID) : undefined;
    const peer = standing ? "Standing line" : shown(party);
    this.#update({ state: incoming ? "incoming" : "dialing", peer, muted: false, held: false, ...(callUuid && { callUuid }) });

    if (session.connection) this.#listen(session.connection);
    session.on("peerconnection", (e) => this.#listen(e.peerconnection));
    // The gateway needs no candidates: the first one ends the wait for the others.
    session.on("icecandidate", (e: IceCandidateEvent) => e.ready());
    session.on("progress", (e: IncomingEvent | OutgoingEvent) => {
      if (incoming || !this.#call) return;
      const early = e.originator === "remote" && "response" in e && Boolean(e.response.body);
      this.#update({ ...this.#call, state: early ? "early" : "ringing" });
    });
    session.on("accepted", (e: IncomingEvent | OutgoingEvent) => {
      const told: string | undefined = !incoming && "response" in e ? e.response.getHeader(CALL_UUID) : undefined;
      if (told && this.#call) this.#call = { ...this.#call, callUuid: told };
      if (this.#call) this.#update({ ...this.#call, state: "established", establishedAt: performance.now() });
    });
    session.on("confirmed", () => {
      // The call was on hold when the page went: the gateway holds it still, this end does not know yet.
      if (resumed?.includes("held")) session.hold();
    });
    session.on("hold", (e) => e.originator === "local" && this.#call && this.#update({ ...this.#call, held: true }));
    session.on("unhold", (e) => e.originator === "local" && this.#call && this.#update({ ...this.#call, held: false }));
    session.on("newInfo", (e: { originator: string; info: { contentType: string; body: string } }) => {
      if (e.originator === "remote" && e.info.contentType.startsWith(COMMAND_TYPE)) this.#obey(e.info.body);
    });
    session.on("muted", () => this.#call && this.#update({ ...this.#call, muted: true }));
    session.on("unmuted", () => this.#call && this.#update({ ...this.#call, muted: false }));
    session.on("getusermediafailed", () => this.#ended("The browser did not give access to the microphone."));
    session.on("failed", (e) => {
      const status = e.message && "status_code" in e.message ? e.message.status_code : undefined;
      this.#ended(failure(e.cause, status));
    });
    session.on("ended", () => this.#ended(this.second?.farewell() ?? "Call ended"));
    if (incoming && (this.autoAnswer || resumed || unasked)) queueMicrotask(() => this.answer());
  }

  /**
   * A second call: somebody who hears busy, unless the agent desktop has it made, to ask before it hands the first one on.
   * That one is told to answer at once; it is heard beside the first, of which the gateway keeps one silent.
   */
  #consider(session: RTCSession, request: { from: { display_name: string; uri: { user: string } }; getHeader(name: string): string | undefined }): void {
    const busy = window.setTimeout(() => session.terminate({ status_code: 486, reason_phrase: "Busy Here" }), SECOND_CALL_MS);
    const sound = new Audio();
    const answer = () => {
      window.clearTimeout(busy);
      if (this.#beside || session.isEstablished() || session.isEnded()) return;
      this.#beside = { session, peer: shown(request.from) };
      session.answer(AUDIO);
    };
    session.on("peerconnection", ({ peerconnection }) =>
      peerconnection.addEventListener("track", (e) => {
        sound.srcObject = e.streams[0] ?? new MediaStream([e.track]);
        void sound.play().catch(() => {});
      }),
    );
    session.on("icecandidate", (e: IceCandidateEvent) => e.ready());
    session.on("newInfo", (e: { originator: string; info: { contentType: string; body: string } }) => {
      if (e.originator !== "remote" || !e.info.contentType.startsWith(COMMAND_TYPE)) return;
      if (this.#session === session) this.#obey(e.info.body);
      else if (/"command"\s*:\s*"answer"/.test(e.info.body)) answer();
    });
    const over = () => {
      window.clearTimeout(busy);
      sound.srcObject = null;
      if (this.#beside?.session === session) this.#beside = null;
      if (this.#session === session) this.#ended("Call ended");
    };
    session.on("ended", over);
    session.on("failed", over);
    if (/answer-after=0|info=alert-autoanswer/.test(hints(request))) queueMicrotask(answer);
  }

  /** The gateway wants something of this end of the call: the agent desktop's buttons are not ours. */
  #obey(body: string): void {
    let message: unknown;
    try {
      message = JSON.parse(body);
    } catch {
      return;
    }
    if (typeof message !== "object" || message === null) return;
    const told = message as Record<string, unknown>;
    if (told.command === "answer") this.answer();
    else if (told.command === "retrieve" && this.#call?.held) this.#session?.unhold();
    else if (told.event === "party" && this.#call) this.#update({ ...this.#call, peer: named(told) });
    else this.second?.told(told);
  }

  /** The SIP Server thinks otherwise of our DN than it did when we signed in. */
  #hear({ request }: IncomingMessageEvent, domain: string): void {
    const word: string | undefined = request.getHeader(TRUNK);
    if (!word || request.from.uri.host !== domain || !this.#ua?.isRegistered()) return;
    this.#events.registration("registered", word === "registered" ? undefined : request.body);
  }

  /** The connection is back, perhaps over another network: the call's media looks for its way anew. */
  #mend(): void {
    if (this.#session?.isEstablished()) this.#session.renegotiate({ rtcOfferConstraints: { iceRestart: true } });
  }

  #listen(connection: RTCPeerConnection): void {
    connection.addEventListener("track", (e) => {
      this.#events.remoteStream(e.streams[0] ?? new MediaStream([e.track]));
    });
    connection.addEventListener("signalingstatechange", () => {
      const track = connection.getSenders().find((s) => s.track?.kind === "audio")?.track;
      if (track) this.#events.localStream(new MediaStream([track]));
    });
  }

  #update(call: Call): void {
    this.#call = call;
    this.#events.call(call);
  }

  #ended(why: string): void {
    const beside = this.#beside;
    this.#beside = null;
    if (beside?.session.isEstablished()) {
      // The first one has gone; the phone's call is the other one from here on.
      this.#session = beside.session;
      this.#update({ state: "established", peer: beside.peer, muted: false, held: false, establishedAt: performance.now() });
      return;
    }
    this.#session = null;
    this.#call = null;
    this.#events.localStream(null);
    this.#events.call(null, why);
  }
}
