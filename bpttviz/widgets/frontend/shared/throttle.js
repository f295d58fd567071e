const INTERVAL = 250; // milliseconds between two calls that are passed on

/**
 * A function that passes on the last of many calls, four times a second: JupyterLab repaints its
 * status at every message, and that would cost more than a frame. Its `cancel` drops a call that
 * has not been passed on yet.
 * @template T
 * @param {(value?: T) => void} tell
 * @returns {((value?: T) => void) & {cancel: () => void}}
 */
export function throttle(tell) {
  /** @type {ReturnType<typeof setTimeout> | null} */
  let due = null;
  let last = -Infinity;
  /** @type {T | undefined} */
  let latest;
  const call = (/** @type {T | undefined} */ value) => {
    latest = value;
    due ??= setTimeout(() => {
      due = null;
      last = performance.now();
      tell(latest);
    }, Math.max(0, last + INTERVAL - performance.now()));
  };
  const cancel = () => {
    if (due !== null) clearTimeout(due);
    due = null;
  };
  return Object.assign(call, { cancel });
}
