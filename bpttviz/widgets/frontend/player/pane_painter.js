/**
 * One pane of atoms, drawn from back to front on a canvas: cell, bonds, spheres, ghosts, arrows.
 *
 * @typedef {Object} Bodies  what stands in a pane at one step
 * @property {string} key               of what it was worked out for
 * @property {boolean} gone             the relaxation had been given up before that step
 * @property {Float32Array} positions   atoms, then images; × 3, Å
 * @property {Float32Array} ghosts      their places in the reference
 * @property {Float32Array} radii       as drawn, Å
 * @property {HTMLCanvasElement[]} sprites
 * @property {import("./bonds.js").Bonds} bonds
 * @property {{from: Float32Array, to: Float32Array}} arrows  n × 3 each, Å; none where they meet
 *
 * @typedef {(x: Float32Array) => Float32Array} Project
 */

const BEHIND = 0.6; // Å by which a ghost steps back, so that its atom covers it
const FILL = 0.97;  // of a pane for what is seen in it
const PALE = 0.35;  // opacity of periodic images
/** A bond as a rod: its dark rim, its body, the light on it; colours and widths in Å. @type {[string, number][]} */
const BOND_STROKES = [["#4d4d4d", 0.2], ["#9b9b9b", 0.14], ["#c4c4c4", 0.05]];
export const VACANCY_SIZE = 0.6; // Å, radius of an empty site

const ATOM = 0, GHOST = 1, BOND = 2, VACANCY = 3; // what is drawn from back to front

export class PanePainter {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {import("./comparison.js").Comparison} comparison
   * @param {import("./camera.js").Camera} camera
   * @param {boolean} images  whether they are shown, and need room
   */
  constructor(canvas, comparison, camera, images) {
    this.comparison = comparison;
    this.ratio = Math.min(window.devicePixelRatio || 1, 2);
    this.width = Math.round(canvas.clientWidth * this.ratio);
    this.height = Math.round(canvas.clientHeight * this.ratio);
    // Drawn by the processor even where there is a GPU: hundreds of small stamps are quick there,
    // and several times as slow where the GPU itself is only imitated.
    this.context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", { willReadFrequently: true }));
    const style = getComputedStyle(canvas);
    this.colours = {
      ink: style.color, line: style.borderTopColor, paper: style.backgroundColor,
      arrows: style.caretColor, // what the stylesheet has to say about them
    };
    /** @type {Project} */
    this.project = (positions) => camera.project(positions, comparison.middle, comparison.perspective);
    /** Pixels an Å. */
    this.size = camera.zoom * this.fitting(camera, images);
    if (this.width && this.height && (canvas.width !== this.width || canvas.height !== this.height)) {
      Object.assign(canvas, { width: this.width, height: this.height });
    }
  }

  /**
   * Pixels an Å at which everything is seen: as large as it is at first, and no larger when turned.
   * @param {import("./camera.js").Camera} camera
   * @param {boolean} images
   */
  fitting(camera, images) {
    const { cell, middle, perspective, reference, sizes } = this.comparison;
    const points = Float32Array.from([
      ...cell.flat(), ...(images ? this.comparison.withImages(reference, 3) : reference),
    ]);
    const edge = Math.max(...sizes);
    const sizeAt = (/** @type {number[][]} */ rotation) => {
      const [right, up] = camera.reach(points, middle, perspective, rotation);
      return (FILL / 2) * Math.min(this.width / (right + edge), this.height / (up + edge));
    };
    return Math.min(sizeAt(camera.start), sizeAt(camera.rotation));
  }

  /** @param {number} value  Å to the right of the middle */
  x(value) {
    return this.width / 2 + this.size * value;
  }

  /** @param {number} value  Å above the middle */
  y(value) {
    return this.height / 2 - this.size * value;
  }

  /**
   * @param {Float32Array} edges  of the cell: two points each
   * @param {Bodies} bodies
   * @param {{ghost: HTMLCanvasElement, vacancy: HTMLCanvasElement, arrows: boolean, lost: string}} what
   */
  paint(edges, bodies, { ghost, vacancy, arrows, lost }) {
    if (!this.width || !this.height) return; // not on the page
    this.context.setTransform(1, 0, 0, 1, 0, 0);
    this.context.clearRect(0, 0, this.width, this.height);
    this.paintCell(this.project(edges));
    const atoms = this.project(bodies.positions);
    this.paintBodies(bodies, atoms, ghost, vacancy);
    if (arrows && !bodies.gone) this.paintArrows(bodies.arrows, this.colours.arrows);
    this.paintLabels(atoms);
    if (bodies.gone) this.paintLost(lost);
  }

  /** @param {Float32Array} edges */
  paintCell(edges) {
    const { context, ratio } = this;
    context.strokeStyle = this.colours.line;
    context.lineWidth = ratio;
    context.setLineDash([2 * ratio, 3 * ratio]);
    context.beginPath();
    for (let at = 0; at < edges.length; at += 6) {
      context.moveTo(this.x(edges[at]), this.y(edges[at + 1]));
      context.lineTo(this.x(edges[at + 3]), this.y(edges[at + 4]));
    }
    context.stroke();
    context.setLineDash([]);
  }

