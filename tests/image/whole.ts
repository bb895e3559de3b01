/**
 * The steps of our Dockerfile from nothing: a Debian made by debootstrap, its packages from Debian, ours from the registry. Minutes,
 * and downloads; `deno task test:image`.
 */

import { assert } from "@std/assert";
import { testWith } from "../../testing/requirements.ts";
import { checkImage, megabytesOf } from "./fixtures/image_checks.ts";
import { OurImage } from "./fixtures/our_image.ts";

/** Debian without manuals and translations, as Docker has it, is 50 MB smaller than what debootstrap makes. */
const MAX_MB = 400;

testWith(
  { root: true, netns: true, tools: ["debootstrap", "unshare", "setpriv", "nsenter"], files: ["/dev/net/tun"] },
  "what the Dockerfile says makes the image from nothing",
  async (test) => {
    await using image = await OurImage.build("debootstrap");
    await checkImage(image, test);
    const megabytes = await megabytesOf(image);
    console.log(`The image has ${megabytes} MB.`);
    assert(megabytes < MAX_MB, `${megabytes} MB`);
  },
);
