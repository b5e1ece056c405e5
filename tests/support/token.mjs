// Access Tokens from first principles, so that wrong ones can be made too.

import { createHmac, randomBytes } from 'node:crypto';

const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

export const nowSeconds = () => Math.floor(Date.now() / 1000);

/// Signs what it is told, at `now` in seconds. `header`, `claims` and `grants` are laid over what an honest token holds;
/// a member that is `undefined` is left out.
export function mint({ account, key, secret, service, identity, now = nowSeconds(), ttl = 3600, header = {}, claims = {}, grants = {} }) {
  const head = { typ: 'JWT', alg: 'HS256', cty: 'twilio-fpa;v=1', ...header };
  const payload = {
    // With a random part: two tokens of one second are two tokens.
    jti: `${key}-${now}-${randomBytes(4).toString('hex')}`,
    iss: key,
    sub: account,
    exp: now + ttl,
    grants: { identity, chat: { service_sid: service }, ...grants },
    ...claims,
  };
  const signed = `${part(head)}.${part(payload)}`;
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}
