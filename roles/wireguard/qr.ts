/**
 * A configuration as a QR code in the terminal, for the camera of the WireGuard app: two modules a character by half
 * blocks, with colours of their own so that it reads on dark and on light terminals alike. The code holds the private
 * key, as the file does: whoever sees it has it.
 */

import encodeQR from "qr";
import { CulvertError } from "../../protocol/errors.ts";

/** What version 40 holds at the lowest error correction, ISO/IEC 18004 table 7. */
const MAX_BYTES = 2953;
/** The light frame a reader needs around the code, §9.1. */
const QUIET_MODULES = 4;

const WHITE_ON_BLACK = "\x1b[97;40m";
const PLAIN = "\x1b[0m";

/** The modules, dark ones true, with their frame. */
export function qrModules(text: string): boolean[][] {
  const bytes = new TextEncoder().encode(text).length;
  if (bytes > MAX_BYTES) {
    throw new CulvertError(
      "too_large",
      `Cannot make a QR code: the configuration must be at most ${MAX_BYTES} bytes, got ${bytes}`,
    );
  }
  return encodeQR(text, "raw", { ecc: "low", border: QUIET_MODULES });
}

/** The lines to print. */
export function qrLines(modules: readonly (readonly boolean[])[]): string[] {
  const lines: string[] = [];
  for (let row = 0; row < modules.length; row += 2) {
    // Past the last row of an odd number there is more of the frame.
    const blocks = modules[row]!.map((upper, column) => block(upper, modules[row + 1]?.[column] ?? false));
    lines.push(WHITE_ON_BLACK + blocks.join("") + PLAIN);
  }
  return lines;
}

/** What is drawn is what is light. */
function block(upperDark: boolean, lowerDark: boolean): string {
  if (upperDark) return lowerDark ? " " : "▄";
  return lowerDark ? "▀" : "█";
}
