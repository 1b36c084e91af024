import { loadConfig, socketUrl, type PhoneConfig } from "./config";
import { Desktop } from "./desktop";
import { forgetSignIn, instanceId, rememberedSignIn, rememberSignIn } from "./instance";
import { clock, element, typedNumber } from "./page";
import { Phone, type Account, type Call, type Registration } from "./phone";
import { keyClick, LevelMeter, Ringer } from "./sound";
import { Transfer } from "./transfer";

const DN_KEY = "crosspoint.dn";
const AUTO_ANSWER_KEY = "crosspoint.auto-answer";
const KEYS = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "*", "0", "#"];

const dot = element("dot");
const ownNumber = element("own-number");
const registrationText = element("registration");
const signOutButton = element<HTMLButtonElement>("sign-out");
const signIn = element<HTMLFormElement>("sign-in");
const signInError = element("sign-in-error");
const dn = element<HTMLInputElement>("dn");
const password = element<HTMLInputElement>("password");
const desk = element("desk");
const callCard = element("call");
const dial = element<HTMLFormElement>("dial");
const number = element<HTMLInputElement>("number");
const placeCall = element<HTMLButtonElement>("place-call");
const answer = element<HTMLButtonElement>("answer");
const reject = element<HTMLButtonElement>("reject");
const mute = element<HTMLButtonElement>("mute");
const hold = element<HTMLButtonElement>("hold");
const hangUp = element<HTMLButtonElement>("hang-up");
const autoAnswer = element<HTMLInputElement>("auto-answer");
const volume = element<HTMLInputElement>("volume");
const level = element<HTMLMeterElement>("level");
const remote = element<HTMLAudioElement>("remote");
const notice = element("notice");

const ringer = new Ringer();
const meter = new LevelMeter();
const instance = instanceId();
let config: PhoneConfig | null = null;
let noticeTimer: number | undefined;

const phone = new Phone({
  registration: showRegistration,
  call: showCall,
  remoteStream: hear,
  localStream: (stream) => meter.show(stream, (value) => (level.value = value)),
});

const transfer = new Transfer(phone, showNotice, hear);
const desktop = new Desktop(phone, showNotice);
/** Where a GWS has its desktop, there is no phone: that is in another tab, or on the table. */
const isDesktop = location.pathname.startsWith("/ui/ad/");
document.body.toggleAttribute("data-desktop", isDesktop);

function hear(stream: MediaStream): void {
  remote.srcObject = stream;
  void remote.play().catch(() => {
    // A browser plays nothing in a page that was just loaded and not touched.
    showNotice("Click anywhere to hear the call.");
    document.addEventListener("click", () => void remote.play(), { once: true });
  });
}

function showNotice(text: string): void {
  notice.textContent = text;
  notice.hidden = false;
  window.clearTimeout(noticeTimer);
  noticeTimer = window.setTimeout(() => (notice.hidden = true), 5000);
}

function showRegistration(state: Registration, why?: string): void {
  dot.dataset.state = state;
  // Signed in here, but not at the SIP Server: nobody can call.
  const flaw = state === "registered" ? why : undefined;
  if (flaw) dot.dataset.state = "failed";
  registrationText.textContent = flaw ?? { offline: "Signed out", connecting: "Connecting…", registered: "Registered", failed: "Not registered" }[state];
  const inside = state === "registered" || (state === "connecting" && !desk.hidden);
  signIn.hidden = inside;
  desk.hidden = !inside;
  signOutButton.hidden = !inside;
  ownNumber.textContent = inside ? `DN ${dn.value}` : "crosspoint";
  element<HTMLButtonElement>("sign-in-button").disabled = state === "connecting";
  if (state === "registered" && phone.ha1) rememberSignIn({ dn: dn.value.trim(), ha1: phone.ha1 });
  if (state === "failed") forgetSignIn();
  if (state === "registered") desktop.propose(dn.value.trim());
  if (state === "registered" && document.activeElement === document.body) number.focus();
  signInError.hidden = !why || inside;
  if (why) signInError.textContent = why;
}

function showCall(call: Call | null, ended?: string): void {
  const state = call?.state;
  callCard.hidden = !call;
  callCard.dataset.state = state ?? "";
  element("peer").textContent = call?.peer ?? "";
  element("call-state").textContent = state
    ? { dialing: "Dialling…", ringing: "Ringing…", early: "Ringing…", incoming: "Incoming call", established: call?.held ? "On hold" : "Connected" }[state]
    : "";
  answer.hidden = reject.hidden = state !== "incoming";
  hangUp.hidden = !call || state === "incoming";
  mute.hidden = hold.hidden = state !== "established";
  hold.setAttribute("aria-pressed", String(call?.held ?? false));
  hold.textContent = call?.held ? "Retrieve" : "Hold";
  mute.setAttribute("aria-pressed", String(call?.muted ?? false));
  mute.textContent = call?.muted ? "Unmute" : "Mute";
  placeCall.hidden = Boolean(call);
  transfer.follow(call);
  desktop.follow(call);
  document.title = state === "incoming" ? `☎ ${call?.peer} · crosspoint` : "crosspoint phone";
  if (state === "incoming" && !phone.autoAnswer) {
    ringer.start();
    answer.focus();
  } else {
    ringer.stop();
  }
  if (!call) {
    remote.srcObject = null;
    number.value = "";
    if (ended) showNotice(ended);
  }
  showDuration();
}

