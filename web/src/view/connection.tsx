/** How a person is connected, in words, and what to do when not. */

import type { ConnectionState } from "@twilio/conversations";
import { useState } from "preact/hooks";
import { facts } from "../facts";
import type { Person } from "../model/person";
import { identityOf } from "../model/tokens";
import { useDoing } from "./hooks";
import { Failure, Prose } from "./parts";

const WORDS: Record<ConnectionState, string> = {
  unknown: "Not connected yet",
  connecting: "Connecting…",
  connected: "Connected",
  retrying: "Trying again…",
  denied: "Denied",
  disconnecting: "Disconnecting…",
  disconnected: "Disconnected",
  error: "Broken connection",
};

export function Connection({ state }: { state: ConnectionState }) {
  return (
    <span class="connection" role="status" data-state={state}>
      <span class="dot" />
      {WORDS[state]}
    </span>
  );
}

/** Any trouble with the connection: what it is, in the server's words too, and what to do. */
export function Notice({ person, onRetry }: { person: Person; onRetry: (() => void) | null }) {
  const { trouble, wantsToken, state } = person;
  if (wantsToken) return <Renewal person={person} title="The token is about to expire" />;
  if (!trouble) {
    return state === "disconnected" && onRetry ? (
      <div class="notice calm">
        <p>{person.identity} is not connected.</p>
        <button type="button" class="primary" onClick={onRetry}>
          Connect
        </button>
      </div>
    ) : null;
  }
  return (
    <div class={`notice ${trouble.passing ? "calm" : "grave"}`} role="alert">
      <p>
        <strong>{trouble.title}</strong>
        {trouble.code !== undefined && <span class="code">{trouble.code}</span>}
      </p>
      {trouble.said && <p class="said">
          “<Prose text={trouble.said} />”
        </p>}
      <p>
        <Prose text={trouble.advice} />
      </p>
      {!trouble.passing && onRetry && (
        <button type="button" class="primary" onClick={onRetry}>
          Try again
        </button>
      )}
      {!trouble.passing && !facts.dev && (
        <TokenField label="Another Access Token" onToken={(token) => person.connectWith(token)} />
      )}
    </div>
  );
}

function Renewal({ person, title }: { person: Person; title: string }) {
  const doing = useDoing();
  return (
    <div class="notice calm" role="alert">
      <p>
        <strong>{title}</strong>
      </p>
      <TokenField
        label={`A fresh Access Token for ${person.identity}`}
        onToken={(token) => void doing.run(() => person.renewWith(token))}
      />
      <Failure text={doing.failure} />
    </div>
  );
}

export function TokenField({ label, onToken }: { label: string; onToken: (token: string) => void }) {
  const [token, setToken] = useState("");
  const identity = identityOf(token);
  const submit = (event: Event) => {
    event.preventDefault();
    if (token) onToken(token);
  };
  return (
    <form class="token-field" onSubmit={submit}>
      <label>
        {label}
        <textarea
          rows={4}
          spellcheck={false}
          autocomplete="off"
          placeholder="eyJ…"
          value={token}
          onInput={(event) => setToken(event.currentTarget.value.trim())}
        />
      </label>
      <button class="primary" disabled={!token}>
        {identity ? `Connect as ${identity}` : "Connect"}
      </button>
    </form>
  );
}
