/** What lies behind the arrows of an error plane. */
import { svg, typesetSvg } from "../shared/dom.js";
import { PLANE_HEIGHT, frameOf } from "./scales.js";

/**
 * Axes, quarters and the noise floor: all that lies behind the arrows.
 * @param {import("./scales.js").Data} data
 * @param {import("./scales.js").Scale} scale
 */
export function background(data, { x, y, at }) {
  const { left, right, top, bottom, innerRight } = frameOf(data);
  const group = svg("g", { "aria-hidden": "true" });
  if (data.mean) {
    const [mx, my] = at(data.mean);
    group.append(
      svg("rect", { class: "paradox", x: mx, y: my, width: innerRight - mx, height: bottom - my }),
      svg("line", { class: "divide", x1: mx, x2: mx, y1: top, y2: bottom }),
      svg("line", { class: "divide", x1: left, x2: right, y1: my, y2: my }),
    );
  }
  if (data.noise_floor) {
    const level = y(data.noise_floor), seen = level < bottom;
    if (seen) {
      group.append(svg("rect", { class: "noise", x: left, y: level, width: innerRight - left, height: bottom - level }));
    }
    group.append(svg("text", { class: "faint", x: left + 6, y: seen ? Math.min(level + 13, bottom - 4) : bottom - 6 },
      seen ? "within the noise floor" : `↓ noise floor: ${Number(data.noise_floor.toPrecision(2))}`));
  }
  data.ticks[0].forEach((value) => group.append(
    svg("line", { class: "axis", x1: x(value), x2: x(value), y1: bottom, y2: bottom + 5 }),
    svg("text", { class: "tick", x: x(value), y: bottom + 18, "text-anchor": "middle" },
        String(value)),
  ));
  data.ticks[1].forEach((value) => group.append(
    svg("line", { class: "axis", x1: left - 5, x2: left, y1: y(value), y2: y(value) }),
    svg("text", { class: "tick", x: left - 9, y: y(value) + 4, "text-anchor": "end" },
        String(value)),
  ));
  const middle = (top + bottom) / 2;
  group.append(
    svg("path", { class: "axis", d: `M${left} ${top}V${bottom}H${right}` }),
    svg("text", { class: "label", x: (left + right) / 2, y: PLANE_HEIGHT - 10, "text-anchor": "middle" },
        "force error (MAE) / eV/Å"),
    svg("text", { class: "label", x: 14, y: middle, "text-anchor": "middle",
                  transform: `rotate(-90 14 ${middle})` },
        ...typesetSvg("endpoint error at rest, ΔQ / amu^½ Å")),
  );
  return group;
}
