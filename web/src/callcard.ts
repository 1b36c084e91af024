import type { DeskCall } from "./gws";
import { clock, typedNumber } from "./page";

/** Shown pairs of user data, and characters of one value: a screen pop is no data sheet. */
const MAX_PAIRS = 100;
const MAX_TEXT = 500;

/** What can be done with a call at once, as the GWS calls it and as the person reads it. */
const PLAIN: [operation: string, label: string, look?: string][] = [
  ["Answer", "Answer", "primary"],
  ["Hold", "Hold"],
  ["Retrieve", "Retrieve"],
  ["CompleteTransfer", "Hand over", "primary"],
  ["CompleteConference", "Conference"],
  ["SwapCalls", "Swap"],
  ["Hangup", "Hang up", "danger"],
];
/** What needs a number. */
const TO_NUMBER: [operation: string, label: string][] = [
  ["SingleStepTransfer", "Transfer now"],
  ["InitiateTransfer", "Ask first"],
  ["SingleStepConference", "Add to call"],
];

export type Ask = (call: string, operation: string, more?: Record<string, unknown>) => void;

/** One call on the desktop: who, what is known of the customer, and what can be done. */
export class CallCard {
  readonly element = document.createElement("article");
  #call: DeskCall;
  #peer = made("p", "peer");
  #state = made("span", "desk-state");
  #time = made("time");
  #facts = made("dl", "facts");
  #plain: HTMLButtonElement[];
  #numbered: HTMLFormElement;
  #to = document.createElement("input");
  #digits: HTMLFormElement;
  #data: HTMLElement;
  /** When it was answered, ms since the page began. */
  #since: number | null = null;
  /** When it was over. */
  #until: number | null = null;
  #ask: Ask;

