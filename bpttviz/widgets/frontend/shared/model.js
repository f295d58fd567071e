/**
 * What widgets use of anywidget's model.
 * @typedef {Object} Model
 * @property {(name: string) => any} get
 * @property {(name: string, value: any) => void} set
 * @property {(event: string, listener: () => void) => void} on
 * @property {(event: string, listener: () => void) => void} off
 * @property {() => void} save_changes
 * @property {(content: any) => void} [send]   only where there is a kernel
 * @property {any} [widget_manager]            likewise
 */

/**
 * Stands in for a widget's model where there is no kernel: it remembers, and tells its listeners.
 * @implements {Model}
 */
export class OfflineModel {
  /** @param {Object<string, any>} values */
  constructor(values) {
    this.values = { ...values };
    /** @type {[string, () => void][]} */
    this.listeners = [];
  }

  /** @param {string} name */
  get(name) {
    return this.values[name];
  }

  /**
   * @param {string} name
   * @param {any} value
   */
  set(name, value) {
    if (this.values[name] === value) return;
    this.values[name] = value;
    for (const [event, listener] of this.listeners) if (event === `change:${name}`) listener();
  }

  /**
   * @param {string} event
   * @param {() => void} listener
   */
  on(event, listener) {
    this.listeners.push([event, listener]);
  }

  /**
   * @param {string} event
   * @param {() => void} listener
   */
  off(event, listener) {
    this.listeners = this.listeners.filter(([e, l]) => e !== event || l !== listener);
  }

  save_changes() {}
}

/**
 * Listen to several events of a model.
 * @param {Model} model
 * @param {[string, () => void][]} listeners
 * @returns {() => void} stops listening
 */
export function listen(model, listeners) {
  for (const [event, listener] of listeners) model.on(event, listener);
  return () => {
    for (const [event, listener] of listeners) model.off(event, listener);
  };
}
