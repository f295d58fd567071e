/** Spheres drawn once, to be stamped at any size: much quicker than drawing each anew. */
import { css, mix, rgb } from "../shared/colour.js";

const SPRITE = 96; // pixels across a ready-made sphere

/** @param {(context: CanvasRenderingContext2D, half: number) => void} paint  fills and strokes the circle */
function sphere(paint) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SPRITE;
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", { willReadFrequently: true }));
  const half = SPRITE / 2;
  context.beginPath();
  context.arc(half, half, half - 2, 0, 2 * Math.PI);
  paint(context, half);
  return canvas;
}

/**
 * An atom, lit from the upper left.
 * @param {import("../shared/colour.js").RGB} colour
 */
export function solidSphere(colour) {
  return sphere((context, half) => {
    const light = context.createRadialGradient(0.7 * half, 0.6 * half, 0, 0.85 * half, 0.82 * half, 1.2 * half);
    light.addColorStop(0, css(mix(colour, [255, 255, 255], 0.62)));
    light.addColorStop(0.28, css(mix(colour, [255, 255, 255], 0.16)));
    light.addColorStop(0.55, css(colour));
    light.addColorStop(0.85, css(mix(colour, [0, 0, 0], 0.16)));
    light.addColorStop(1, css(mix(colour, [0, 0, 0], 0.3)));
    context.fillStyle = light;
    context.fill();
    context.lineWidth = 2.5;
    context.strokeStyle = "rgba(34,34,34,0.8)";
    context.stroke();
  });
}

/**
 * Where an atom is missing: a dashed outline with nothing in it.
 * @param {string} colour  "#rrggbb"
 */
export function emptySite(colour) {
  return sphere((context, half) => {
    context.fillStyle = "rgba(255,255,255,0.25)";
    context.fill();
    context.lineWidth = 5;
    context.strokeStyle = "rgba(255,255,255,0.9)";
    context.stroke();
    context.setLineDash([(2 * Math.PI * (half - 2)) / 20]);
    context.lineWidth = 4.5;
    context.strokeStyle = css(rgb(colour));
    context.stroke();
  });
}

/**
 * An outline to look through.
 * @param {string} colour  "#rrggbb"
 */
export function ghostSphere(colour) {
  return sphere((context) => {
    context.fillStyle = css(rgb(colour), 0.3);
    context.fill();
    context.lineWidth = 4;
    context.strokeStyle = css(rgb(colour), 0.95);
    context.stroke();
  });
}
