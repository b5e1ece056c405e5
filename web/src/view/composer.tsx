/** Where one writes: Enter sends, Shift+Enter begins a line, Escape ends editing. */

import type { Message } from "@twilio/conversations";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Chat } from "../model/chat";
import { useDoing } from "./hooks";
import { Failure, Icon } from "./parts";

interface Props {
  chat: Chat;
  edited: Message | null;
  onEdit: (message: Message | null) => void;
}

export function Composer({ chat, edited, onEdit }: Props) {
  const [text, setText] = useState(chat.draft);
  const field = useRef<HTMLTextAreaElement>(null);
  const doing = useDoing();
  useGrowing(field, text);
  // Before anything else can be typed: an effect after the paint would overwrite what a quick hand has written.
  useLayoutEffect(() => {
    setText(edited ? (edited.body ?? "") : chat.draft);
    if (edited) field.current?.focus();
  }, [edited]);
  const write = (text: string) => {
    setText(text);
    if (edited) return;
    chat.draft = text;
    if (text) chat.conversation.typing().catch(() => {});
  };
  const send = async () => {
    if (!text.trim()) return;
    if (edited) {
      if (await doing.run(() => edited.updateBody(text))) onEdit(null);
      return;
    }
    setText((chat.draft = ""));
    await chat.send(text);
  };
  const onKey = (event: KeyboardEvent) => {
    if (event.isComposing) return;
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      void send();
    } else if (event.key === "Escape" && edited) {
      onEdit(null);
    } else if (event.key === "ArrowUp" && !text && !edited) {
      const own = chat.messages.findLast((message) => message.author === chat.self);
      if (own) onEdit(own);
    }
  };
  return (
    <form
      class={`composer ${edited ? "editing" : ""}`}
      onSubmit={(event) => {
        event.preventDefault();
        void send();
      }}
    >
      {edited && (
        <p class="editing-line">
          Editing a message
          <button type="button" class="link" onClick={() => onEdit(null)}>
            Cancel
          </button>
        </p>
      )}
      <div class="row">
        <textarea
          ref={field}
          rows={1}
          value={text}
          placeholder={chat.others.length === 1 ? `Write to ${chat.others[0]}` : "Write a message"}
          aria-label="Message"
          enterkeyhint="send"
          onInput={(event) => write(event.currentTarget.value)}
          onKeyDown={onKey}
        />
        <button class="send" aria-label={edited ? "Save" : "Send"} disabled={!text.trim() || doing.busy}>
          <Icon name="send" />
        </button>
      </div>
      <Failure text={doing.failure} />
    </form>
  );
}

/** As high as its text, within what the style allows. */
function useGrowing(field: { current: HTMLTextAreaElement | null }, text: string): void {
  useLayoutEffect(() => {
    const element = field.current;
    if (!element) return;
    element.style.height = "auto";
    element.style.height = `${element.scrollHeight + 2}px`;
  }, [text]);
}
