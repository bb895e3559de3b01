import type { Story } from "../story.ts";

export const network: Story = { document: "docs/network.md" };
