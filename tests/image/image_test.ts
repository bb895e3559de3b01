/**
 * The steps of our Dockerfile, carried out in a folder with the programs and libraries of this machine. From a Debian of its own,
 * as on Docker, they are in `whole.ts`.
 */

import { testWith } from "../../testing/requirements.ts";
import { checkImage } from "./fixtures/image_checks.ts";
import { OurImage } from "./fixtures/our_image.ts";

testWith(
  { root: true, netns: true, tools: ["unshare", "setpriv", "nsenter", "useradd"], files: ["/dev/net/tun"] },
  "what the Dockerfile says makes an image whose roles run as its user",
  async (test) => {
    await using image = await OurImage.build("borrowed");
    await checkImage(image, test);
  },
);
