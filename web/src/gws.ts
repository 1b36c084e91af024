import { CometD, type Message } from "cometd";
import AckExtension from "cometd/AckExtension";
import { basic } from "./page";

/** A call as the GWS tells of it; what nobody told is not there. */
export interface DeskCall {
  id: string;
  state: string;
  callUuid?: string;
  connId?: string;
  callType?: string;
  dnis?: string;
  participants?: { phoneNumber?: string; digits?: string; formattedPhoneNumber?: string }[];
  capabilities?: string[];
  userData?: Record<string, unknown>;
  /** Seconds so far, as text. */
  duration?: string;
}

/** What the agent does. */
export interface AgentState {
  state: string;
  reason?: string;
  /** When it ends by itself, ms since 1970 by the clock of this browser. */
  until?: number;
}

export interface GwsEvents {
  /** `why` stands where the person must do something. */
  status(status: "offline" | "connecting" | "connected" | "lost", why?: string): void;
  call(call: DeskCall): void;
  /** All calls that there are: what is not among them is over, but for the `newer`, of which events told meanwhile. */
  calls(calls: DeskCall[], newer: Set<string>): void;
  agent(state: AgentState): void;
  interaction(data: Record<string, unknown>): void;
}

/** A refusal of the GWS, in its own words. */
export class Refused extends Error {
  constructor(
    message: string,
    readonly status: number,
  ) {
    super(message);
  }
}

/** The agent as `/me` shows it. */
export interface Me {
  userName?: string;
  firstName?: string;
  lastName?: string;
  devices?: Device[];
  channels?: { name?: string; state?: string; until?: number; userState?: UserState }[];
  calls?: DeskCall[];
}

interface UserState {
  state?: string;
  reason?: string;
  until?: number;
}

interface Device {
  id?: string;
  phoneNumber?: string;
  userState?: UserState;
}

const CHANNELS = ["/v2/me/calls", "/v2/me/devices", "/v2/me/state", "/v2/me/interactions"];
/** Where CometD is: by the GWS's own name, and by that of its API. */
const COMETD_PATHS = ["/genesys/cometd", "/api/v2/notifications"];
const PATIENCE_MS = 15_000;

/** An agent's session at one GWS: REST for what the agent wants, CometD for what happens. */
export class Gws {
  /** The agent, once connected. */
  me: Me = {};
  #base: string;
  #events: GwsEvents;
  #cometd: CometD | null = null;
  /** A CometD that is not ours to end: the desktop's around us. */
  #borrowed = false;
  #csrf: [name: string, token: string] | null = null;
  #dn: string | undefined;
  /** Calls that events told of since the snapshot was asked for. */
  #heard = new Set<string>();
  #over = false;

  /** `base` stands before `/api/v2` and `/genesys/cometd`; empty: our own origin. `dn` is that of the phone beside it. */
  constructor(base: string, dn: string | undefined, events: GwsEvents) {
    this.#base = base;
    this.#dn = dn;
    this.#events = events;
  }

