/**
 * Arrays as they arrive: base64 text (in a page) or a DataView (from a kernel); both little-endian,
 * as every browser's machine is.
 *
 * @typedef {string | DataView} Packed
 */

/**
 * @param {Packed} packed
 * @returns {ArrayBuffer} a copy, so that it is aligned for any type of number
 */
export function unpack(packed) {
  if (typeof packed === "string") {
    const text = atob(packed);
    return Uint8Array.from(text, (letter) => letter.charCodeAt(0)).buffer;
  }
  const buffer = /** @type {ArrayBuffer} */ (packed.buffer);
  return buffer.slice(packed.byteOffset, packed.byteOffset + packed.byteLength);
}
