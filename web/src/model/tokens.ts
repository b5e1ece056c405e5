/** Where Access Tokens come from: the server's own token endpoint in dev mode, or whoever pastes one. */

import { facts } from "../facts";

const KEPT = "tertulia.password";

/** A refusal of the token endpoint, in the server's words. */
export class TokenRefused extends Error {
  constructor(
    readonly status: number,
    text: string,
  ) {
    super(text);
  }
}

export function password(): string | null {
  return facts.password ?? sessionStorage.getItem(KEPT);
}

export function keepPassword(text: string): void {
  sessionStorage.setItem(KEPT, text);
}

export function forgetPassword(): void {
  sessionStorage.removeItem(KEPT);
}

/** Does somebody have to type the password before anyone can connect? */
export function needsPassword(): boolean {
  return facts.dev && password() === null;
}

export async function fetchToken(identity: string): Promise<string> {
  const query = new URLSearchParams({ identity, password: password() ?? "" });
  const response = await fetch(`/token?${query}`, { cache: "no-store" });
  const text = (await response.text()).trim();
  if (!response.ok) throw new TokenRefused(response.status, text);
  return text;
}

/** Who a pasted token is for. Nothing is verified here: that is the server's part. */
export function identityOf(token: string): string | null {
  try {
    const payload = token.split(".")[1] ?? "";
    const bytes = Uint8Array.from(atob(payload.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
    const claims = JSON.parse(new TextDecoder().decode(bytes));
    const identity: unknown = claims?.grants?.identity;
    return typeof identity === "string" && identity !== "" ? identity : null;
  } catch {
    return null;
  }
}
