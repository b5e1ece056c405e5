/** What went wrong between a person and the server, and what to do about it. */

import { TokenRefused } from "./tokens";

export interface Trouble {
  title: string;
  /** What the other side said, word for word. */
  said?: string | undefined;
  code?: number | undefined;
  advice: string;
  /** It goes away by itself; nothing is asked of anyone. */
  passing: boolean;
}

/** The argument of the SDK's `connectionError`. */
export interface ConnectionError {
  terminal: boolean;
  message: string;
  httpStatusCode?: number | null;
  errorCode?: number | null;
}

const MINT = "Mint a new one: `tertulia token mint`, or a token URL that points at /token in dev mode.";

const CODES: Record<number, [title: string, advice: string]> = {
  20101: ["This is not an Access Token", `It cannot be read as one. Look for quotes, JSON or line breaks around it. ${MINT}`],
  20102: ["The token's header is wrong", "An Access Token says typ JWT, alg HS256 and cty twilio-fpa;v=1. Let a helper library mint it."],
  20103: ["The token's issuer or account is unknown", "The API key SID and Account SID in the token must be this server's: `tertulia env` prints them."],
  20104: ["The token has expired", `Compare the clocks of the two machines if it is new. ${MINT}`],
  20105: ["The token is not valid yet", "The clock of the machine that minted it is ahead of the server's. Set both by the network."],
  20106: ["The token's grants do not fit", "It needs an identity and a chat grant with this server's chat service SID: `tertulia env` prints it."],
  20107: ["The token's signature is wrong", "It was signed with another secret than the API key's, or changed on its way: `tertulia env` prints the secret."],
  20151: ["The server does not accept this token", MINT],
  20157: ["The token lives too long", "An Access Token lives for 24 hours at most. Mint it with a shorter time to live."],
};

export function explainConnection(error: ConnectionError): Trouble {
  const words = error.message.replace(/^Connection error: /, "");
  // Browsers do not tell a page why a socket failed.
  const said = words.endsWith(": undefined") ? undefined : words;
  const code = error.errorCode ?? undefined;
  const known = code === undefined ? undefined : CODES[code];
  if (known) return { title: known[0], said, code, advice: known[1], passing: false };
  if (error.httpStatusCode === 429) {
    return { title: "The server asks to wait", said, code, advice: "The SDK tries again by itself.", passing: true };
  }
  if (error.terminal) {
    const advice = "`tertulia token explain` says what is wrong with a token, check by check.";
    return { title: "The server refused the connection", said, code, advice, passing: false };
  }
  const advice = "Is it still running? The SDK tries again by itself, and the conversation goes on where it was.";
  return { title: "The server cannot be reached", said, code, advice, passing: true };
}

export function explainToken(error: unknown): Trouble {
  if (!(error instanceof TokenRefused)) {
    const advice = "Is the server still running? Start it, then try again.";
    return { title: "No token: the server cannot be reached", advice, passing: false };
  }
  const advice =
    error.status === 401
      ? "Enter the password that `tertulia dev` printed."
      : error.status === 400
        ? "Choose another name."
        : "This server hands out no tokens. Paste one instead.";
  return { title: "The server hands out no token", said: error.message, code: error.status, advice, passing: false };
}

/** Why something that a person asked for was not done. */
export function reason(error: unknown): string {
  if (error instanceof TokenRefused) return error.message;
  const { message, status, body } = error as { message?: string; status?: number; body?: { message?: string; code?: number } };
  const said = body?.message ?? message ?? String(error);
  const code = body?.code ?? status;
  return code === undefined ? said : `${said} (${code})`;
}
