// One preview at a time, of the newest look. While a slider moves, small ones are made as fast as they come back, and what
// was asked for between two of them is skipped; a large one follows when it rests. A large one, or a small one that takes
// too long, is broken off as soon as something newer is asked for.

const SOON = 110; // milliseconds that a draft may take before the next is made smaller
const LATE = 400; // and after which it is not worth waiting for

export class Previews {
  /** `make(size, signal)` gives a result, `show(result, draft)` takes it, `fail(error)` what went wrong; `busy(at all,
   * with a large one)` is told, and `fine()` is the size of a large one. */
  constructor({ make, show, fail, busy, fine }) {
    Object.assign(this, { make, show, fail, busy, fine });
    this.size = 384; // of drafts; follows the machine
    this.running = null;
    this.next = null;
    this.waiters = [];
  }

  /** Ask for a preview of the look as it is now. */
  ask(draft) {
    this.next = { draft };
    this.wake(draft ? 220 : 0);
    this.tell();
    if (!this.running) return this.work();
    if (!this.running.draft || performance.now() - this.running.since > LATE) this.running.abort.abort();
  }

  /** Break off whatever is on its way: the photograph is another one. */
  drop() {
    this.next = null;
    this.wake(0);
    this.running?.abort.abort();
    this.tell();
  }

  /** The large one follows after so many milliseconds; 0: it does not. */
  wake(after) {
    clearTimeout(this.rest);
    this.rest = after ? setTimeout(() => { this.rest = 0; this.ask(false); }, after) : 0;
  }

  /** Say whether anything is still to come, and whether that takes long. */
  tell() { this.busy(Boolean(this.running || this.next || this.rest), Boolean(this.running && !this.running.draft)); }

  /** A promise for the moment at which nothing is on its way. */
  idle() {
    if (!this.running && !this.next) return Promise.resolve();
    return new Promise((resolve) => this.waiters.push(resolve));
  }

  async work() {
    while (this.next) {
      const { draft } = this.next;
      this.next = null;
      this.running = { draft, abort: new AbortController(), since: performance.now() };
      this.tell();
      await this.one(this.running);
    }
    this.running = null;
    this.tell();
    for (const resolve of this.waiters.splice(0)) resolve();
  }

  async one({ draft, abort, since }) {
    try {
      const result = await this.make(draft ? Math.min(this.size, this.fine()) : this.fine(), abort.signal);
      if (abort.signal.aborted) return;
      if (draft) this.adapt(performance.now() - since);
      this.show(result, draft);
    } catch (error) {
      if (error.name !== "AbortError") this.fail(error);
    }
  }

  adapt(took) {
    const better = this.size * Math.sqrt(SOON / Math.max(took, 20));
    const eased = this.size + (better - this.size) * 0.5;
    this.size = Math.round(Math.min(768, Math.max(192, eased)) / 32) * 32;
  }
}
