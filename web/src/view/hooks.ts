import { useCallback, useEffect, useLayoutEffect, useReducer, useRef, useState } from "preact/hooks";
import { reason } from "../model/explain";
import type { Model } from "../model/model";

/** Renders again when the model has changed. */
export function useModel(model: Model): void {
  const [, again] = useReducer((count: number) => count + 1, 0);
  useLayoutEffect(() => model.watch(() => again(undefined)), [model]);
}

/** Something that takes a moment and may fail: busy meanwhile, and the reason afterwards. */
export function useDoing() {
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<string | null>(null);
  const run = useCallback(async (doing: () => Promise<unknown>): Promise<boolean> => {
    setBusy(true);
    setFailure(null);
    try {
      await doing();
      return true;
    } catch (error) {
      setFailure(reason(error));
      return false;
    } finally {
      setBusy(false);
    }
  }, []);
  return { busy, failure, run, clear: () => setFailure(null) };
}

/** Copies a text, and is true for a moment afterwards. */
export function useCopy(): [copied: boolean, copy: (text: string) => void] {
  const [copied, setCopied] = useState(false);
  const timer = useRef(0);
  useEffect(() => () => clearTimeout(timer.current), []);
  const copy = (text: string) => {
    void write(text).then(() => {
      setCopied(true);
      clearTimeout(timer.current);
      timer.current = window.setTimeout(() => setCopied(false), 1600);
    });
  };
  return [copied, copy];
}

async function write(text: string): Promise<void> {
  // Plain http beyond this machine has no clipboard of its own.
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const field = document.createElement("textarea");
  field.value = text;
  document.body.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
}
