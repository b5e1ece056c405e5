/** Something that changes and tells those who show it, at most once per task. */
export class Model {
  private readonly watchers = new Set<() => void>();
  private told = true;

  watch(watcher: () => void): () => void {
    this.watchers.add(watcher);
    return () => this.watchers.delete(watcher);
  }

  protected changed(): void {
    if (!this.told) return;
    this.told = false;
    queueMicrotask(() => {
      this.told = true;
      for (const watcher of this.watchers) watcher();
    });
  }
}
