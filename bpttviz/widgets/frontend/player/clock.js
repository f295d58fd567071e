/** The clock of a player: which step is shown, and when the next one is due. */

/** How many ticks the last step stays before the clock begins again. */
const REST = 5;

export class Clock {
  /**
   * @param {(step: number, sign: number) => number} neighbour  the step after (1) or before (-1)
   * @param {number} last  step
   */
  constructor(neighbour, last) {
    this.neighbour = neighbour;
    this.last = last;
    this.step = 0;
    this.playing = false;
    this.loop = true;
    this.rate = 5; // steps a second
    this.waited = 0; // ticks since the last step came up
    this.runs = 0; // how often it was set going
    /** @type {number[]} */
    this.pauses = []; // steps that stay as long as the last one does
  }

  /**
   * Go to a step, and count anew from there.
   * @param {number} step
   */
  go(step) {
    this.step = Math.min(Math.max(Math.round(step), 0), this.last);
    this.waited = 0;
  }

  /** Start, from the beginning if it stands at the end; or pause. */
  toggle() {
    this.playing = !this.playing && this.last > 0;
    if (this.playing && this.step === this.last) this.go(0);
    this.waited = 0;
  }

  /**
   * Let time pass. A machine that draws too slowly for the rate sees every step, later: none is
   * left out, since each is part of the story.
   * @param {number} milliseconds
   * @returns {boolean} whether another step is to be shown, or playing has ended
   */
  advance(milliseconds) {
    if (!this.playing) return false;
    this.waited += (milliseconds * this.rate) / 1000;
    const atEnd = this.step >= this.last;
    if (atEnd && !this.loop) {
      this.playing = false;
      return true;
    }
    const ticks = atEnd || this.pauses.includes(this.step) ? REST : 1;
    if (this.waited < ticks) return false;
    this.waited = Math.min(this.waited - ticks, 1);
    this.step = atEnd ? 0 : this.neighbour(this.step, 1);
    return true;
  }
}

/**
 * Let a clock run for as long as it plays and its view is in the page. Paused and set going again
 * before the next frame, it would run twice as fast: only the last call goes on.
 * @param {Clock} clock
 * @param {HTMLElement} el
 * @param {() => void} show  another step has come, or playing has ended
 */
export function run(clock, el, show) {
  const mine = ++clock.runs;
  let before = performance.now();
  const tick = (/** @type {number} */ now) => {
    if (!clock.playing || !el.isConnected || clock.runs !== mine) return;
    if (clock.advance(now - before)) show();
    before = now;
    requestAnimationFrame(tick);
  };
  requestAnimationFrame(tick);
}
