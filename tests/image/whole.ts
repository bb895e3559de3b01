/**
 * The steps of our Dockerfile from nothing: a Debian made by debootstrap, its packages from Debian, ours from the registry. Minutes,
 * and downloads; `deno task test:image`.
 */

import { assert } from "@std/assert";
import { testWith } from "../../testing/requirements.ts";
import { checkImage, megabytesOf } from "./fixtures/image_checks.ts";
import { OurImage } from "./fixtures/our_image.ts";

/** Of what is ours: Deno, the packages, the tree, and all of it compiled. Debian's part is that of its image, 75 MB. */
const MAX_MB = 200;

testWith(
  { root: true, netns: true, tools: ["debootstrap", "unshare", "setpriv", "nsenter"], files: ["/dev/net/tun"] },
  "what the Dockerfile says makes the image from nothing",
  async (test) => {
    await using image = await OurImage.build("debootstrap");
    await checkImage(image, test);
    const [deno, program] = [await megabytesOf(image, "/usr/local"), await megabytesOf(image, "/opt")];
    console.log(`Deno has ${deno} MB, and the program ${program} MB.`);
    assert(deno + program < MAX_MB, `${deno} MB and ${program} MB`);
  },
);
