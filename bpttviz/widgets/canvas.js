/** Atoms on a canvas: two panes with one camera, drawn from back to front; no library. */

const SHADES = 48;     // colours between 0 and the end of the scale
const SPRITE = 96;     // pixels across a ready-made sphere
const BOND = 1.25;     // atoms nearer than this times the sum of their radii are joined by a line
const BEHIND = 0.6;    // Å by which a ghost steps back, so that its atom covers it
const FILL = 0.64;     // of a pane's shorter side for the radius around everything: corners may go
const SMALLEST_ARROW = 0.15; // Å, as drawn: below that there is only a head

/** A rotation and a zoom, shared by the panes. */
export class Camera {
  /** @param {number[][]} rotation  rows: right, up, towards the eye */
  constructor(rotation) {
    this.start = rotation;
    this.reset();
  }

  reset() {
    this.rotation = this.start.map((row) => [...row]);
    this.zoom = 1;
  }

  /** Turn what is seen: `right` about the vertical, `up` about the horizontal; radians. */
  turn(right, up) {
    const [c, s, d, t] = [Math.cos(right), Math.sin(right), Math.cos(up), Math.sin(up)];
    const [x, y, z] = this.rotation;
    const x1 = x.map((value, k) => c * value + s * z[k]);
    const z1 = z.map((value, k) => c * value - s * x[k]);
    this.rotation = orthonormal([
      x1, y.map((value, k) => d * value + t * z1[k]), z1.map((value, k) => d * value - t * y[k]),
    ]);
  }

  /**
   * @param {Float32Array} positions  n × 3, Å
   * @param {number[]} middle         Å
   * @param {number} perspective      growth for each Å nearer to the eye
   * @returns {Float32Array} n × 3: right and up in the picture's Å, and depth (larger is nearer)
   */
  project(positions, middle, perspective) {
    const [r, u, e] = this.rotation;
    const seen = new Float32Array(positions.length);
    for (let at = 0; at < positions.length; at += 3) {
      const x = positions[at] - middle[0];
      const y = positions[at + 1] - middle[1];
      const z = positions[at + 2] - middle[2];
      const depth = e[0] * x + e[1] * y + e[2] * z;
      const grown = Math.max(1 + perspective * depth, 0.05);
      seen[at] = grown * (r[0] * x + r[1] * y + r[2] * z);
      seen[at + 1] = grown * (u[0] * x + u[1] * y + u[2] * z);
      seen[at + 2] = depth;
    }
    return seen;
  }
}

/** Rows made perpendicular and of length one again: many small turns add up rounding. */
function orthonormal([a, b]) {
  const unit = (v) => v.map((value) => value / Math.hypot(...v));
  const x = unit(a);
  const along = x[0] * b[0] + x[1] * b[1] + x[2] * b[2];
  const y = unit(b.map((value, k) => value - along * x[k]));
  const z = [x[1] * y[2] - x[2] * y[1], x[2] * y[0] - x[0] * y[2], x[0] * y[1] - x[1] * y[0]];
  return [x, y, z];
}

/** [r, g, b] of "#rrggbb". */
const rgb = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
const css = (colour, alpha = 1) => `rgba(${colour.map(Math.round).join(",")},${alpha})`;
const mix = (a, b, part) => a.map((value, k) => value + part * (b[k] - value));

/** The colour at `part` (0 to 1) of a scale of evenly spaced colours. */
export function colourAt(scale, part) {
  const place = Math.min(Math.max(part, 0), 1) * (scale.length - 1);
  const lower = Math.min(Math.floor(place), scale.length - 2);
  return mix(rgb(scale[lower]), rgb(scale[lower + 1]), place - lower);
}

/** A sphere drawn once, to be stamped at any size. */
function sphere(paint) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SPRITE;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const half = SPRITE / 2;
  context.beginPath();
  context.arc(half, half, half - 2, 0, 2 * Math.PI);
  paint(context, half);
  return canvas;
}

