/** What the gateway tells the page about itself (`GET config.json`). */
export interface PhoneConfig {
  /** Path of the SIP WebSocket on the page's own origin. */
  wsPath: string;
  /** Domain of the addresses of record: `sip:DN@domain`. */
  domain: string;
  /** Only where the gateway runs as a lab. */
  lab?: LabHint;
  /** The gateway has agents, and so a desktop's server of its own. */
  desk?: boolean;
  /** Each further GWS: its name, and what stands before `/api/v2` there. */
  gws?: { name: string; url: string }[];
}

export interface LabHint {
  /** DNs that can sign in, `5001-5999`. */
  dns: string;
  password: string;
  /** The agent of each DN, who can log in at the gateway's own desk; in the lab's own file the password is the same. */
  agents?: Record<string, string>;
  numbers: { number: string; what: string }[];
}

export async function loadConfig(): Promise<PhoneConfig> {
  const response = await fetch("config.json", { cache: "no-store" });
  if (!response.ok) throw new Error(`The gateway did not answer (${response.status}).`);
  return (await response.json()) as PhoneConfig;
}

/** Address of the SIP WebSocket: the page's own host, plain only where the page is. */
export function socketUrl(config: PhoneConfig): string {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  return `${scheme}://${location.host}${config.wsPath}`;
}
