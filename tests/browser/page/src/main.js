import { JssipAgent } from "./jssip.js";
import { SipjsAgent } from "./sipjs.js";

// The tests make agents by name: `new page.JsSIP()`, and drive them over WebDriver.
window.page = { JsSIP: JssipAgent, SIPjs: SipjsAgent, errors: [] };
window.addEventListener("unhandledrejection", (e) => window.page.errors.push(String(e.reason)));
window.addEventListener("error", (e) => window.page.errors.push(e.message));
document.documentElement.dataset.ready = "true";
