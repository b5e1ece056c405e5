// Keeps a client of the official Conversations SDK supplied with tokens. No dependencies; copy it if you like.
//
//   const tokens = new TokenClient({ url: '/token' });
//   const client = new Client(await tokens.token(), { Twilsock: { uri } });
//   const stop = tokens.keep(client);
//
// What it knows of the SDK, so that an app need not:
// - The client has no timer of its own: a new token is fetched when the endpoint said (`refresh_after`), counted
//   from the answer and not by this machine's clock, which may be wrong. Events are the second chance.
// - Of two calls of `updateToken` at once only the first token is sent: one at a time here, per client.
// - `updateToken` with the token that the client has does nothing: each call brings a new one.
// - Between expiry and the end of the old connection `updateToken` may never settle: it is called when the state
//   has left "disconnecting", and what does not settle is tried again, with another token.

const WAITS_MS = [1000, 2000, 5000, 15_000, 30_000, 60_000];
/** A call of updateToken that has not settled by then never will. */
const UPDATE_MS = 10_000;
/** Refusals of fresh tokens in a row after which there is no point in going on. */
const DENIALS_MAX = 3;

export class TokenError extends Error {
  constructor(message, { status = 0, code = null, retryAfter = null } = {}) {
    super(message);
    this.name = 'TokenError';
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
    // Not logged in, not allowed, somebody else's identity, no such endpoint.
    this.final = [400, 401, 403, 404, 405, 409].includes(status);
  }
}

export class TokenClient {
  #options;
  #kept = new Set();
  #fetching = null;