  constructor(call: DeskCall, ask: Ask) {
    this.#call = call;
    this.#ask = ask;
    this.element.dataset.callId = call.id;
    const progress = made("p", "progress");
    progress.append(this.#state, " ", this.#time);
    this.#plain = PLAIN.map(([operation, label, look]) => button(operation, label, look, () => ask(this.#call.id, operation)));
    const actions = made("div", "actions");
    actions.append(...this.#plain);
    this.#to.setAttribute("aria-label", "Number for transfer or conference");
    this.#to.inputMode = "tel";
    this.#to.autocomplete = "off";
    this.#to.placeholder = "Number";
    const numbered = TO_NUMBER.map(([operation, label]) => button(operation, label, undefined, () => this.#withNumber(operation)));
    this.#numbered = form("numbered", [this.#to, ...numbered], () => this.#withNumber("SingleStepTransfer"));
    this.#digits = this.#digitsForm();
    this.#data = this.#dataForm();
    // A clock is not read out as it ticks.
    this.#time.setAttribute("role", "timer");
    this.element.append(this.#peer, progress, this.#facts, actions, this.#numbered, this.#digits, this.#data);
    this.update(call);
  }

  get call(): DeskCall {
    return this.#call;
  }

  /** Shows the call as it is; what an event does not say of it is as it was. */
  update(call: DeskCall): void {
    this.#call = { ...this.#call, ...call };
    const shown = this.#call;
    const talks = shown.state === "Established" || shown.state === "Held";
    if (talks && this.#since === null) this.#since = performance.now() - 1000 * (Number(shown.duration) || 0);
    if (shown.state === "Released") this.#until ??= performance.now();
    this.element.dataset.state = shown.state;
    this.#peer.textContent = parties(shown);
    this.#state.textContent = STATES[shown.state] ?? shown.state;
    const can = new Set(shown.capabilities ?? []);
    // GWS does not list it, but a call that rings can be refused.
    if (shown.state === "Ringing") can.add("Hangup");
    for (const each of this.#plain) each.hidden = !can.has(each.dataset.op ?? "");
    const hangUp = this.#plain.find((each) => each.dataset.op === "Hangup");
    if (hangUp) hangUp.textContent = shown.state === "Ringing" ? "Reject" : "Hang up";
    let some = false;
    for (const each of this.#numbered.querySelectorAll("button")) {
      each.hidden = !can.has(each.dataset.op ?? "");
      some ||= !each.hidden;
    }
    this.#numbered.hidden = !some;
    this.#digits.hidden = !can.has("SendDtmf");
    this.#data.hidden = !can.has("UpdateUserData");
    this.#showFacts();
    this.tick();
  }

  /** Puts the keyboard where the call can be answered. */
  focus(): void {
    this.#plain.find((each) => !each.hidden)?.focus();
  }

  /** Lets the time go on, as long as there is a call. */
  tick(): void {
    this.#time.textContent = this.#since === null ? "" : clock(((this.#until ?? performance.now()) - this.#since) / 1000);
  }

  #withNumber(operation: string): void {
    const number = typedNumber(this.#to);
    if (!number) {
      this.#to.focus();
      return;
    }
    this.#ask(this.#call.id, operation, { destination: { phoneNumber: number } });
    this.#to.value = "";
  }

  #digitsForm(): HTMLFormElement {
    const digits = document.createElement("input");
    digits.setAttribute("aria-label", "Keys to press");
    digits.inputMode = "tel";
    digits.autocomplete = "off";
    digits.placeholder = "Keys";
    digits.pattern = "[0-9*#A-Da-d]+";
    const send = () => {
      if (!digits.value) return;
      this.#ask(this.#call.id, "SendDtmf", { digits: digits.value });
      digits.value = "";
    };
    return form("digits", [digits, button("SendDtmf", "Press", undefined, send)], send);
  }

  #dataForm(): HTMLElement {
    const [key, value] = [document.createElement("input"), document.createElement("input")];
    for (const [input, label] of [[key, "Name"], [value, "Value"]] as const) {
      input.setAttribute("aria-label", `${label} of what is attached to the call`);
      input.placeholder = label;
      input.autocomplete = "off";
      input.maxLength = 255;
    }
    const send = () => {
      const name = key.value.trim();
      if (!name) return key.focus();
      if (value.value) this.#ask(this.#call.id, "UpdateUserData", { userData: { [name]: value.value } });
      else this.#ask(this.#call.id, "DeleteUserDataPair", { key: name });
      key.value = value.value = "";
    };
    const folded = document.createElement("details");
    const summary = document.createElement("summary");
    summary.textContent = "Attach data";
    summary.title = "Without a value the name is taken away";
    folded.append(summary, form("numbered", [key, value, button("UpdateUserData", "Attach", undefined, send)], send));
    return folded;
  }

  /** All of it is text of strangers: it is written as text, and nothing in it is markup. */
  #showFacts(): void {
    const rows: [string, unknown][] = [
      ["Dialled", this.#call.dnis],
      ...Object.entries(this.#call.userData ?? {}).slice(0, MAX_PAIRS),
    ];
    this.#facts.replaceChildren();
    for (const [key, value] of rows) {
      if (value === undefined || value === null || value === "") continue;
      const name = made("dt");
      name.textContent = key.slice(0, MAX_TEXT);
      const what = made("dd");
      const text = (typeof value === "object" ? JSON.stringify(value) : String(value)).slice(0, MAX_TEXT);
      what.append(link(text) ?? text);
      this.#facts.append(name, what);
    }
    this.#facts.hidden = this.#facts.childElementCount === 0;
  }
}

const STATES: Record<string, string> = {
  Dialing: "Dialling…",
  Ringing: "Ringing…",
  Established: "Connected",
  Held: "On hold",
  Released: "Ended",
};

/** Whom the call is with. */
export function parties(call: DeskCall): string {
  const numbers = (call.participants ?? []).map((party) => party.formattedPhoneNumber || party.phoneNumber || party.digits || "");
  return numbers.filter(Boolean).join(" + ") || "unknown";
}

/** A link, where the text is the address of a page and nothing else; it learns nothing of us. */
function link(text: string): HTMLAnchorElement | null {
  if (!/^https?:\/\/[^\s]+$/.test(text) || !URL.canParse(text)) return null;
  const anchor = document.createElement("a");
  anchor.href = text;
  anchor.textContent = text;
  anchor.target = "_blank";
  anchor.rel = "noopener noreferrer";
  return anchor;
}

function made(tag: string, look?: string): HTMLElement {
  const element = document.createElement(tag);
  if (look) element.className = look;
  return element;
}

function button(operation: string, label: string, look: string | undefined, click: () => void): HTMLButtonElement {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = label;
  made.dataset.op = operation;
  if (look) made.className = look;
  made.addEventListener("click", click);
  return made;
}

function form(look: string, inside: HTMLElement[], submit: () => void): HTMLFormElement {
  const made = document.createElement("form");
  made.className = look;
  made.append(...inside);
  made.addEventListener("submit", (e) => {
    e.preventDefault();
    submit();
  });
  return made;
}
