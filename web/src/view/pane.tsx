/** One person's half of the page. */

import { useEffect, useState } from "preact/hooks";
import { facts } from "../facts";
import type { Person } from "../model/person";
import { forgetPassword } from "../model/tokens";
import { ChatView } from "./chat";
import { useModel } from "./hooks";
import { ChatList } from "./list";
import { Connection, Notice, TokenField } from "./connection";
import { Avatar, Icon, Popover } from "./parts";

interface Props {
  person: Person;
  partner: Person;
  onNamed: (identity: string) => void;
  onLocked: () => void;
}

export function Pane({ person, partner, onNamed, onLocked }: Props) {
  useModel(person);
  useModel(partner);
  const connect = (identity: string) => {
    onNamed(identity);
    void person.connect(identity);
  };
  // The server that was restarted may have another password than the one that is kept.
  const isLocked = person.trouble?.code === 401 && facts.password === null;
  useEffect(() => {
    if (!isLocked) return;
    forgetPassword();
    onLocked();
  }, [isLocked]);
  const needsToken = !facts.dev && person.state === "unknown";
  const name = needsToken ? "Nobody yet" : person.identity;
  return (
    <section class="pane" aria-label={name} data-identity={name} data-state={person.state}>
      <header class="pane-head">
        {facts.dev ? (
          <Who person={person} partner={partner} onChosen={connect} />
        ) : (
          <h2 class="who">
            <Avatar identity={needsToken ? "?" : name} />
            <span class="name">{name}</span>
          </h2>
        )}
        <Connection state={person.state} />
      </header>
      <Notice person={person} onRetry={facts.dev ? () => void person.connect() : null} />
      {needsToken ? (
        <div class="empty">
          <h3>Who sits here?</h3>
          <p>
            Whoever the Access Token is for. <code>tertulia token mint</code> makes one, as does every helper library.
          </p>
          <TokenField label="Access Token" onToken={(token) => person.connectWith(token)} />
        </div>
      ) : (
        <div class={`table ${person.selected ? "has-chat" : ""}`}>
          <ChatList person={person} partner={partner.identity} />
          {person.selected ? (
            <ChatView
              key={person.selected.sid}
              chat={person.selected}
              partner={partner.identity}
              onBack={() => person.select(null)}
            />
          ) : (
            <p class="unselected">Choose a conversation.</p>
          )}
        </div>
      )}
    </section>
  );
}

const SUGGESTED = ["alice", "bob", "carol", "dan"];

function Who({ person, partner, onChosen }: { person: Person; partner: Person; onChosen: (identity: string) => void }) {
  const [name, setName] = useState(person.identity);
  const isOn = person.state !== "unknown" && person.state !== "disconnected";
  const suggested = SUGGESTED.filter((other) => other !== person.identity && other !== partner.identity);
  return (
    <Popover
      class="who-menu"
      label={`${person.identity}: change who sits here`}
      summary={
        <h2 class="who">
          <Avatar identity={person.identity} />
          <span class="name">{person.identity}</span>
          <Icon name="down" />
        </h2>
      }
    >
      {(close) => {
        const choose = (identity: string) => {
          setName(identity);
          close();
          onChosen(identity);
        };
        const submit = (event: Event) => {
          event.preventDefault();
          if (name.trim()) choose(name.trim());
        };
        return (
          <>
            <form onSubmit={submit}>
              <label>
                Who sits here?
                <span class="row">
                  <input
                    value={name}
                    maxLength={256}
                    autocomplete="off"
                    autocapitalize="none"
                    spellcheck={false}
                    onInput={(event) => setName(event.currentTarget.value)}
                  />
                  <button class="primary" disabled={!name.trim()}>
                    Connect
                  </button>
                </span>
              </label>
            </form>
            <p class="chips">
              {suggested.map((identity) => (
                <button type="button" class="chip" key={identity} onClick={() => choose(identity)}>
                  {identity}
                </button>
              ))}
            </p>
            {isOn && (
              <button
                type="button"
                class="quiet"
                onClick={() => {
                  close();
                  person.disconnect();
                }}
              >
                Disconnect
              </button>
            )}
          </>
        );
      }}
    </Popover>
  );
}
