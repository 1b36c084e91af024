const INSTANCE_KEY = "crosspoint.instance";
const SIGN_IN_KEY = "crosspoint.sign-in";

/** How long the page before a reload may take to let go of its name. */
const PATIENCE_MS = 500;

/** Who this tab is signed in as; lives as long as the tab. */
export interface SignIn {
  dn: string;
  ha1: string;
}

/** Takes hold of a name until the page is gone; false where another tab has it. */
async function take(name: string): Promise<boolean> {
  if (!navigator.locks) return true;
  return new Promise((taken) => {
    const hold = () => {
      taken(true);
      return new Promise<never>(() => {});
    };
    navigator.locks.request(name, { signal: AbortSignal.timeout(PATIENCE_MS) }, hold).catch(() => taken(false));
  });
}

/**
 * RFC 5626 instance id of this tab, kept over reloads so that the gateway knows this phone again. A duplicated tab gets a
 * copy of its original's storage, but not of its lock, and so a name of its own.
 */
export async function instanceId(): Promise<string> {
  const kept = sessionStorage.getItem(INSTANCE_KEY);
  if (kept && (await take(`${INSTANCE_KEY}.${kept}`))) return kept;
  const fresh = crypto.randomUUID();
  sessionStorage.setItem(INSTANCE_KEY, fresh);
  await take(`${INSTANCE_KEY}.${fresh}`);
  return fresh;
}

export function rememberSignIn(signIn: SignIn): void {
  sessionStorage.setItem(SIGN_IN_KEY, JSON.stringify(signIn));
}

export function forgetSignIn(): void {
  sessionStorage.removeItem(SIGN_IN_KEY);
}

/** Returns who was signed in before the reload. */
export function rememberedSignIn(): SignIn | null {
  try {
    const kept = JSON.parse(sessionStorage.getItem(SIGN_IN_KEY) ?? "null") as Partial<SignIn> | null;
    return typeof kept?.dn === "string" && typeof kept.ha1 === "string" ? { dn: kept.dn, ha1: kept.ha1 } : null;
  } catch {
    return null;
  }
}
