/** An open conversation. */

import type { Message } from "@twilio/conversations";
import { useState } from "preact/hooks";
import type { Chat } from "../model/chat";
import { Composer } from "./composer";
import { useCopy, useDoing } from "./hooks";
import { Messages } from "./messages";
import { Failure, Icon, Popover } from "./parts";

export function ChatView({ chat, partner, onBack }: { chat: Chat; partner: string; onBack: () => void }) {
  const [edited, setEdited] = useState<Message | null>(null);
  const doing = useDoing();
  return (
    <article class="chat" aria-label={chat.title}>
      <header class="chat-head">
        <button type="button" class="bare back" aria-label="All conversations" onClick={onBack}>
          <Icon name="back" />
        </button>
        <div class="names">
          <h3>{chat.title}</h3>
          <p>{who(chat)}</p>
        </div>
        {chat.isJoined && <Invite chat={chat} partner={partner} />}
        <More chat={chat} />
      </header>
      {chat.isJoined ? (
        <>
          <Messages chat={chat} onEdit={setEdited} />
          <Composer chat={chat} edited={edited} onEdit={setEdited} />
        </>
      ) : (
        <div class="empty">
          <p>You are not in this conversation.</p>
          <button
            type="button"
            class="primary"
            disabled={doing.busy}
            onClick={() => void doing.run(() => chat.conversation.join())}
          >
            Join
          </button>
          <Failure text={doing.failure} />
        </div>
      )}
    </article>
  );
}

function who(chat: Chat): string {
  if (!chat.isJoined) return "Not joined";
  return chat.others.length === 0 ? "Only you: invite somebody" : `You, ${chat.others.join(", ")}`;
}

function Invite({ chat, partner }: { chat: Chat; partner: string }) {
  const missing = !chat.others.includes(partner) && partner !== chat.self;
  const [name, setName] = useState("");
  const doing = useDoing();
  return (
    <Popover class="invite" label="Invite somebody" summary={<Icon name="invite" />}>
      {(close) => {
        const invite = async (identity: string) => {
          if (!identity || !(await doing.run(() => chat.conversation.add(identity)))) return;
          setName("");
          close();
        };
        const submit = (event: Event) => {
          event.preventDefault();
          void invite(name.trim());
        };
        return (
          <>
            <form onSubmit={submit}>
              <label>
                Who else?
                <span class="row">
                  <input
                    value={name}
                    maxLength={256}
                    autocapitalize="none"
                    spellcheck={false}
                    placeholder="Identity"
                    onInput={(event) => setName(event.currentTarget.value)}
                  />
                  <button class="primary" disabled={doing.busy || !name.trim()}>
                    Invite
                  </button>
                </span>
              </label>
            </form>
            {missing && (
              <p class="chips">
                <button type="button" class="chip" onClick={() => void invite(partner)}>
                  {partner}
                </button>
              </p>
            )}
            <Failure text={doing.failure} />
          </>
        );
      }}
    </Popover>
  );
}

function More({ chat }: { chat: Chat }) {
  const { conversation } = chat;
  const [name, setName] = useState(conversation.friendlyName ?? "");
  const [copied, copy] = useCopy();
  const doing = useDoing();
  return (
    <Popover class="more" label="More about this conversation" summary={<Icon name="more" />}>
      {(close) => {
        const rename = async (event: Event) => {
          event.preventDefault();
          if (await doing.run(() => conversation.updateFriendlyName(name.trim()))) close();
        };
        const leave = async () => {
          if (await doing.run(() => conversation.leave())) close();
        };
        return (
          <>
            {chat.isJoined && (
              <form onSubmit={(event) => void rename(event)}>
                <label>
                  Name
                  <span class="row">
                    <input
                      value={name}
                      maxLength={256}
                      placeholder={chat.title}
                      onInput={(event) => setName(event.currentTarget.value)}
                    />
                    <button disabled={doing.busy}>Rename</button>
                  </span>
                </label>
              </form>
            )}
            <button type="button" class="quiet" onClick={() => copy(conversation.sid)}>
              {copied ? "Copied" : "Copy its SID"}
            </button>
            {chat.isJoined && (
              <button type="button" class="quiet danger" disabled={doing.busy} onClick={() => void leave()}>
                Leave
              </button>
            )}
            <Failure text={doing.failure} />
          </>
        );
      }}
    </Popover>
  );
}
