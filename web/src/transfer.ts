import type { RTCSession } from "jssip/lib/RTCSession";
import { element, typedNumber } from "./page";
import type { Call, Phone, SecondLine } from "./phone";

/** Hands the call on, blind or after asking, and makes three of two; the gateway does it, the page only asks. */
export class Transfer implements SecondLine {
  #phone: Phone;
  #notice: (text: string) => void;
  #hear: (stream: MediaStream) => void;
  #wanted = false;
  /** Number of the second call. */
  #asked = "";
  /** The second call is becoming a part of the first. */
  #joining = false;
  /** The first call is handed on: its end is good news. */
  #handed = false;
  #second: RTCSession | null = null;
  #form = element<HTMLFormElement>("transfer");
  #to = element<HTMLInputElement>("transfer-to");
  #open = element<HTMLButtonElement>("transfer-open");
  #blind = element<HTMLButtonElement>("transfer-blind");
  #ask = element<HTMLButtonElement>("transfer-ask");
  #complete = element<HTMLButtonElement>("transfer-complete");
  #confer = element<HTMLButtonElement>("transfer-confer");
  #drop = element<HTMLButtonElement>("transfer-drop");
  #state = element("transfer-state");

  constructor(phone: Phone, notice: (text: string) => void, hear: (stream: MediaStream) => void) {
    this.#phone = phone;
    this.#notice = notice;
    this.#hear = hear;
    phone.second = this;
    this.#open.addEventListener("click", () => this.#show(this.#form.hidden));
    this.#form.addEventListener("submit", (e) => {
      e.preventDefault();
      this.#handOn();
    });
    this.#ask.addEventListener("click", () => this.#consult());
    this.#complete.addEventListener("click", () => this.#wish("transfer", 0));
    this.#confer.addEventListener("click", () => {
      this.#joining = true;
      phone.retrieve(() => this.#wish("conference", 0));
    });
    this.#drop.addEventListener("click", () => this.#second?.terminate());
    // Escape leaves the second line, not the call.
    this.#form.addEventListener("keydown", (e) => {
      e.stopPropagation();
      if (e.key !== "Escape") return;
      if (this.#second) this.#second.terminate();
      else this.#show(false);
      this.#open.focus();
    });
  }

  /** The phone's own call has changed. */
  follow(call: Call | null): void {
    const talking = call?.state === "established";
    // While somebody is asked, what can be done stands below; going back is "Back to the caller".
    this.#open.hidden = !talking || this.#second !== null;
    if (this.#second) element("hold").hidden = element("mute").hidden = true;
    if (!call) this.#handed = false;
    if (!talking) this.#show(false);
    if (!call && this.#second) this.#second.terminate();
  }

  takes(session: RTCSession): boolean {
    if (!this.#wanted) return false;
    this.#wanted = false;
    this.#second = session;
    const listen = (pc: RTCPeerConnection) =>
      pc.addEventListener("track", (e) => this.#hear(e.streams[0] ?? new MediaStream([e.track])));
    if (session.connection) listen(session.connection);
    session.on("peerconnection", (e) => listen(e.peerconnection));
    session.on("icecandidate", (e: { ready(): void }) => e.ready());
    session.on("progress", () => this.#update("Ringing…"));
    session.on("confirmed", () => this.#update("Connected"));
    session.on("failed", (e) => this.#over(e.cause));
    session.on("ended", () => this.#over(""));
    this.#update("Dialling…");
    return true;
  }

  farewell(): string | null {
    return this.#handed ? "Transferred" : null;
  }

  told(message: Record<string, unknown>): void {
    if (message.event !== "transfer" || typeof message.status !== "number") return;
    if (message.status < 200) this.#update("The other side rings…");
    else if (message.status < 300) this.#handed = true;
    else this.#notice(`The transfer failed (${message.status}): the call is yours again.`);
  }

  #number(): string {
    return typedNumber(this.#to);
  }

  #handOn(): void {
    const to = this.#number();
    if (to && !this.#second) this.#phone.wish({ command: "transfer", to }, (status) => this.#refused(status));
  }

  #consult(): void {
    const to = this.#number();
    if (!to || this.#second || !this.#phone.call) return;
    if (!this.#phone.call.held) this.#phone.toggleHold();
    this.#asked = to;
    this.#joining = false;
    this.#wanted = true;
    this.#phone.dialBeside(to);
    this.#wanted = false;
    this.#phone.show();
  }

  #wish(command: "transfer" | "conference", tries: number): void {
    // The Call-ID of the second dialog; the request is JsSIP's own record of it.
    const request = (this.#second as unknown as { _request?: { call_id: string } } | null)?._request;
    if (!request) return;
    this.#phone.wish({ command, with: request.call_id }, (status) => {
      // 491: the trunk is still being told that nobody is on hold.
      if (status === 491 && tries < 8) window.setTimeout(() => this.#wish(command, tries + 1), 300);
      else this.#refused(status);
    });
  }

  #refused(status: number): void {
    this.#joining = false;
    this.#notice(status === 403 ? "This number may not be called." : `That cannot be done now (${status}).`);
  }

  #over(why: string): void {
    this.#second = null;
    if (this.#joining && this.#phone.call && !why) {
      this.#joining = false;
      this.#show(false);
      this.#phone.joined(this.#asked);
      return;
    }
    this.#update(why);
    this.#phone.show();
    // Back to who is waiting; its track is a new one, and heard for that.
    if (this.#phone.call?.held) this.#phone.toggleHold();
  }

  #show(visible: boolean): void {
    this.#form.hidden = !visible;
    this.#open.setAttribute("aria-expanded", String(visible));
    this.#update("");
    if (visible) this.#to.focus();
    else this.#to.value = "";
  }

  #update(text: string): void {
    const asked = this.#second !== null;
    this.#state.textContent = asked && text ? `${this.#asked}: ${text}` : text;
    this.#to.hidden = asked;
    const answered = this.#second?.isEstablished() ?? false;
    this.#blind.hidden = this.#ask.hidden = asked;
    this.#drop.hidden = !asked;
    this.#complete.hidden = this.#confer.hidden = !answered;
  }
}
