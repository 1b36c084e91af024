/** Where a number is called. */
export function address(number: string, domain: string): string {
  return `sip:${encodeURIComponent(number).replace(/%2B/gi, "+")}@${domain}`;
}

/** What an INVITE says of an answer without a click: the gateway sends it where the agent has pressed a button elsewhere. */
export function hints(request: { getHeader(name: string): string | undefined }): string {
  return `${request.getHeader("Call-Info") ?? ""} ${request.getHeader("Alert-Info") ?? ""}`;
}

/** Who the other party is, by name where it has one. */
export function shown(party: { display_name: string; uri: { user: string } }): string {
  return party.display_name || party.uri.user || "unknown";
}

/** Whom the call is with from here on, as the gateway writes it. */
export function named({ name, number }: Record<string, unknown>): string {
  const text = (value: unknown) => (typeof value === "string" ? value : "");
  return text(name) || text(number) || "unknown";
}

/** What the SIP Server thinks of this DN, if that is no good news: `399 gateway "sentence"` (RFC 3261 20.43). */
export function warning(value: string | undefined): string | undefined {
  return /^399 \S+ "(.*)"$/.exec(value ?? "")?.[1];
}

/** Why there is no call, for a person to read. */
export function failure(cause: string, status: number | undefined): string {
  switch (status) {
    case 404:
      return "This number does not exist.";
    case 408:
    case 480:
      return "No answer.";
    case 486:
    case 600:
      return "Busy.";
    case 603:
      return "The call was declined.";
    case 500:
    case 503:
      return "The gateway cannot reach the telephone network.";
    default:
      return cause === "Canceled" ? "Call ended" : status ? `The call failed: ${cause} (${status}).` : `The call failed: ${cause}.`;
  }
}
