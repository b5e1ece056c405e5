// The official helper library against a server of one's own: only scheme, host and port of its requests change.

import { test } from 'node:test';

import twilio from 'twilio';

import { Server } from '../support/server.mjs';

class LocalClient extends twilio.RequestClient {
  constructor(origin, options) {
    super(options);
    this.origin = new URL(origin);
    this.requests = [];
  }

  request(options) {
    const url = new URL(options.uri);
    url.protocol = this.origin.protocol;
    url.host = this.origin.host;
    this.requests.push(`${options.method.toUpperCase()} ${url.pathname}${url.search}`);
    return super.request({ ...options, uri: url.href });
  }
}

/// The library as this username and password, by default the account itself. `transport`: options of its HTTP client.
export function library(server, username = server.account, password = server.authToken, { transport, ...options } = {}) {
  const httpClient = new LocalClient(server.url, transport);
  const client = twilio(username, password, { httpClient, accountSid: server.account, ...options });
  return Object.assign(client, { requests: httpClient.requests });
}

/// A test with a server and the library for its account.
export function withServer(title, body, options = {}) {
  test(title, { timeout: 60_000 }, async () => {
    const server = await Server.start(options);
    try {
      await body({ server, client: library(server), chat: library(server).conversations.v1 });
    } catch (error) {
      error.message += `\n--- the server's last words ---\n${server.log.slice(-2000)}`;
      throw error;
    } finally {
      await server.stop();
    }
  });
}

/// Whether an error of the library has this status and code, and the library's other fields.
export function refused(status, code) {
  return (error) => {
    const seen = [error.name, error.status, error.code, error.moreInfo];
    const expected = [error.name, status, code, `https://www.twilio.com/docs/errors/${code}`];
    if (String(seen) !== String(expected)) throw new Error(`got ${seen}: ${error.message}; expected ${status}, ${code}`);
    if (!(error instanceof twilio.RestException)) throw new Error(`not a RestException: ${error.name}`);
    return error.message.length > 0;
  };
}
