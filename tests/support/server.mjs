// A server of one's own: started on a free port, ready when its env file is there, ended by its own process id.

import { spawn } from 'node:child_process';
import { existsSync, readFileSync, watch, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { mint } from './token.mjs';

const READY_MS = 15_000;
const END_MS = 5_000;

/// Rejects with `what` when `promise` takes longer; the timer is gone either way.
export async function within(promise, ms, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${typeof what === 'function' ? what() : what} (waited ${ms} ms)`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

export class Server {
  /// `keep`: a data folder that outlives a restart. `settings`: configuration, as its environment variables;
  /// `config`: as the text of a file.
  static async start({ keep = false, settings = {}, config } = {}) {
    const server = new Server();
    server.folder = await mkdtemp(join(tmpdir(), 'tertulia-test-'));
    server.keep = keep;
    server.settings = settings;
    server.config = config;
    try {
      await server.#spawn(0);
    } catch (error) {
      await rm(server.folder, { recursive: true, force: true });
      throw error;
    }
    return server;
  }

  async #spawn(port) {
    const binary = process.env.TERTULIA_BIN;
    if (!binary) throw new Error('TERTULIA_BIN names the tertulia binary to test');
    // The clock is the process's own: back to the real time.
    [this.ahead, this.frozenAt] = [0, undefined];
    const envFile = join(this.folder, `env-${this.starts = (this.starts ?? 0) + 1}`);
    const place = this.keep ? ['--data', join(this.folder, 'data')] : ['--ephemeral'];
    if (this.config !== undefined) {
      const file = join(this.folder, 'tertulia.toml');
      writeFileSync(file, this.config);
      place.push('--config', file);
    }
    const record = process.env.TERTULIA_TEST_RECORD;
    if (record) place.push('--record', await mkdtemp(join(record, 'run-')));

    // Watch before starting, so that the file cannot come unseen.
    const watcher = watch(this.folder);
    const written = new Promise((resolve) => watcher.on('change', () => existsSync(envFile) && resolve()));
    this.child = spawn(binary, ['dev', ...place, '--port', String(port), '--env-file', envFile], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, ...this.settings },
    });
    this.log = '';
    this.child.stderr.setEncoding('utf8').on('data', (text) => (this.log = (this.log + text).slice(-64 * 1024)));
    this.ended = new Promise((resolve) => {
      this.child.once('close', (code, signal) => resolve({ code, signal }));
      this.child.once('error', (error) => resolve({ error }));
    });
    const early = this.ended.then((how) => {
      throw new Error(`the server ended before it was ready: ${JSON.stringify(how)}\n${this.log}`);
    });
    early.catch(() => {});
    try {
      await within(Promise.race([written, early]), READY_MS, () => `no env file from the server\n${this.log}`);
    } catch (error) {
      this.child.kill('SIGKILL');
      throw error;
    } finally {
      watcher.close();
    }
    this.env = dotenv(readFileSync(envFile, 'utf8'));
    this.url = this.env.TERTULIA_URL;
    this.socketUrl = this.env.TERTULIA_TWILSOCK_URI;
    this.account = this.env.TWILIO_ACCOUNT_SID;
    this.authToken = this.env.TWILIO_AUTH_TOKEN;
    this.key = this.env.TWILIO_API_KEY;
    this.secret = this.env.TWILIO_API_SECRET;
    this.service = this.env.TWILIO_CHAT_SERVICE_SID;
  }

  get port() {
    return Number(new URL(this.url).port);
  }

  /// The account's time, in seconds, as far as `clock` moved it.
  now() {
    return Math.floor(this.frozenAt ?? Date.now() / 1000 + this.ahead);
  }

  /// An Access Token of this server's account for its chat service; `changes` as for `mint`.
  token(identity, changes = {}) {
    const { account, key, secret, service } = this;
    return mint({ account, key, secret, service, identity, now: this.now(), ...changes });
  }

  /// Moves the account's clock: `{ Advance, At, Freeze, Reset }`.
  async clock(form) {
    const state = await this.rest('POST', '/tertulia/v1/Clock', form);
    this.ahead = state.ahead_seconds;
    this.frozenAt = state.is_frozen ? Date.parse(state.now) / 1000 : undefined;
    return state;
  }

  /// Asks for a fault; gives what the server made of it.
  fault(kind, more = {}) {
    return this.rest('POST', '/tertulia/v1/Faults', { Kind: kind, ...more });
  }

  /// How often a fault struck.
  async hits({ id }) {
    return (await this.rest('GET', `/tertulia/v1/Faults/${id}`)).hits;
  }

  /// Ends one fault, or all of them.
  async mend({ id } = {}) {
    await this.rest('DELETE', id === undefined ? '/tertulia/v1/Faults' : `/tertulia/v1/Faults/${id}`);
  }

  /// Calls the REST API as the account: `form` is the body of a POST. Throws on anything but 2xx.
  async rest(method, path, form) {
    const answer = await this.restAnswer(method, path, form);
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body;
  }

  /// The same without judging the status: `{ ok, status, body }`.
  async restAnswer(method, path, form, credentials = `${this.account}:${this.authToken}`) {
    const response = await fetch(this.url + path, {
      method,
      headers: { authorization: `Basic ${Buffer.from(credentials).toString('base64')}`, connection: 'close' },
      body: form === undefined ? undefined : new URLSearchParams(form),
      signal: AbortSignal.timeout(10_000),
    });
    const text = await response.text();
    let body = text;
    try {
      body = text === '' ? undefined : JSON.parse(text);
    } catch {
      // Not JSON: the text is the body.
    }
    return { ok: response.ok, status: response.status, body };
  }

  /// Says something as somebody, over REST.
  say(conversationSid, author, text, more = {}) {
    return this.rest('POST', `/v1/Conversations/${conversationSid}/Messages`, { Author: author, Body: text, ...more });
  }

  /// Ends the process with a signal and waits for its end.
  async end(signal) {
    this.child.kill(signal);
    return within(this.ended, END_MS, () => `the server did not end after ${signal}\n${this.log}`);
  }

  /// Starts again with the same data on the same port.
  async startAgain() {
    await this.#spawn(this.port);
  }

  /// Ends the server as its owner would. Complains of panics and of an unclean end.
  async stop() {
    try {
      if (this.child.exitCode === null && this.child.signalCode === null) {
        const { code, signal } = await this.end('SIGTERM');
        if (code !== 0) throw new Error(`the server ended with ${code ?? signal} after SIGTERM\n${this.log}`);
      }
      if (/panicked at/.test(this.log)) throw new Error(`the server panicked\n${this.log}`);
    } finally {
      this.child.kill('SIGKILL');
      await rm(this.folder, { recursive: true, force: true });
    }
  }
}

/// Reads plain `NAME='value'` lines.
function dotenv(text) {
  return Object.fromEntries([...text.matchAll(/^([A-Z_0-9]+)='(.*)'$/gm)].map(([, name, value]) => [name, value]));
}
