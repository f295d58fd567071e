/**
 * Moves the atoms of nglview's panes from within the browser: a frame costs no message to or from
 * the kernel. nglview's own views are built by Python (pane.py); here they are only found again.
 */

const PATIENCE = 15000; // milliseconds to wait for nglview to appear before giving it up
const SHORTEST = 1e-3;  // Å: a shorter arrow has no direction
const SHAFT = 0.09, HEAD = 0.26, HEAD_LENGTH = 0.55; // radii and length of an arrow's parts, Å
const ARROW_CORNERS = 30; // three for each triangle; pane.py makes room for as many
const FADED = 0.25;     // opacity of atoms that are no longer where they are shown

/**
 * Drives one `NGLWidget` a path.
 *
 * Components are known by name: the structure's own (its atoms), "images", "arrows"; whatever
 * else is in a pane (ghost, cell) stays as it is. A pane that is not there yet gets its frame when
 * it arrives.
 */
export class NglStage {
  /**
   * @param {{get_model: (id: string) => Promise<any>}} manager  of the page's widgets
   * @param {string[]} ids  of the panes' models
   * @param {HTMLElement} el  whose background the panes get
   */
  constructor(manager, ids, el) {
    this.manager = manager;
    this.ids = ids;
    this.el = el;
    this.heard = new WeakSet();
    this.arrived = new Set();
    this.state = { step: 0, arrows: false, images: false };
    this.themed = new MutationObserver(() => this.draw(this.state));
    this.themed.observe(document.body, { attributes: true });
  }

