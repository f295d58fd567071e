/** Stands in for a widget's model where there is no kernel: it remembers, and tells its listeners. */
export class PageModel {
  /** @param {Object<string, any>} values */
  constructor(values) {
    this.values = { ...values };
    this.listeners = [];
  }

  get(name) {
    return this.values[name];
  }

  set(name, value) {
    if (this.values[name] === value) return;
    this.values[name] = value;
    for (const [event, listener] of this.listeners) if (event === `change:${name}`) listener();
  }

  on(event, listener) {
    this.listeners.push([event, listener]);
  }

  off(event, listener) {
    this.listeners = this.listeners.filter(([e, l]) => e !== event || l !== listener);
  }

  save_changes() {}
}