  /**
   * Spheres, ghosts, empty sites and bonds.
   * @param {Bodies} bodies
   * @param {Float32Array} atoms  projected
   * @param {HTMLCanvasElement} ghost
   * @param {HTMLCanvasElement} vacancy
   */
  paintBodies(bodies, atoms, ghost, vacancy) {
    const { context, comparison } = this;
    const ghosts = this.project(bodies.ghosts), sites = this.project(comparison.vacancies);
    const bonds = this.project(bodies.bonds.ends);
    for (const [, kind, k] of fromBackToFront(bodies, atoms, ghosts, sites, bonds)) {
      if (kind === BOND) this.paintBond(bonds.subarray(6 * k, 6 * k + 6), bodies.bonds.pale[k]);
      else if (kind === VACANCY) {
        context.globalAlpha = 1;
        this.stamp(vacancy, VACANCY_SIZE, sites, k);
      } else {
        context.globalAlpha = k < comparison.atoms ? 1 : PALE;
        this.stamp(kind === GHOST ? ghost : bodies.sprites[k], bodies.radii[k], kind === GHOST ? ghosts : atoms, k);
      }
    }
    context.globalAlpha = 1;
  }

  /**
   * @param {HTMLCanvasElement} sprite
   * @param {number} radius  Å
   * @param {Float32Array} seen  projected places
   * @param {number} k  which of them
   */
  stamp(sprite, radius, seen, k) {
    const r = radius * this.size * Math.max(1 + this.comparison.perspective * seen[3 * k + 2], 0.05);
    this.context.drawImage(sprite, this.x(seen[3 * k]) - r, this.y(seen[3 * k + 1]) - r, 2 * r, 2 * r);
  }

  /**
   * @param {Float32Array} ends  two points, projected
   * @param {boolean} pale
   */
  paintBond(ends, pale) {
    const { context } = this;
    context.globalAlpha = pale ? PALE : 1;
    context.beginPath();
    context.moveTo(this.x(ends[0]), this.y(ends[1]));
    context.lineTo(this.x(ends[3]), this.y(ends[4]));
    for (const [colour, width] of BOND_STROKES) {
      context.strokeStyle = colour;
      context.lineWidth = width * this.size;
      context.stroke();
    }
  }

  /**
   * Arrows over all that is there, with a rim that sets them off from it.
   * @param {{from: Float32Array, to: Float32Array}} arrows  n × 3 each, Å
   * @param {string} ink  of all of them
   */
  paintArrows({ from, to }, ink) {
    const { context, size, colours } = this;
    const [tails, tips] = [this.project(from), this.project(to)];
    for (const [colour, extra] of /** @type {[string, number][]} */ ([[colours.paper, 0.1], [ink, 0]])) {
      context.strokeStyle = context.fillStyle = colour;
      context.lineWidth = (0.12 + extra) * size;
      context.lineJoin = "round";
      for (let k = 0; k < tails.length; k += 3) {
        this.paintArrow(this.x(tails[k]), this.y(tails[k + 1]), this.x(tips[k]), this.y(tips[k + 1]), extra > 0);
      }
    }
  }

  /**
   * @param {number} x0
   * @param {number} y0
   * @param {number} x1  the tip
   * @param {number} y1
   * @param {boolean} outlined  whether the head is
   */
  paintArrow(x0, y0, x1, y1, outlined) {
    const { context } = this;
    const length = Math.hypot(x1 - x0, y1 - y0);
    if (length < 2) return;
    const head = Math.min(0.55 * this.size, length);
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
    if (outlined) context.stroke();
  }

  /** @param {Float32Array} atoms  projected */
  paintLabels(atoms) {
    const { context, size } = this;
    context.font = `700 ${0.75 * size}px system-ui, sans-serif`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.lineWidth = 0.2 * size;
    context.lineJoin = "round";
    context.strokeStyle = "rgba(255,255,255,0.85)";
    context.fillStyle = "#222";
    for (const [atom, symbol] of this.comparison.labels) {
      const [x, y] = [this.x(atoms[3 * atom]), this.y(atoms[3 * atom + 1])];
      context.strokeText(symbol, x, y);
      context.fillText(symbol, x, y);
    }
  }

  /**
   * Says across the pane that there is nothing more to see.
   * @param {string} reason
   */
  paintLost(reason) {
    const { context, ratio, width, height, colours } = this;
    const lines = reason.replace(": ", ":\n").split("\n");
    context.font = `600 ${13 * ratio}px system-ui, sans-serif`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    const wide = Math.max(...lines.map((text) => context.measureText(text).width)) + 24 * ratio;
    const high = (18 * lines.length + 14) * ratio;
    context.fillStyle = colours.paper;
    context.strokeStyle = colours.ink;
    context.lineWidth = ratio;
    context.beginPath();
    context.rect((width - wide) / 2, (height - high) / 2, wide, high);
    context.fill();
    context.stroke();
    context.fillStyle = colours.ink;
    lines.forEach((text, row) =>
      context.fillText(text, width / 2, height / 2 + 18 * ratio * (row - (lines.length - 1) / 2)));
  }
}

/**
 * What is to be drawn, in order: [depth, kind, number].
 * @param {Bodies} bodies
 * @param {Float32Array} atoms   projected
 * @param {Float32Array} ghosts  projected
 * @param {Float32Array} sites   projected
 * @param {Float32Array} bonds   projected, two points each
 */
function fromBackToFront(bodies, atoms, ghosts, sites, bonds) {
  const items = [];
  for (let k = 0; 3 * k < sites.length; k++) items.push([sites[3 * k + 2], VACANCY, k]);
  for (let k = 0; k < bodies.radii.length; k++) {
    items.push([atoms[3 * k + 2], ATOM, k], [ghosts[3 * k + 2] - BEHIND, GHOST, k]);
  }
  // From surface to surface, so a bond's middle decides what it hides.
  for (let k = 0; 6 * k < bonds.length; k++) items.push([(bonds[6 * k + 2] + bonds[6 * k + 5]) / 2, BOND, k]);
  return items.sort((a, b) => a[0] - b[0]);
}
