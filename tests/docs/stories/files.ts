/** Files from peer to peer: Ada shares a folder, Bob fetches with her ticket. */

import type { Story } from "../story.ts";

const FOLDER = "mkdir -p ~/Shared/films && head -c 3000000 /dev/urandom > ~/Shared/films/holiday.mkv";

export const files: Story = {
  document: "docs/files.md",
  machines: { ada: {}, bob: {}, tracker: { names: ["tracker.example"] }, relay: { names: ["relay.example"] } },
  before: async (play) => void await play.type(FOLDER),
  turns: [
    { begins: "sudo culvert tracker", on: "tracker" },
    { begins: "culvert relay", on: "relay" },
    { begins: "culvert peer share", learns: { TICKET: /(CULVERT:\S+)/ } },
    {
      begins: "culvert peer get",
      on: "bob",
      instead: [["CULVERT:AEAB…", "TICKET"]],
      async after(play) {
        await play.type("sha256sum < ~/Shared/films/holiday.mkv", { on: "ada", learns: { SUM: /(\w+)/ } });
        await play.type("sha256sum holiday.mkv | grep SUM", { on: "bob" });
      },
    },
  ],
};