function solid(colour) {
  return sphere((context, half) => {
    const light = context.createRadialGradient(0.68 * half, 0.62 * half, 0, half, half, half);
    light.addColorStop(0, css(mix(colour, [255, 255, 255], 0.6)));
    light.addColorStop(0.4, css(colour));
    light.addColorStop(1, css(mix(colour, [0, 0, 0], 0.22)));
    context.fillStyle = light;
    context.fill();
    context.lineWidth = 2.5;
    context.strokeStyle = "rgba(34,34,34,0.8)";
    context.stroke();
  });
}

function ghostly(colour) {
  return sphere((context) => {
    context.fillStyle = css(rgb(colour), 0.3);
    context.fill();
    context.lineWidth = 4;
    context.strokeStyle = css(rgb(colour), 0.95);
    context.stroke();
  });
}

/** Pairs of bodies that touch, by index. */
export function bondsBetween(positions, radii) {
  const pairs = [];
  const count = radii.length;
  for (let i = 0; i < count; i++) {
    const [x, y, z] = [positions[3 * i], positions[3 * i + 1], positions[3 * i + 2]];
    for (let j = i + 1; j < count; j++) {
      const reach = radii[i] + radii[j];
      const dx = positions[3 * j] - x;
      if (dx > reach || dx < -reach) continue;
      const dy = positions[3 * j + 1] - y, dz = positions[3 * j + 2] - z;
      if (dx * dx + dy * dy + dz * dz < reach * reach) pairs.push(i, j);
    }
  }
  return pairs;
}

/** Two panes side by side. The pointer or the arrow keys turn both; the wheel (with Ctrl) zooms. */
export class CanvasStage {
  /** @param {HTMLElement} el  where the panes go */
  constructor(el) {
    this.el = el;
    this.state = { step: 0, arrows: false, images: false };
    this.canvases = [];
    this.resized = new ResizeObserver(() => this.draw(this.state));
  }

  /** @param {import("./clip.js").Clip} clip */
  load(clip) {
    const shape = JSON.stringify([clip.structure, clip.cell]);
    if (shape !== this.shape) this.camera = new Camera(clip.view); // another pair keeps the view
    this.shape = shape;
    this.clip = clip;
    this.sprites = Array.from({ length: SHADES }, (_, k) => solid(colourAt(clip.scale, k / (SHADES - 1))));
    this.grey = solid([190, 190, 190]);
    this.ghost = ghostly(clip.ghost);
    this.covalent = Float32Array.from(clip.species, (kind) => clip.radii[kind]);
    this.cell = Float32Array.from(clip.cell.flat());
    this.bodies = clip.paths.map(() => null);
    this.resized.disconnect();
    this.canvases = clip.paths.map((path) => this.pane(path));
    this.el.replaceChildren(...this.canvases);
  }

  destroy() {
    this.resized.disconnect();
  }