  constructor(options = {}) {
    this.#options = {
      url: '/token',
      method: 'POST',
      headers: {},
      credentials: 'include',
      onError: () => {},
      fetch: (...args) => globalThis.fetch(...args),
      setTimeout: (run, ms) => globalThis.setTimeout(run, ms),
      clearTimeout: (timer) => globalThis.clearTimeout(timer),
      ...options,
    };
  }

  /** A token for a new client. What may pass is tried again; a final refusal is thrown as a TokenError. */
  async token() {
    return (await this.#fetchPatiently(() => true)).token;
  }

  keep(client) {
    const kept = new Kept(client, this.#options, (isWanted) => this.#fetchPatiently(isWanted));
    this.#kept.add(kept);
    // The time to renew is known from the answer that brought the client's first token, if it is from here.
    kept.schedule(this.#last);
    return () => {
      kept.stop();
      this.#kept.delete(kept);
    };
  }

  async refresh() {
    await Promise.all([...this.#kept].map((kept) => kept.renew()));
  }

  #last = null;

  /** Fetches; again after a while for as long as it is wanted and the fault may pass. */
  async #fetchPatiently(isWanted) {
    for (let attempt = 0; ; attempt += 1) {
      try {
        // Whoever asks while a request is under way gets its answer.
        this.#fetching ??= this.#fetch().finally(() => (this.#fetching = null));
        return (this.#last = await this.#fetching);
      } catch (error) {
        if (error.final || !isWanted()) throw error;
        this.#options.onError(error);
        const wait = WAITS_MS[Math.min(attempt, WAITS_MS.length - 1)] * (0.75 + Math.random() / 2);
        await new Promise((resolve) => this.#options.setTimeout(resolve, Math.max(wait, (error.retryAfter ?? 0) * 1000)));
        if (!isWanted()) throw error;
      }
    }
  }

  async #fetch() {
    const { url, method, credentials, headers, fetch } = this.#options;
    const own = typeof headers === 'function' ? await headers() : headers;
    let response, text;
    try {
      response = await fetch(url, { method, credentials, cache: 'no-store', headers: { accept: 'application/json', ...own } });
      text = await response.text();
    } catch (cause) {
      throw new TokenError(`the token endpoint cannot be reached: ${cause.message}`);
    }
    let body = null;
    try {
      body = JSON.parse(text);
    } catch {
      // Somebody else's page, perhaps a proxy's: the status says what it is worth.
    }
    if (!response.ok || typeof body?.token !== 'string') {
      const message = body?.message ?? `the token endpoint answered ${response.status}`;
      const retryAfter = Number(response.headers.get('retry-after')) || null;
      throw new TokenError(message, { status: response.status, code: body?.code ?? null, retryAfter });
    }
    return body;
  }
}

/** One client and its next token. */
class Kept {
  #client;
  #options;
  #fetch;
  #timer = null;
  #renewing = null;
  #token = null;
  #denials = 0;
  #stopped = false;
  #gaveUp = false;
  #listeners;

  constructor(client, options, fetch) {
    this.#client = client;
    this.#options = options;
    this.#fetch = fetch;
    const renew = () => void this.renew();
    this.#listeners = {
      tokenAboutToExpire: renew,
      tokenExpired: renew,
      connectionStateChanged: (state) => {
        if (state === 'connected') this.#denials = 0;
        // Refused for another reason than age, such as a key that is gone: the endpoint may have a better token.
        if (state === 'denied') renew();
      },
    };
    for (const [event, run] of Object.entries(this.#listeners)) client.on(event, run);
    if (client.connectionState === 'denied') renew();
  }

  stop() {
    this.#stopped = true;
    this.#clear();
    for (const [event, run] of Object.entries(this.#listeners)) this.#client.removeListener(event, run);
  }

  #giveUp() {
    this.#gaveUp = true;
    this.stop();
  }

  schedule(issued) {
    if (!issued || this.#stopped) return;
    this.#clear();
    const seconds = issued.refresh_after - issued.server_time;
    this.#timer = this.#options.setTimeout(() => void this.renew(), Math.max(1, seconds) * 1000);
  }

  #clear() {
    if (this.#timer !== null) this.#options.clearTimeout(this.#timer);
    this.#timer = null;
  }

  /** One renewal at a time: who asks meanwhile waits for it. */
  renew() {
    this.#renewing ??= this.#renew()
      .catch((error) => {
        if (!this.#stopped || this.#gaveUp) this.#options.onError(error);
      })
      .finally(() => (this.#renewing = null));
    return this.#renewing;
  }

  async #renew() {
    while (!this.#stopped) {
      if (this.#client.connectionState === 'denied' && (this.#denials += 1) > DENIALS_MAX) {
        this.#giveUp();
        throw new TokenError('fresh tokens are refused one after the other; is the endpoint of another service?', { status: 403 });
      }
      const issued = await this.#fetch(() => !this.#stopped);
      if (this.#stopped) return;
      // An endpoint that gives out one token twice would leave the client with one that dies.
      if (issued.token === this.#token) throw new TokenError('the token endpoint gave the same token again');
      await this.#settledState();
      if (this.#stopped) return;
      this.#token = issued.token;
      if (await this.#update(issued.token)) {
        this.schedule(issued);
        return;
      }
    }
  }

  /** Waits while the old connection ends. */
  async #settledState() {
    if (this.#client.connectionState !== 'disconnecting') return;
    await new Promise((resolve) => {
      const end = () => {
        this.#options.clearTimeout(timer);
        this.#client.removeListener('connectionStateChanged', look);
        resolve();
      };
      const look = (state) => state !== 'disconnecting' && end();
      const timer = this.#options.setTimeout(end, UPDATE_MS);
      this.#client.on('connectionStateChanged', look);
    });
  }

  /** Whether the client took it. What does not settle or is refused is told from a client that is beyond help. */
  async #update(token) {
    let timer;
    const late = new Promise((resolve) => (timer = this.#options.setTimeout(() => resolve('late'), UPDATE_MS)));
    try {
      return (await Promise.race([this.#client.updateToken(token), late])) !== 'late';
    } catch (error) {
      // The SDK's own way of saying that this client never came to life.
      if (error instanceof TypeError) {
        this.#giveUp();
        throw new Error('this client failed at its first connection; make a new one', { cause: error });
      }
      if (this.#client.connectionState === 'denied') return false;
      // The connection is away; the client keeps the token for when it is back.
      return true;
    } finally {
      this.#options.clearTimeout(timer);
    }
  }
}
