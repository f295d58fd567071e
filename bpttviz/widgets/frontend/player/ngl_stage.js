/**
 * Moves the atoms of nglview's panes from within the browser: a frame costs no message to or from
 * the kernel. nglview's own views are built by Python (ngl.py); here they are only found again.
 */
import { bondsOf } from "./bonds.js";
import { arrowMesh, dashedRings, rodMesh } from "./meshes.js";
import { VACANCY_SIZE } from "./pane_painter.js";

const NGL_PATIENCE = 15000; // milliseconds to wait for nglview to appear before giving it up
const PALE_OPACITY = 0.25;  // opacity of atoms that are no longer where they are shown
const NEVER_SHARP = -1;      // a level of sampling, in NGL's words
const BOND_RADIUS = 0.09, RING_RADIUS = 0.05; // Å

/**
 * Drives one `NGLWidget` a path.
 *
 * Components are known by name: the structure's own (its atoms), "images", and the meshes "bonds",
 * "arrows", "empty sites"; whatever else is in a pane (ghost, cell) stays as it is. A pane that is
 * not there yet gets its frame when it arrives.
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
    /** @type {import("./canvas_stage.js").StageState} */
    this.state = { step: 0, arrows: false, images: false, exaggeration: 1 };
    /** @type {number | null} */
    this.due = null;
    this.drawn = 0; // how often, for those who measure it
    /** @type {((atom: number) => void) | null} an atom was clicked */
    this.onPick = null;
    /** @type {any[] | null} */
    this.models = null;
    /** @type {import("./comparison.js").Comparison | null} */
    this.comparison = null;
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
      if (performance.now() - began > NGL_PATIENCE) throw new Error("nglview did not appear");
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    this.draw(this.state);
  }

  /** The views of every model; one is shown as often as its output is. */
  views() {
    return Promise.all(this.models.map((model) => Promise.all(Object.values(model.views ?? {}))));
  }

  /** @param {import("./comparison.js").Comparison} comparison */
  load(comparison) {
    this.comparison = comparison;
  }

  destroy() {
    this.themed.disconnect();
    this.models = null;
  }

  /** @param {import("./canvas_stage.js").StageState} state */
  draw(state) {
    this.state = { ...state };
    this.due ??= requestAnimationFrame(async () => {
      this.due = null;
      if (!this.models || !this.comparison) return;
      (await this.views()).forEach((views, index) =>
        views.filter((view) => view.stage).forEach((view) => this.drawView(view, index)));
      this.drawn++;
    });
  }

  /**
   * @param {any} view     nglview's
   * @param {number} index  of the path
   */
  drawView(view, index) {
    const { comparison, state } = this;
    const { stage } = view;
    if (!this.heard.has(stage)) {
      this.heard.add(stage);
      stage.signals.componentAdded.add(() => this.draw(this.state));
      stage.signals.clicked.add((/** @type {any} */ picked) => {
        if (picked?.atom && picked.component?.name === this.comparison?.structure) this.onPick?.(picked.atom.index);
      });
      sharpenLast(stage.viewer);
    }
    // The sharp picture costs as much as a dozen drafts: none between two steps.
    if (state.playing) stage.viewer.sampleLevel = NEVER_SHARP;
    else if (stage.viewer.sampleLevel === NEVER_SHARP) stage.viewer.sampleLevel = stage.getParameters().sampleLevel;
    // Asked of the stage, not remembered: nglview may have painted it white since.
    const backgroundColor = hex(getComputedStyle(this.el).backgroundColor);
    if (stage.getParameters().backgroundColor !== backgroundColor) stage.setParameters({ backgroundColor });
    for (const component of stage.compList) this.drawComponent(component, comparison.paths[index]);
    stage.viewer.requestRender();
  }

  /**
   * @param {any} component  NGL's
   * @param {import("./comparison.js").RelaxationPath} path
   */
  drawComponent(component, path) {
    const { comparison, state } = this;
    const { step, exaggeration, images } = state;
    const { positions, distances } = path.at(step, exaggeration);
    const gone = path.gone(step);
    if (component.name === comparison.structure) {
      dim(component, gone);
      moveAtoms(component, positions, distances);
    } else if (component.name === "images") {
      component.setVisibility(images);
      if (images) {
        moveAtoms(component, comparison.withImages(positions, 3).subarray(positions.length),
          comparison.withImages(distances).subarray(distances.length));
      }
    } else if (component.name === "bonds") {
      // Bonds are those of the atoms where they are, not where they are drawn.
      const known = exaggeration === 1 ? positions : path.at(step).positions;
      dim(component, gone);
      setMesh(component, rodMesh(bondsOf(comparison, known, positions, images).ends, BOND_RADIUS));
    } else if (component.name === "empty sites") {
      setMesh(component, rodMesh(dashedRings(comparison.vacancies, VACANCY_SIZE), RING_RADIUS));
    } else if (component.name === "arrows") {
      component.setVisibility(state.arrows && !gone);
      if (!state.arrows) return;
      const { from, to } = comparison.arrows(positions, distances, Math.max(comparison.magnified, exaggeration));
      setMesh(component, arrowMesh(from, to));
    }
  }
}