  /** The device that the agent works at: that of `dn`, where the agent has it. */
  get device(): Device | undefined {
    const devices = this.me.devices ?? [];
    return devices.find((device) => device.phoneNumber === this.#dn) ?? devices[0];
  }

  /** Logs in, or takes up the login that the browser still has where no password is given; then listens. */
  async connect(secret?: { user: string; password: string }, borrowed?: CometD): Promise<void> {
    this.#events.status("connecting");
    try {
      await this.#load(secret);
      const dn = this.device?.phoneNumber === this.#dn && this.#dn !== undefined ? { dn: this.#dn } : {};
      await this.#post("/me", { operationName: "StartContactCenterSession", channels: ["voice"], ...dn });
    } catch (error) {
      this.#over = true;
      this.#events.status("offline", said(error, secret !== undefined));
      throw error;
    }
    if (borrowed) this.#listen(borrowed, true);
    else this.#shakeHands(0);
  }

  /** Logs out, and listens no more. */
  async disconnect(): Promise<void> {
    this.#over = true;
    const cometd = this.#cometd;
    this.#cometd = null;
    this.#events.status("offline");
    try {
      await this.#post("/me", { operationName: "EndContactCenterSession" });
      if (!this.#borrowed) await this.#post("/logout", {});
    } catch {
      // The login may be over already; its end was what we wanted.
    }
    if (!this.#borrowed) cometd?.disconnect();
  }

  /** Asks something of a call. */
  async operate(call: string, operationName: string, more: Record<string, unknown> = {}): Promise<void> {
    await this.#post(`/me/calls/${encodeURIComponent(call)}`, { operationName, ...more });
  }

  async dial(number: string): Promise<void> {
    const device = encodeURIComponent(this.device?.id ?? this.device?.phoneNumber ?? "");
    await this.#post(`/me/devices/${device}/calls`, { operationName: "Dial", destination: { phoneNumber: number } });
  }

  async ready(): Promise<void> {
    await this.#post("/me/channels/voice", { operationName: "Ready" });
  }

  async notReady(reason?: string): Promise<void> {
    await this.#post("/me/channels/voice", { operationName: "NotReady", ...(reason && { reason }) });
  }

  #post(path: string, body: Record<string, unknown>): Promise<Record<string, unknown>> {
    return this.#request("POST", path, body);
  }

  async #request(
    method: string,
    path: string,
    body?: Record<string, unknown>,
    secret?: { user: string; password: string },
  ): Promise<Record<string, unknown>> {
    const headers: Record<string, string> = {};
    if (body) headers["Content-Type"] = "application/json";
    if (secret) headers.Authorization = basic(secret.user, secret.password);
    if (this.#csrf && method !== "GET") headers[this.#csrf[0]] = this.#csrf[1];
    const response = await fetch(`${this.#base}/api/v2${path}`, {
      method,
      headers,
      credentials: "include",
      cache: "no-store",
      signal: AbortSignal.timeout(PATIENCE_MS),
      ...(body && { body: JSON.stringify(body) }),
    });
    const [name, token] = [response.headers.get("X-CSRF-HEADER"), response.headers.get("X-CSRF-TOKEN")];
    if (name && token) this.#csrf = [name, token];
    const text = await response.text();
    const answer = object(parsed(text));
    const code = answer.statusCode;
    if (response.ok && (code === undefined || code === 0)) return answer;
    const plain = response.headers.get("Content-Type")?.startsWith("text/plain") ? text.trim().slice(0, 200) : "";
    throw new Refused(string(answer.statusMessage) || plain || `The GWS answered ${response.status}.`, response.status);
  }

  async #load(secret?: { user: string; password: string }): Promise<void> {
    this.#heard.clear();
    const answer = await this.#request("GET", "/me?subresources=devices,channels,calls", undefined, secret);
    this.me = object(answer.user ?? answer) as Me;
  }

  /** Shows what `/me` said, but for calls that an event has told newer things of. */
  #show(): void {
    const calls = Array.isArray(this.me.calls) ? this.me.calls : [];
    this.#events.calls(calls, this.#heard);
    const voice = this.me.channels?.find((channel) => channel.name === undefined || channel.name === "voice");
    const told: UserState | undefined = voice?.userState ?? this.me.devices?.[0]?.userState ?? (voice && { state: voice.state ?? "" });
    const until = typeof voice?.until === "number" ? { until: voice.until } : {};
    if (told?.state) this.#events.agent({ state: told.state, ...(told.reason && { reason: told.reason }), ...until });
  }

  #shakeHands(path: number): void {
    const cometd = new CometD("crosspoint");
    // A script of another server has no business in this page.
    cometd.unregisterTransport("callback-polling");
    // Its timers in a worker would be a script that our Content-Security-Policy does not know: see useWorkerScheduler.
    cometd.registerExtension("ack", new AckExtension());
    cometd.configure({ url: absolute(`${this.#base}${COMETD_PATHS[path]}`), logLevel: "warn", maxBackoff: 10_000, useWorkerScheduler: false });
    cometd.addListener("/meta/handshake", (reply) => {
      if (this.#over || this.#cometd !== cometd) return;
      if (reply.successful) return;
      const next = path + 1;
      if (httpCode(reply) === 404 && next < COMETD_PATHS.length) {
        cometd.disconnect();
        this.#shakeHands(next);
      } else if (reply.advice?.reconnect === "none") {
        this.#over = true;
        this.#events.status("offline", "The GWS has ended this login. Connect again.");
      } else {
        this.#events.status("lost");
      }
    });
    this.#listen(cometd, false);
    cometd.handshake();
  }