  /**
   * Waits until every pane has a drawing surface.
   * @throws {Error} where nglview's front end is missing
   */
  async connect() {
    this.models = await withLimit(Promise.all(this.ids.map((id) => this.manager.get_model(id))));
    const began = performance.now();
    // A front end that is missing leaves an error model in place of nglview's own.
    if (this.models.some((model) => model.get("_model_name") !== "NGLModel" || model.get("error"))) {
      throw new Error("nglview's front end could not be loaded");
    }
    while ((await this.views()).some((views) => !views.some((view) => view.stage))) {
      if (performance.now() - began > PATIENCE) throw new Error("nglview did not appear");
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    this.draw(this.state);
  }

  /** The views of every model; one is shown as often as its output is. */
  views() {
    return Promise.all(this.models.map((model) => Promise.all(Object.values(model.views ?? {}))));
  }

  /** @param {import("./clip.js").Clip} clip */
  load(clip) {
    this.clip = clip;
  }

  destroy() {
    this.themed.disconnect();
    this.models = null;
  }

  /** @param {{step: number, arrows: boolean, images: boolean}} state */
  draw(state) {
    this.state = { ...state };
    this.due ??= requestAnimationFrame(async () => {
      this.due = null;
      if (!this.models || !this.clip) return;
      (await this.views()).forEach((views, index) =>
        views.filter((view) => view.stage).forEach((view) => this.drawView(view, index)));
      this.drawn = (this.drawn ?? 0) + 1; // counted by the benchmark
    });
  }

  drawView(view, index) {
    const { clip, state } = this;
    const { stage } = view;
    if (!this.heard.has(stage)) {
      this.heard.add(stage);
      stage.signals.componentAdded.add(() => this.draw(this.state));
    }
    // Asked of the stage, not remembered: nglview may have painted it white since.
    const backgroundColor = hex(getComputedStyle(this.el).backgroundColor);
    if (stage.getParameters().backgroundColor !== backgroundColor) stage.setParameters({ backgroundColor });
    const path = clip.paths[index];
    const { positions, distances } = path.at(state.step);
    for (const component of stage.compList) {
      if (component.name === clip.structure) {
        fade(component, path.gone(state.step));
        move(component, positions, distances);
      } else if (component.name === "images") {
        component.setVisibility(state.images);
        if (state.images) {
          move(component, clip.withImages(positions, 3).subarray(positions.length),
               clip.withImages(distances).subarray(distances.length));
        }
      } else if (component.name === "arrows") {
        component.setVisibility(state.arrows && !path.gone(state.step));
        if (state.arrows) point(component, positions, clip);
      }
    }
    stage.viewer.requestRender();
  }
}

/** Places and colours of a structure's atoms, in one redraw of its buffers. */
function move(component, positions, distances) {
  const { structure } = component;
  if (structure?.atomStore?.count !== distances.length) return; // of another structure: on its way out
  structure.updatePosition(positions);
  structure.atomStore.bfactor.set(distances);
  component.updateRepresentations({ position: true, color: true });
}

/** Arrows are moved, not made anew: that took most of a second a frame. */
function point(component, positions, clip) {
  const tips = clip.reference.map((place, at) => positions[at] + clip.magnified * (place - positions[at]));
  component.reprList[0]?.repr.bufferList[0]?.setAttributes(arrowMesh(positions, tips));
}

/**
 * Arrows as triangles: a three-sided shaft and head. NGL's own arrows are spheres of equations,
 * worked out pixel by pixel; without a GPU they cost twice as much as all atoms.
 * @param {Float32Array} from  n × 3, Å
 * @param {Float32Array} to    n × 3, Å
 * @returns {{position: Float32Array, normal: Float32Array}} `ARROW_CORNERS` × 3 numbers an arrow
 */
export function arrowMesh(from, to) {
  const size = ARROW_CORNERS * from.length;
  const position = new Float32Array(size), normal = new Float32Array(size);
  let at = 0;
  const triangle = (a, b, c) => {
    const across = unit(cross(minus(b, a), minus(c, a)));
    for (const corner of [a, b, c]) {
      position.set(corner, at);
      normal.set(across, at);
      at += 3;
    }
  };
  for (let k = 0; k < from.length; k += 3) {
    const tail = [...from.subarray(k, k + 3)], tip = [...to.subarray(k, k + 3)];
    const span = minus(tip, tail), length = Math.hypot(...span);
    const along = length > SHORTEST ? unit(span) : [0, 0, 1];
    const away = unit(cross(along, Math.abs(along[0]) < 0.7 ? [1, 0, 0] : [0, 1, 0]));
    const other = cross(along, away);
    const neck = plus(tip, along, -Math.min(HEAD_LENGTH, 0.6 * length));
    const ring = (middle, radius) => [0, 1, 2].map((corner) => {
      const angle = (2 * Math.PI * corner) / 3;
      const thin = Math.min(radius, 0.5 * length);
      return plus(plus(middle, away, thin * Math.cos(angle)), other, thin * Math.sin(angle));
    });
    const [foot, shaft, head] = [ring(tail, SHAFT), ring(neck, SHAFT), ring(neck, HEAD)];
    for (let side = 0; side < 3; side++) {
      const next = (side + 1) % 3;
      triangle(foot[side], foot[next], shaft[side]);
      triangle(shaft[side], foot[next], shaft[next]);
      triangle(head[side], head[next], tip);
    }
    triangle(head[2], head[1], head[0]);
  }
  return { position, normal };
}

const minus = (a, b) => a.map((value, part) => value - b[part]);
const plus = (a, b, times) => a.map((value, part) => value + times * b[part]);
const cross = ([a, b, c], [x, y, z]) => [b * z - c * y, c * x - a * z, a * y - b * x];
const unit = (vector) => {
  const length = Math.hypot(...vector) || 1;
  return vector.map((part) => part / length);
};

function fade(component, gone) {
  if (component.bpttvizGone === gone) return;
  component.bpttvizGone = gone;
  component.eachRepresentation((element) => element.setParameters({ opacity: gone ? FADED : 1 }));
}

/** "#rrggbb" of a computed colour; white where it is transparent. */
function hex(colour) {
  const [r, g, b, alpha = 1] = (colour.match(/[\d.]+/g) ?? []).map(Number);
  if (!alpha || r === undefined) return "white";
  return "#" + [r, g, b].map((part) => Math.round(part).toString(16).padStart(2, "0")).join("");
}

function withLimit(promise) {
  const late = new Promise((_, reject) =>
    setTimeout(() => reject(new Error("nglview's models did not appear")), PATIENCE));
  return Promise.race([promise, late]);
}