/**
 * NGL draws drafts, and once nothing has moved for half a second a sharp picture. Where the page was
 * busy for so long that a draft is still due then, it would come last and stay: so one that is due
 * begins the half second anew.
 * @param {any} viewer  NGL's
 */
function sharpenLast(viewer) {
  viewer.signals.ticked.add(() => {
    if (viewer.renderPending) viewer.stats.begin();
  });
}

/**
 * Places and colours of a structure's atoms, in one redraw of its buffers.
 * @param {any} component  NGL's
 * @param {Float32Array} positions
 * @param {Float32Array} distances
 */
function moveAtoms(component, positions, distances) {
  const { structure } = component;
  if (structure?.atomStore?.count !== distances.length) return; // of another structure: on its way out
  structure.updatePosition(positions);
  structure.atomStore.bfactor.set(distances);
  component.updateRepresentations({ position: true, color: true });
}

/**
 * Another mesh in a shape's only buffer, in that one's colour: buffers made anew took most of a
 * second a frame. The room that a smaller mesh leaves is filled with triangles of no size.
 * @param {any} component  NGL's
 * @param {import("./meshes.js").Mesh} mesh
 */
function setMesh(component, { position, normal }) {
  const buffer = component.reprList[0]?.repr.bufferList[0];
  if (!buffer) return; // on its way
  const { attributes } = buffer.geometry;
  const room = attributes.position.array.length;
  if (position.length > room) {
    const colour = attributes.color.array.slice(0, 3);
    buffer.setAttributes({
      position, normal,
      color: Float32Array.from(position, (_, at) => colour[at % 3]),
      ...(attributes.primitiveId && { primitiveId: new Float32Array(position.length / 3) }),
    });
  } else {
    const full = [position, normal].map((part) => {
      const all = new Float32Array(room);
      all.set(part);
      return all;
    });
    buffer.setAttributes({ position: full[0], normal: full[1] });
  }
}

/**
 * Pale where there is nothing to show.
 * @param {any} component  NGL's
 * @param {boolean} gone
 */
function dim(component, gone) {
  if (component.bpttvizGone === gone) return;
  component.bpttvizGone = gone;
  component.eachRepresentation((/** @type {any} */ element) => element.setParameters({ opacity: gone ? PALE_OPACITY : 1 }));
}

/**
 * "#rrggbb" of a computed colour; white where it is transparent.
 * @param {string} colour
 */
function hex(colour) {
  const [r, g, b, alpha = 1] = (colour.match(/[\d.]+/g) ?? []).map(Number);
  if (!alpha || r === undefined) return "white";
  return "#" + [r, g, b].map((part) => Math.round(part).toString(16).padStart(2, "0")).join("");
}

/**
 * @template T
 * @param {Promise<T>} promise
 * @returns {Promise<T>}
 */
function withLimit(promise) {
  /** @type {Promise<never>} */
  const late = new Promise((_, reject) =>
    setTimeout(() => reject(new Error("nglview's models did not appear")), NGL_PATIENCE));
  return Promise.race([promise, late]);
}
