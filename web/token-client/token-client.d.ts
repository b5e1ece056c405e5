/** What the token endpoint answered. */
export interface Issued {
  token: string;
  identity?: string;
  service_sid?: string;
  expires_at: number;
  refresh_after: number;
  server_time: number;
}

/** Why there is no token. `final`: asking again would not help; the user has to log in, or may not chat. */
export class TokenError extends Error {
  status: number;
  code: number | null;
  retryAfter: number | null;
  final: boolean;
}

export interface Options {
  /** Where the token endpoint is; `/token` by default. */
  url?: string;
  /** `POST` by default. */
  method?: "POST" | "GET";
  /** Headers for each request, such as a bearer token; a function is asked each time. */
  headers?: Record<string, string> | (() => Record<string, string> | Promise<Record<string, string>>);
  /** `include` by default, so that the app's cookie comes along. */
  credentials?: RequestCredentials;
  /** Is told of what went wrong. After a final error nothing more is tried. */
  onError?: (error: Error) => void;
  /** For tests: instead of the global ones. */
  fetch?: typeof fetch;
  setTimeout?: (run: () => void, ms: number) => unknown;
  clearTimeout?: (timer: unknown) => void;
}

/** What of the SDK's `Client` is used. */
export interface SdkClient {
  connectionState: string;
  updateToken(token: string): Promise<unknown>;
  on(event: string, run: (...args: never[]) => void): unknown;
  removeListener(event: string, run: (...args: never[]) => void): unknown;
}

export class TokenClient {
  constructor(options?: Options);
  /** A token for a new `Client`. */
  token(): Promise<string>;
  /** Keeps a client supplied with tokens until the function that it gives is called. */
  keep(client: SdkClient): () => void;
  /** Gives every kept client a new token now. */
  refresh(): Promise<void>;
}
