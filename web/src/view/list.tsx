/** The conversations of a person, the latest first. */

import { useState } from "preact/hooks";
import type { Chat } from "../model/chat";
import type { Person } from "../model/person";
import { useDoing } from "./hooks";
import { Avatar, Cups, Failure, Icon, Popover } from "./parts";
import { shortTime } from "./time";

export function ChatList({ person, partner }: { person: Person; partner: string }) {
  const chats = person.sorted;
  if (chats.length === 0) return <Invitation person={person} partner={partner} />;
  return (
    <nav class="list" aria-label={`Conversations of ${person.identity}`}>
      <header>
        <h3>Conversations</h3>
        <NewChat person={person} partner={partner} />
      </header>
      <ul>
        {chats.map((chat) => (
          <li key={chat.sid}>
            <ChatItem chat={chat} isSelected={chat === person.selected} onSelect={() => person.select(chat)} />
          </li>
        ))}
      </ul>
    </nav>
  );
}

function ChatItem({ chat, isSelected, onSelect }: { chat: Chat; isSelected: boolean; onSelect: () => void }) {
  const { last, unread } = chat;
  const preview = !chat.isJoined
    ? "You are not in it"
    : chat.typing.size > 0
      ? "is typing…"
      : last
        ? `${last.author === chat.self ? "You: " : chat.others.length > 1 ? `${last.author}: ` : ""}${last.body ?? "…"}`
        : "No messages yet";
  return (
    <button type="button" class="chat-item" aria-current={isSelected} onClick={onSelect}>
      <Avatar identity={chat.title} />
      <span class="title">{chat.title}</span>
      <time dateTime={chat.latest.toISOString()}>{shortTime(chat.latest)}</time>
      <span class="preview">{preview}</span>
      {unread > 0 && (
        <span class="unread" aria-label={`${unread} unread`}>
          {unread > 99 ? "99+" : unread}
        </span>
      )}
    </button>
  );
}

/** What a person sees who is in no conversation yet. */
function Invitation({ person, partner }: { person: Person; partner: string }) {
  const doing = useDoing();
  if (!person.isReady) {
    const waits = person.state === "connecting" || person.state === "connected";
    return <div class="empty">{waits && <p class="faint">Laying the table…</p>}</div>;
  }
  const alone = partner === person.identity;
  return (
    <div class="empty">
      <Cups />
      <h3>No conversations yet</h3>
      <p>
        {alone
          ? "Start one. The other side is the same person, on a second device."
          : `Start one, and ${partner} sits down with you. Or wait until somebody invites you.`}
      </p>
      <button
        type="button"
        class="primary large"
        disabled={doing.busy}
        onClick={() => void doing.run(() => person.create("", alone ? [] : [partner]))}
      >
        {alone ? "Start a conversation" : `Start a conversation with ${partner}`}
      </button>
      <Failure text={doing.failure} />
    </div>
  );
}

function NewChat({ person, partner }: { person: Person; partner: string }) {
  const [name, setName] = useState("");
  const [others, setOthers] = useState(partner);
  const doing = useDoing();
  return (
    <Popover class="new-chat" label="New conversation" summary={<Icon name="plus" />}>
      {(close) => {
        const create = async (event: Event) => {
          event.preventDefault();
          const invited = others.split(",").map((identity) => identity.trim());
          const wanted = invited.filter((identity) => identity && identity !== person.identity);
          if (!(await doing.run(() => person.create(name.trim(), wanted)))) return;
          setName("");
          close();
        };
        return (
          <>
            <form onSubmit={(event) => void create(event)}>
              <label>
                What is it about?
                <input
                  value={name}
                  maxLength={256}
                  placeholder="A name, if you like"
                  onInput={(event) => setName(event.currentTarget.value)}
                />
              </label>
              <label>
                Who is invited?
                <input
                  value={others}
                  autocapitalize="none"
                  spellcheck={false}
                  placeholder="Names, with commas between"
                  onInput={(event) => setOthers(event.currentTarget.value)}
                />
              </label>
              <button class="primary" disabled={doing.busy}>
                Start the conversation
              </button>
              <Failure text={doing.failure} />
            </form>
          </>
        );
      }}
    </Popover>
  );
}