function showDuration(): void {
  const since = phone.call?.establishedAt;
  element("duration").textContent = since === undefined ? "" : clock((performance.now() - since) / 1000);
}

function press(digit: string): void {
  keyClick(digit);
  if (phone.call) phone.sendDigit(digit);
  number.value += digit;
}

for (const key of KEYS) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = key;
  button.dataset.key = key;
  button.addEventListener("click", () => press(key));
  element("pad").append(button);
}

signIn.addEventListener("submit", (e) => {
  e.preventDefault();
  if (!config) return;
  localStorage.setItem(DN_KEY, dn.value);
  void signInAs(config, dn.value.trim(), { password: password.value });
});

async function signInAs(config: PhoneConfig, dn: string, secret: Account["secret"]): Promise<void> {
  phone.signIn({ dn, secret, domain: config.domain, socketUrl: socketUrl(config) }, await instance);
}

signOutButton.addEventListener("click", () => {
  forgetSignIn();
  desk.hidden = true;
  phone.hangUp();
  phone.signOut();
  dn.focus();
});
dial.addEventListener("submit", (e) => {
  e.preventDefault();
  const target = typedNumber(number);
  if (phone.call?.state === "incoming") phone.answer();
  else if (target && !phone.call) phone.dial(target);
});
element("erase").addEventListener("click", () => (number.value = number.value.slice(0, -1)));
answer.addEventListener("click", () => phone.answer());
reject.addEventListener("click", () => phone.hangUp());
hangUp.addEventListener("click", () => phone.hangUp());
mute.addEventListener("click", () => phone.toggleMute());
hold.addEventListener("click", () => phone.toggleHold());
autoAnswer.addEventListener("change", () => {
  phone.autoAnswer = autoAnswer.checked;
  localStorage.setItem(AUTO_ANSWER_KEY, String(autoAnswer.checked));
});
volume.addEventListener("input", () => (remote.volume = Number(volume.value) / 100));

// Keys work wherever the focus is, as on a telephone: digits dial, Escape hangs up.
document.addEventListener("keydown", (e) => {
  if (desk.hidden || e.ctrlKey || e.metaKey || e.altKey) return;
  if (e.key === "Escape") {
    if (phone.call) phone.hangUp();
    else number.value = "";
    return;
  }
  const typing = e.target === number;
  if (KEYS.includes(e.key) && (!typing || phone.call)) {
    e.preventDefault();
    press(e.key);
  } else if (e.key === "Enter" && phone.call?.state === "incoming" && !(e.target instanceof HTMLButtonElement)) {
    phone.answer();
  } else if (e.key.toLowerCase() === "m" && phone.call?.state === "established" && !typing) {
    phone.toggleMute();
  }
});
window.setInterval(showDuration, 500);

/** A frame of another site has the microphone only where that site lets it. */
function offerWindow(): void {
  if (window.parent === window || isDesktop) return;
  const policy = (document as unknown as { featurePolicy?: { allowsFeature(name: string): boolean } }).featurePolicy;
  element("framed").hidden = policy?.allowsFeature("microphone") ?? true;
}
element("pop-up").addEventListener("click", () => {
  const opened = window.open(location.href, "crosspoint-phone", "popup,width=360,height=640");
  if (!opened) showNotice("The browser did not let a window open.");
});

dn.value = localStorage.getItem(DN_KEY) ?? "";
autoAnswer.checked = phone.autoAnswer = localStorage.getItem(AUTO_ANSWER_KEY) === "true";

loadConfig().then(
  (loaded) => {
    config = loaded;
    desktop.start(loaded);
    offerWindow();
    const before = isDesktop ? null : rememberedSignIn();
    if (before) {
      // The page was reloaded: a call that it had is waiting at the gateway.
      dn.value = before.dn;
      void signInAs(loaded, before.dn, { ha1: before.ha1 });
    }
    const lab = loaded.lab;
    if (!lab) return;
    if (!dn.value) dn.value = lab.dns.split(/[-,]/)[0]?.trim() ?? "";
    password.value = lab.password;
    element("lab-dns").textContent = lab.dns;
    element("lab-password").textContent = lab.password;
    element("lab-hint").hidden = false;
    element("lab-agents").hidden = !lab.agents;
    const list = element("numbers");
    for (const entry of lab.numbers) {
      const pick = document.createElement("button");
      pick.type = "button";
      pick.className = "quiet number";
      pick.textContent = entry.number;
      pick.addEventListener("click", () => {
        number.value = entry.number;
        number.focus();
      });
      const item = document.createElement("li");
      item.append(pick, entry.what);
      list.append(item);
    }
    element("lab-numbers").hidden = lab.numbers.length === 0;
  },
  (error: unknown) => showRegistration("failed", String(error instanceof Error ? error.message : error)),
);
