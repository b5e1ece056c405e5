// What stands on the other side of the token endpoint: programs of their own, as docs/tokens.md shows them.

import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { test } from 'node:test';

import conversations from '@twilio/conversations';
import { OAuth2Server } from 'oauth2-mock-server';

import { Person } from '../support/person.mjs';
import { Server, within } from '../support/server.mjs';

const DOCS = readFileSync(new URL('../../docs/tokens.md', import.meta.url), 'utf8');

/// An example of docs/tokens.md by its name.
export function example(name) {
  const [, indent, text] = new RegExp(`^( *)<!-- example: ${name} -->\n\\1\`\`\`.*\n([\\s\\S]*?)\n\\1\`\`\`$`, 'm').exec(DOCS) ?? [];
  if (text === undefined) throw new Error(`docs/tokens.md has no example ${name}`);
  return text.replaceAll(new RegExp(`^${indent}`, 'gm'), '') + '\n';
}

/// The Express example, as a program of its own.
export async function expressApp() {
  const child = spawn(process.execPath, ['--input-type=module', '--eval', example('express.mjs')], {
    cwd: new URL('.', import.meta.url),
    env: { ...process.env, PORT: '0', SESSION_SECRET: 'a secret for tests only' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout });
  const port = await within(new Promise((resolve) => lines.once('line', resolve)), 10_000, 'the app does not start');
  const url = `http://127.0.0.1:${port}`;
  return {
    url,
    /// Logs in and gives the cookie.
    async login(name) {
      const response = await fetch(`${url}/login/${name}`, { method: 'POST' });
      return response.headers.getSetCookie()[0].split(';')[0];
    },
    async stop() {
      if (child.kill()) await new Promise((resolve) => child.once('exit', resolve));
    },
  };
}

/// Asks for a token.
export async function ask(server, headers = {}, method = 'POST') {
  const response = await fetch(`${server.url}/token`, { method, headers: { connection: 'close', ...headers } });
  const text = await response.text();
  let body = text;
  try {
    body = JSON.parse(text);
  } catch {
    // A bare token.
  }
  return { status: response.status, headers: response.headers, body };
}

/// The first line of the log that fits. The log comes by a pipe, a moment later.
export async function logged(server, pattern) {
  for (let tries = 0; tries < 500; tries += 1) {
    const line = server.log.split('\n').find((line) => pattern.test(line));
    if (line !== undefined) return line;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`the log has no line ${pattern}`);
}

/// Somebody at the official SDK with a token.
export async function person(server, identity, token) {
  return new Person(conversations, identity, token, server.socketUrl).ready();
}

/// A test with a server that has this configuration.
export function withConfig(title, configure, body) {
  test(title, { timeout: 60_000 }, async () => {
    const ends = [];
    const later = (end) => ends.unshift(end);
    let server;
    try {
      const { config, ...more } = await configure(later);
      server = await Server.start({ config });
      await body({ server, later, ...more });
    } catch (error) {
      error.message += `\n--- the server's last words ---\n${server?.log.slice(-2000)}`;
      throw error;
    } finally {
      for (const end of ends) await end();
      await server?.stop();
    }
  });
}

/// A plain HTTP server; `answer` as in node:http.
export async function plainServer(answer) {
  const server = createServer(answer);
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    stop() {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}

/// An identity provider, a real one on loopback.
export async function withProvider(later, more = '') {
  const provider = new OAuth2Server();
  await provider.issuer.keys.generate('RS256', { kid: 'first' });
  await provider.start(0, '127.0.0.1');
  later(() => provider.listening && provider.stop());
  const issuer = provider.issuer.url;
  const config = example('oidc.toml').replace('https://login.example.com', issuer).replace('audience = ["chat"]', `audience = ["chat"]\n${more}`);
  /// A token of the provider for staff, with these changes.
  const token = async (claims = {}, { kid, header = {} } = {}) => {
    const change = (header_, payload) => {
      Object.assign(header_, header);
      Object.assign(payload, { sub: '7', aud: 'chat', email: 'Ana@Example.com', email_verified: true, groups: ['staff'] }, claims);
      for (const name of Object.keys(payload)) if (payload[name] === undefined) delete payload[name];
    };
    return provider.issuer.buildToken({ kid, scopesOrTransform: change, expiresIn: 3600 });
  };
  return { provider, config, token };
}

/// A JWT as it is shown.
export const bearer = (token) => ({ authorization: `Bearer ${token}` });