  pane(path) {
    const canvas = document.createElement("canvas");
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label",
      `${this.clip.structure} under ${path.potential}, ${this.clip.atoms} atoms. Arrow keys turn ` +
      "both panes, plus and minus zoom, 0 goes back.");
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.drag = [event.clientX, event.clientY];
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!this.drag || !canvas.hasPointerCapture(event.pointerId)) return;
      const [x, y] = this.drag;
      this.drag = [event.clientX, event.clientY];
      this.turn(0.01 * (event.clientX - x), 0.01 * (event.clientY - y));
    });
    canvas.addEventListener("pointerup", () => { this.drag = null; });
    canvas.addEventListener("dblclick", () => this.home());
    canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && document.activeElement !== canvas) return; // the page scrolls
      event.preventDefault();
      this.zoom(Math.exp(-0.002 * event.deltaY));
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => {
      const turns = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, -0.1], ArrowDown: [0, 0.1] };
      if (turns[event.key]) this.turn(...turns[event.key]);
      else if (event.key === "+" || event.key === "=") this.zoom(1.1);
      else if (event.key === "-") this.zoom(1 / 1.1);
      else if (event.key === "0") this.home();
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
    this.resized.observe(canvas);
    return canvas;
  }

  turn(right, down) {
    this.camera.turn(right, -down);
    this.draw(this.state);
  }

  zoom(factor) {
    this.camera.zoom = Math.min(Math.max(this.camera.zoom * factor, 0.3), 8);
    this.draw(this.state);
  }

  home() {
    this.camera.reset();
    this.draw(this.state);
  }

  /**
   * Draw both panes, once, before the browser paints next.
   * @param {{step: number, arrows: boolean, images: boolean}} state
   */
  draw(state) {
    this.state = { ...state };
    this.due ??= requestAnimationFrame(() => {
      this.due = null;
      this.drawNow();
    });
  }

  drawNow() {
    this.canvases.forEach((canvas, index) => this.drawPane(canvas, index));
    this.drawn = (this.drawn ?? 0) + 1; // counted by the benchmark
  }

  /** What stands in a pane at the step shown; worked out once a step, not once a turn. */
  bodiesOf(index) {
    const { clip, state } = this;
    const path = clip.paths[index];
    const key = `${path.held(state.step)} ${path.gone(state.step)} ${state.images}`;
    if (this.bodies[index]?.key === key) return this.bodies[index];
    const { positions, distances } = path.at(state.step);
    const all = (values, each) => (state.images ? clip.withImages(values, each) : values);
    const covalent = all(this.covalent);
    const gone = path.gone(state.step);
    const places = all(positions, 3);
    return (this.bodies[index] = {
      key, gone, positions: places, ghosts: all(clip.reference, 3), distances,
      radii: covalent.map((radius) => clip.drawn * radius),
      sprites: Array.from(all(distances), (distance) => gone ? this.grey
        : this.sprites[Math.min(Math.round((distance / clip.limit) * (SHADES - 1)), SHADES - 1)]),
      bonds: bondsBetween(places, covalent.map((radius) => BOND * radius)),
    });
  }

  drawPane(canvas, index) {
    const { clip, camera, state } = this;
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    const width = Math.round(canvas.clientWidth * ratio), height = Math.round(canvas.clientHeight * ratio);
    if (!width || !height) return;
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    // Drawn by the processor even where there is a GPU: hundreds of small stamps are quick there,
    // and several times as slow where the GPU itself is only imitated.
    const context = canvas.getContext("2d", { willReadFrequently: true });
    const style = getComputedStyle(canvas);
    const ink = style.color, line = style.borderTopColor;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, width, height);
    const reach = clip.reach + (state.images ? clip.margin : 0);
    const size = (FILL * Math.min(width, height) * camera.zoom) / reach;
    const x = (value) => width / 2 + size * value;
    const y = (value) => height / 2 - size * value;
    const see = (positions) => camera.project(positions, clip.middle, clip.perspective);

    const edges = see(this.cell);
    context.strokeStyle = line;
    context.lineWidth = ratio;
    context.setLineDash([2 * ratio, 3 * ratio]);
    context.beginPath();
    for (let at = 0; at < edges.length; at += 6) {
      context.moveTo(x(edges[at]), y(edges[at + 1]));
      context.lineTo(x(edges[at + 3]), y(edges[at + 4]));
    }
    context.stroke();
    context.setLineDash([]);

    const bodies = this.bodiesOf(index);
    const atoms = see(bodies.positions), ghosts = see(bodies.ghosts);
    const count = bodies.radii.length;
    const items = []; // [depth, kind, number]
    for (let k = 0; k < count; k++) {
      items.push([atoms[3 * k + 2], 0, k], [ghosts[3 * k + 2] - BEHIND, 1, k]);
    }
    for (let k = 0; k < bodies.bonds.length; k += 2) {
      const [i, j] = [bodies.bonds[k], bodies.bonds[k + 1]];
      items.push([(atoms[3 * i + 2] + atoms[3 * j + 2]) / 2, 2, k]);
    }
    items.sort((a, b) => a[0] - b[0]);

    const stamp = (sprite, seen, k) => {
      const radius = bodies.radii[k] * size * Math.max(1 + clip.perspective * seen[3 * k + 2], 0.05);
      context.drawImage(sprite, x(seen[3 * k]) - radius, y(seen[3 * k + 1]) - radius, 2 * radius, 2 * radius);
    };
    context.strokeStyle = line;
    context.lineWidth = 0.13 * size;
    for (const [, kind, k] of items) {
      if (kind === 2) {
        const [i, j] = [bodies.bonds[k], bodies.bonds[k + 1]];
        context.globalAlpha = i < clip.atoms && j < clip.atoms ? 1 : 0.35;
        // From surface to surface: its middle decides what it hides, so its ends must not reach in.
        const length = Math.hypot(...[0, 1, 2].map((part) => atoms[3 * j + part] - atoms[3 * i + part]));
        const [first, last] = [0.9 * bodies.radii[i] / length, 1 - 0.9 * bodies.radii[j] / length];
        if (first >= last) continue;
        const between = (part, place) =>
          atoms[3 * i + part] + place * (atoms[3 * j + part] - atoms[3 * i + part]);
        context.beginPath();
        context.moveTo(x(between(0, first)), y(between(1, first)));
        context.lineTo(x(between(0, last)), y(between(1, last)));
        context.stroke();
      } else {
        context.globalAlpha = k < clip.atoms ? 1 : 0.35;
        stamp(kind ? this.ghost : bodies.sprites[k], kind ? ghosts : atoms, k);
      }
    }
    context.globalAlpha = 1;
    if (state.arrows && !bodies.gone) this.drawArrows(context, bodies, see, x, y, size, style);
    for (const [atom, symbol] of clip.labels) {
      const text = [symbol, x(atoms[3 * atom]), y(atoms[3 * atom + 1])];
      context.font = `700 ${0.75 * size}px system-ui, sans-serif`;
      context.textAlign = "center";
      context.textBaseline = "middle";
      context.lineWidth = 0.2 * size;
      context.lineJoin = "round";
      context.strokeStyle = "rgba(255,255,255,0.85)";
      context.strokeText(...text);
      context.fillStyle = "#222";
      context.fillText(...text);
    }
    if (bodies.gone) this.drawLost(context, clip.paths[index].lost, width, height, ratio, ink, style);
  }

  /** From where each atom is towards its place in the reference, magnified. */
  drawArrows(context, bodies, see, x, y, size, style) {
    const { clip } = this;
    const tips = clip.reference.map((place, at) =>
      bodies.positions[at] + clip.magnified * (place - bodies.positions[at]));
    const from = see(bodies.positions), to = see(tips);
    const blue = style.caretColor;
    for (const [colour, extra] of [[style.backgroundColor, 0.1], [blue, 0]]) {
      context.strokeStyle = context.fillStyle = colour;
      context.lineWidth = (0.12 + extra) * size;
      context.lineJoin = "round";
      for (let atom = 0; atom < clip.atoms; atom++) {
        const [x0, y0] = [x(from[3 * atom]), y(from[3 * atom + 1])];
        const [x1, y1] = [x(to[3 * atom]), y(to[3 * atom + 1])];
        const length = Math.hypot(x1 - x0, y1 - y0);
        const head = Math.min(0.55 * size, length);
        if (clip.magnified * bodies.distances[atom] < SMALLEST_ARROW || length < 2) continue;
        const [ux, uy] = [(x1 - x0) / length, (y1 - y0) / length];
        const [bx, by] = [x1 - head * ux, y1 - head * uy];
        context.beginPath();
        context.moveTo(x0, y0);
        context.lineTo(bx, by);
        context.stroke();
        context.beginPath();
        context.moveTo(x1, y1);
        context.lineTo(bx - 0.42 * head * uy, by + 0.42 * head * ux);
        context.lineTo(bx + 0.42 * head * uy, by - 0.42 * head * ux);
        context.closePath();
        context.fill();
        if (extra) context.stroke();
      }
    }
  }

  /** Says across the pane that there is nothing more to see. */
  drawLost(context, reason, width, height, ratio, ink, style) {
    const lines = reason.replace(": ", ":\n").split("\n");
    context.font = `600 ${13 * ratio}px system-ui, sans-serif`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    const wide = Math.max(...lines.map((text) => context.measureText(text).width)) + 24 * ratio;
    const high = (18 * lines.length + 14) * ratio;
    context.fillStyle = style.backgroundColor;
    context.strokeStyle = ink;
    context.lineWidth = ratio;
    context.beginPath();
    context.rect((width - wide) / 2, (height - high) / 2, wide, high);
    context.fill();
    context.stroke();
    context.fillStyle = ink;
    lines.forEach((text, row) =>
      context.fillText(text, width / 2, height / 2 + 18 * ratio * (row - (lines.length - 1) / 2)));
  }
}