  #listen(cometd: CometD, borrowed: boolean): void {
    this.#cometd = cometd;
    this.#borrowed = borrowed;
    let isUp = borrowed;
    const up = () => {
      this.#events.status("connected");
      // What happened while nobody listened is only in the snapshot.
      this.#load().then(
        () => this.#show(),
        (error: unknown) => this.#events.status("lost", said(error, false)),
      );
    };
    const subscribe = () =>
      cometd.batch(() => CHANNELS.forEach((channel) => cometd.subscribe(channel, (message) => this.#hear(channel, message))));
    if (borrowed) {
      subscribe();
      up();
    } else {
      cometd.addListener("/meta/handshake", (reply) => {
        if (reply.successful && this.#cometd === cometd) subscribe();
      });
    }
    cometd.addListener("/meta/connect", (reply) => {
      if (this.#over || this.#cometd !== cometd) return;
      const was = isUp;
      isUp = reply.successful === true;
      if (!was && isUp) up();
      if (was && !isUp) this.#events.status("lost");
    });
  }

  #hear(channel: string, message: Message): void {
    if (this.#over) return;
    const data = object(message.data);
    if (channel === "/v2/me/calls") {
      const call = object(data.call);
      if (typeof call.id !== "string" || typeof call.state !== "string") return;
      this.#heard.add(call.id);
      this.#events.call(call as unknown as DeskCall);
    } else if (channel === "/v2/me/state") {
      if (typeof data.state !== "string") return;
      // The server's clock may be another one than ours.
      const ahead = typeof data.timestamp === "number" ? data.timestamp - Date.now() : 0;
      const until = typeof data.until === "number" ? { until: data.until - ahead } : {};
      this.#events.agent({ state: data.state, ...(string(data.reason) && { reason: string(data.reason) }), ...until });
    } else if (channel === "/v2/me/devices") {
      // A GWS that knows no /v2/me/state says it here.
      const told = object(object(Array.isArray(data.devices) ? data.devices[0] : undefined).userState);
      const reason = string(told.reason);
      if (typeof told.state === "string") this.#events.agent({ state: told.state, ...(reason && { reason }) });
    } else {
      this.#events.interaction(data);
    }
  }
}

/** The CometD of the agent desktop that this page is a widget of, where that lets itself be reached. */
export function surrounding(): { cometd: CometD; base: string } | null {
  try {
    if (window.parent === window) return null;
    const host = window.parent as unknown as { genesys?: { wwe?: { cometd?: CometD } } };
    const cometd = host.genesys?.wwe?.cometd;
    const url = cometd?.getURL();
    if (!cometd || !url) return null;
    const at = new URL(url, window.parent.location.href);
    const path = COMETD_PATHS.find((path) => at.pathname.endsWith(path));
    if (at.origin !== location.origin || !path) return null;
    return { cometd, base: at.pathname.slice(0, -path.length) };
  } catch {
    // Another site's: not for us to look into.
    return null;
  }
}

function said(error: unknown, wasTried: boolean): string {
  if (error instanceof Refused) {
    if (error.status === 401 || error.status === 403) return wasTried ? "User or password is wrong." : "";
    return error.message;
  }
  return "The GWS cannot be reached.";
}

/** `fetch` resolves paths by itself, a WebSocket of older browsers does not. */
function absolute(url: string): string {
  return new URL(url, location.href).href;
}

function httpCode(reply: Message): number | undefined {
  const failure = (reply as unknown as { failure?: { httpCode?: number } }).failure;
  return failure?.httpCode;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function object(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}

function string(value: unknown): string {
  return typeof value === "string" ? value : "";
}
