import { CallCard, parties } from "./callcard";
import type { PhoneConfig } from "./config";
import { Gws, Refused, surrounding, type AgentState, type DeskCall } from "./gws";
import { clock, element, typedNumber } from "./page";
import type { Call, Phone } from "./phone";

const PLACE_KEY = "crosspoint.gws";
const USER_KEY = "crosspoint.gws-user";
const AUTO_ANSWER_KEY = "crosspoint.gws-auto-answer";
const CONTROLS_KEY = "crosspoint.gws-controls";
/** How long a call that is over is still shown, ms; in after-call work until that is done. */
const FAREWELL_MS = 4000;
/** Interactions that are shown. */
const MAX_INTERACTIONS = 20;

/** The agent's side of the page: what the GWS tells, and what is asked of it. */
export class Desktop {
  #phone: Phone;
  #notice: (text: string) => void;
  #gws: Gws | null = null;
  #cards = new Map<string, CallCard>();
  #agent: AgentState | null = null;
  #agentSince = 0;
  /** Whom a lab has at each number. */
  #agents: Record<string, string> = {};
  /** Calls that rang by event before their INVITE was here. */
  #expected = new Set<string>();
  #form = element<HTMLFormElement>("gws-connect");
  #place = element<HTMLSelectElement>("gws-place");
  #user = element<HTMLInputElement>("gws-user");
  #password = element<HTMLInputElement>("gws-password");
  #error = element("gws-error");
  #autoAnswer = element<HTMLInputElement>("gws-auto-answer");
  #controls = element<HTMLSelectElement>("gws-controls");
  #list = element("gws-calls");

