/**
 * A walk on its map, drawn on canvases: the path, the gradient on its way back, and fog.
 *
 * @typedef {import("./walk.js").Walk} Walk
 * @typedef {import("./walk.js").WayBack} WayBack
 * @typedef {[number, number]} Pixels
 *
 * @typedef {Object} Scene
 * @property {Walk} walk
 * @property {WayBack | null} back  its gradient; null where it is not to be drawn
 * @property {{step: number, back: number} | null} moment  while the walk is played
 * @property {Object<string, string>} colours  ink, paper, band, fog
 * @property {number} ratio         device pixels a pixel
 * @property {(x: number, y: number) => Pixels} pixels  of a place in Å
 */

const BAND = 17;     // pixels of the gradient's band where it is as large as at the end
const ROOM = 15;     // pixels between two arrows
const LONG = 34;     // pixels: no arrow is longer
const SHORT = 5;     // and none is shorter
const FAR = 1e5;     // pixels, beyond which nothing is drawn

/**
 * @param {HTMLCanvasElement} canvas
 * @param {Scene} scene
 */
export function paintWalk(canvas, scene) {
  const { walk, moment, ratio, colours } = scene;
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  const until = moment ? moment.step : walk.made;
  const places = Array.from(walk.x.subarray(0, until + 1), (x, t) => scene.pixels(x, walk.y[t]));
  context.lineJoin = context.lineCap = "round";
  if (scene.back) paintGradient(context, scene, places, moment ? moment.back : 0);
  for (const [colour, width] of /** @type {[string, number][]} */ ([[colours.paper, 4], [colours.ink, 1.8]])) {
    context.strokeStyle = colour;
    context.lineWidth = width * ratio;
    context.beginPath();
    places.forEach(([x, y], t) => (t ? context.lineTo(x, y) : context.moveTo(x, y)));
    context.stroke();
  }
  places.forEach((place, t) => {
    if (t) paintDot(context, place, (t === until ? 6.5 : 2.8) * ratio, colours.ink, colours.paper, 1.2 * ratio);
  });
  if (walk.lost && until === walk.made) paintLost(canvas, scene, places[places.length - 1]);
}

/**
 * The gradient: a band along the path, as wide as it is large, and arrows where it pulls.
 * @param {CanvasRenderingContext2D} context
 * @param {Scene} scene
 * @param {Pixels[]} places  of the path
 * @param {number} from  the step it has come back to
 */
function paintGradient(context, { back, ratio, colours }, places, from) {
  const last = back.size[back.size.length - 1];
  if (!(last > 0)) return; // at the star: nothing to learn
  // As wide as the end's band for the end's size; nothing for a hundredth of it.
  const width = (/** @type {number} */ t) =>
    BAND * Math.min(Math.max(1 + Math.log10(back.size[t] / last) / 2, 0), 2.5);
  context.strokeStyle = context.fillStyle = colours.band;
  context.globalAlpha = 0.55;
  for (let t = places.length - 1; t > from; t--) {
    const wide = (width(t) + width(t - 1)) / 2;
    if (!(wide > 0.2)) continue;
    context.lineWidth = wide * ratio;
    context.beginPath();
    context.moveTo(...places[t]);
    context.lineTo(...places[t - 1]);
    context.stroke();
  }
  context.globalAlpha = 1;
  /** @type {Pixels | null} */
  let previous = null;
  for (let t = places.length - 1; t >= Math.min(from, places.length - 1); t--) {
    const long = Math.min(1.6 * width(t), LONG) * ratio;
    const near = previous && Math.hypot(places[t][0] - previous[0], places[t][1] - previous[1]) < ROOM * ratio;
    if (long < SHORT * ratio || near) continue;
    previous = places[t];
    paintArrow(context, places[t], [-back.x[t] / back.size[t], back.y[t] / back.size[t]], long, ratio);
  }
}

/**
 * An arrow in the colour that is set.
 * @param {CanvasRenderingContext2D} context
 * @param {Pixels} from
 * @param {Pixels} direction  of length one
 * @param {number} long   pixels
 * @param {number} ratio
 */
function paintArrow(context, [x, y], [ux, uy], long, ratio) {
  const head = Math.min(9 * ratio, long), half = 0.42 * head;
  const [bx, by, tx, ty] = [x + ux * (long - head), y + uy * (long - head), x + ux * long, y + uy * long];
  context.lineWidth = 2.2 * ratio;
  context.beginPath();
  context.moveTo(x, y);
  context.lineTo(bx, by);
  context.stroke();
  context.beginPath();
  context.moveTo(tx, ty);
  context.lineTo(bx - half * uy, by + half * ux);
  context.lineTo(bx + half * uy, by - half * ux);
  context.fill();
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Pixels} place
 * @param {number} radius
 * @param {string} colour
 * @param {string} rim
 * @param {number} width  of the rim
 */
function paintDot(context, [x, y], radius, colour, rim, width) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fillStyle = colour;
  context.fill();
  context.lineWidth = width;
  context.strokeStyle = rim;
  context.stroke();
}

/**
 * A cross where the walk leaves what is seen.
 * @param {HTMLCanvasElement} canvas
 * @param {Scene} scene
 * @param {Pixels} place
 */
function paintLost(canvas, { colours, ratio }, [x, y]) {
  const context = canvas.getContext("2d"), margin = 12 * ratio, arm = 7 * ratio;
  const kept = (/** @type {number} */ value, /** @type {number} */ size) =>
    Math.min(Math.max(value, margin), size - margin);
  const [cx, cy] = [kept(x, canvas.width), kept(y, canvas.height)];
  for (const [colour, wide] of /** @type {[string, number][]} */ ([[colours.paper, 7], [colours.band, 3.5]])) {
    context.strokeStyle = colour;
    context.lineWidth = wide * ratio;
    context.beginPath();
    for (const sign of [1, -1]) {
      context.moveTo(cx - arm, cy - sign * arm);
      context.lineTo(cx + arm, cy + sign * arm);
    }
    context.stroke();
  }
}

/**
 * Fog over all that the walker has not seen.
 * @param {HTMLCanvasElement} canvas
 * @param {Scene} scene
 * @param {number} sight  pixels
 */
export function paintFog(canvas, { walk, moment, colours, pixels }, sight) {
  const context = canvas.getContext("2d"), { width, height } = canvas;
  context.globalCompositeOperation = "source-over";
  context.clearRect(0, 0, width, height);
  context.fillStyle = colours.fog;
  context.fillRect(0, 0, width, height);
  context.globalCompositeOperation = "destination-out";
  const until = moment ? moment.step : walk.made;
  for (let t = 0; t <= until; t++) {
    const [x, y] = pixels(walk.x[t], walk.y[t]);
    if (!(Math.abs(x) < FAR && Math.abs(y) < FAR)) continue;
    const hole = context.createRadialGradient(x, y, 0.3 * sight, x, y, sight);
    hole.addColorStop(0, "#000f");
    hole.addColorStop(1, "#0000");
    context.fillStyle = hole;
    context.fillRect(x - sight, y - sight, 2 * sight, 2 * sight);
  }
}
