/** The element of the page with this id, which has to be there. */
export function element<T extends HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) throw new Error(`no #${id} in the page`);
  return found as T;
}

/** The number that a person has typed, without what only helps to read it. */
export function typedNumber(input: HTMLInputElement): string {
  return input.value.replace(/[\s()/.-]/g, "");
}

/** Minutes and seconds, hours where there are some. */
export function clock(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (n: number) => String(n).padStart(2, "0");
  const hours = whole >= 3600 ? `${Math.floor(whole / 3600)}:` : "";
  return `${hours}${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
}

/** An Authorization header for a user and a password of any letters (RFC 7617, UTF-8). */
export function basic(user: string, password: string): string {
  return `Basic ${btoa(String.fromCharCode(...new TextEncoder().encode(`${user}:${password}`)))}`;
}