  constructor(phone: Phone, notice: (text: string) => void) {
    this.#phone = phone;
    this.#notice = notice;
    this.#autoAnswer.checked = localStorage.getItem(AUTO_ANSWER_KEY) === "true";
    this.#controls.value = localStorage.getItem(CONTROLS_KEY) === "sip" ? "sip" : "rest";
    this.#autoAnswer.addEventListener("change", () => localStorage.setItem(AUTO_ANSWER_KEY, String(this.#autoAnswer.checked)));
    this.#controls.addEventListener("change", () => {
      localStorage.setItem(CONTROLS_KEY, this.#controls.value);
      this.#join();
    });
    this.#form.addEventListener("submit", (e) => {
      e.preventDefault();
      const secret = { user: this.#user.value.trim(), password: this.#password.value };
      localStorage.setItem(USER_KEY, secret.user);
      void this.#connect(this.#place.value, secret);
    });
    element("gws-leave").addEventListener("click", () => void this.#gws?.disconnect());
    element("gws-ready").addEventListener("click", () => this.#try(this.#gws?.ready()));
    element("gws-not-ready").addEventListener("click", () => {
      const reason = element<HTMLSelectElement>("gws-reason").value;
      this.#try(this.#gws?.notReady(reason || undefined));
    });
    element<HTMLFormElement>("gws-dial").addEventListener("submit", (e) => {
      e.preventDefault();
      const number = element<HTMLInputElement>("gws-number");
      const target = typedNumber(number);
      if (!target) return;
      this.#try(this.#gws?.dial(target));
      number.value = "";
    });
    // Keys of the phone are for the phone: what is typed here is not dialled there.
    element("gws").addEventListener("keydown", (e) => e.stopPropagation());
    window.setInterval(() => this.#tick(), 500);
  }

  /** Shows where one may connect; takes up the login of before a reload, and the desktop around this page. */
  start(config: PhoneConfig): void {
    const places = [...(config.desk ? [{ name: "This gateway", url: "" }] : []), ...(config.gws ?? [])];
    const around = surrounding();
    if (places.length === 0 && !around) return;
    for (const { name, url } of places) this.#place.add(new Option(name, url));
    element("gws").hidden = false;
    this.#place.parentElement?.toggleAttribute("hidden", places.length < 2);
    this.#user.value = localStorage.getItem(USER_KEY) ?? "";
    if (config.lab?.agents) {
      this.#agents = config.lab.agents;
      this.#password.value = config.lab.password;
      this.#user.value ||= Object.values(this.#agents)[0] ?? "";
    }
    const before = sessionStorage.getItem(PLACE_KEY);
    if (around) void this.#connect(around.base, undefined, around.cometd);
    else if (before !== null && places.some((place) => place.url === before)) {
      this.#place.value = before;
      void this.#connect(before);
    }
  }

  /** A lab knows whose number it is that the phone is signed in as. */
  propose(dn: string): void {
    const agent = this.#agents[dn];
    if (agent && !this.#form.hidden) this.#user.value = agent;
  }

  /** The phone's own call has changed. */
  follow(call: Call | null): void {
    if (call?.state === "incoming" && call.callUuid && this.#expected.delete(call.callUuid)) {
      queueMicrotask(() => this.#phone.answer());
    }
    this.#join();
  }

  async #connect(base: string, secret?: { user: string; password: string }, borrowed?: Parameters<Gws["connect"]>[1]): Promise<void> {
    const gws: Gws = new Gws(base, this.#phone.dn, {
      status: (status, why) => this.#gws === gws && this.#showStatus(status, why),
      call: (call) => this.#gws === gws && this.#take(call),
      calls: (calls, newer) => this.#gws === gws && this.#takeAll(calls, newer),
      agent: (state) => this.#gws === gws && this.#showAgent(state),
      interaction: (data) => this.#gws === gws && this.#showInteraction(data),
    });
    this.#gws = gws;
    try {
      await gws.connect(secret, borrowed);
      sessionStorage.setItem(PLACE_KEY, base);
      element("gws-title").textContent = name(gws) || "Agent desktop";
    } catch {
      // The status says it.
    }
  }

  #showStatus(status: "offline" | "connecting" | "connected" | "lost", why?: string): void {
    const inside = status === "connected" || status === "lost";
    element("gws-status").textContent = { offline: "", connecting: "Connecting…", connected: "Connected", lost: why ?? "Connection lost…" }[status];
    element("gws").dataset.state = status;
    this.#form.hidden = inside;
    element("gws-desk").hidden = !inside;
    element("gws-leave").hidden = !inside;
    element<HTMLButtonElement>("gws-connect-button").disabled = status === "connecting";
    this.#error.hidden = !why || inside;
    if (why) this.#error.textContent = why;
    if (status !== "offline") return;
    sessionStorage.removeItem(PLACE_KEY);
    element("gws-title").textContent = "Agent desktop";
    this.#takeAll([], new Set());
    element("gws-interaction-list").replaceChildren();
    this.#agent = null;
    this.#expected.clear();
    this.#join();
  }

  #takeAll(calls: DeskCall[], newer: Set<string>): void {
    const there = new Set(calls.map((call) => call.id));
    for (const id of [...this.#cards.keys()]) if (!there.has(id) && !newer.has(id)) this.#remove(id);
    for (const call of calls) if (!newer.has(call.id)) this.#take(call);
  }

  #take(call: DeskCall): void {
    const card = this.#cards.get(call.id);
    if (call.state === "Released") {
      card?.update({ ...call, capabilities: [] });
      window.setTimeout(() => this.#agent?.state !== "AfterCallWork" && this.#clear(call.id), FAREWELL_MS);
    } else if (card) {
      card.update(call);
    } else {
      const fresh = new CallCard(call, (id, operation, more) => this.#try(this.#gws?.operate(id, operation, more)));
      this.#cards.set(call.id, fresh);
      this.#list.prepend(fresh.element);
      if (call.state === "Ringing" && document.activeElement === document.body) fresh.focus();
    }
    if (call.callUuid) this.#expect(call.state, call.callUuid);
    this.#join();
  }

  /** Puts a call away that is over. */
  #clear(id: string): void {
    if (this.#cards.get(id)?.call.state === "Released") this.#remove(id);
  }

  #remove(id: string): void {
    this.#cards.get(id)?.element.remove();
    this.#cards.delete(id);
    this.#join();
  }

  /** A call that rings by event is answered on the phone, whichever of the two came first. */
  #expect(state: string, uuid: string): void {
    this.#expected.delete(uuid);
    if (state !== "Ringing" || !this.#autoAnswer.checked) return;
    const own = this.#phone.call;
    if (own?.state === "incoming" && own.callUuid === uuid) this.#phone.answer();
    else this.#expected.add(uuid);
  }

  /** One call has one set of buttons: the phone's own give way to those of the GWS, or the other way round. */
  #join(): void {
    const own = this.#phone.call;
    const live = [...this.#cards.values()].filter((card) => card.call.state !== "Released");
    const same = (card: CallCard) => own?.callUuid !== undefined && card.call.callUuid === own.callUuid;
    // A call that has no name yet, and is the only one on either side, is this one.
    const joined = own ? (live.find(same) ?? (live.length === 1 && (!own.callUuid || !live[0]?.call.callUuid) ? live[0] : undefined)) : undefined;
    document.body.dataset.controls = joined || live.length === 0 ? this.#controls.value : "rest";
    document.body.toggleAttribute("data-joined", joined !== undefined);
    for (const card of this.#cards.values()) card.element.toggleAttribute("data-here", card === joined);
    const ringing = live.find((card) => card.call.state === "Ringing");
    if (ringing) document.title = `☎ ${parties(ringing.call)} · crosspoint`;
    else if (own?.state !== "incoming") document.title = document.body.hasAttribute("data-desktop") ? "crosspoint desktop" : "crosspoint phone";
  }

  #showAgent(state: AgentState): void {
    // The same thing is told on two channels, and by one of them without its end.
    const wasWork = this.#agent?.state === "AfterCallWork";
    const isSame = this.#agent?.state === state.state && this.#agent.reason === state.reason;
    if (!isSame) this.#agentSince = performance.now();
    this.#agent = isSame ? { ...this.#agent, ...state } : state;
    element("gws-state").textContent =
      { Ready: "Ready", NotReady: "Not ready", AfterCallWork: "After-call work", LoggedOut: "Logged out" }[state.state] ?? state.state;
    element("gws-dot").dataset.state = { Ready: "registered", LoggedOut: "offline" }[state.state] ?? "connecting";
    element("gws-reason-shown").textContent = state.reason ?? "";
    for (const [id, name] of [["gws-ready", "Ready"], ["gws-not-ready", "NotReady"]] as const) {
      element(id).setAttribute("aria-pressed", String(state.state === name));
    }
    // What is to be written down of a call is looked up in it.
    if (wasWork && state.state !== "AfterCallWork") for (const id of [...this.#cards.keys()]) this.#clear(id);
    this.#tick();
  }

  #showInteraction(data: Record<string, unknown>): void {
    const inner = (typeof data.interaction === "object" && data.interaction !== null ? data.interaction : data) as Record<string, unknown>;
    const id = String(inner.id ?? data.eventId ?? "");
    const list = element("gws-interaction-list");
    const old = [...list.children].find((item) => (item as HTMLElement).dataset.id === id);
    const state = String(inner.state ?? "");
    if (/^(Completed|Removed|Revoked|Ended|Released)$/i.test(state)) {
      old?.remove();
    } else {
      const item = document.createElement("li");
      item.dataset.id = id;
      const kind = document.createElement("b");
      kind.textContent = String(inner.mediaType ?? inner.media ?? inner.channel ?? inner.type ?? "item").slice(0, 40);
      const words = [inner.from, inner.subject, inner.text, inner.message].filter((part) => typeof part === "string" && part !== "");
      item.append(kind, ` ${words.join(" · ").slice(0, 300)} `, state.slice(0, 40));
      if (old) old.replaceWith(item);
      else list.prepend(item);
      while (list.childElementCount > MAX_INTERACTIONS) list.lastElementChild?.remove();
    }
    element("gws-interactions").hidden = list.childElementCount === 0;
  }

  #tick(): void {
    for (const card of this.#cards.values()) card.tick();
    const { until } = this.#agent ?? {};
    const left = until === undefined ? null : (until - Date.now()) / 1000;
    element("gws-state-time").textContent = !this.#agent ? "" : left !== null ? `${clock(Math.max(0, Math.ceil(left)))} left` : clock((performance.now() - this.#agentSince) / 1000);
  }

  #try(asked: Promise<void> | undefined): void {
    asked?.catch((error: unknown) => this.#notice(error instanceof Refused ? error.message : "The GWS cannot be reached."));
  }
}

function name(gws: Gws): string {
  const { firstName, lastName, userName } = gws.me;
  return [firstName, lastName].filter(Boolean).join(" ") || userName || "";
}
