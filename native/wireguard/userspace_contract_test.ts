import { testDeviceContract } from "./fixtures/device_contract.ts";
import { openUserspaceDevice } from "./userspace.ts";

const needs = { files: ["/dev/net/tun"] };

testDeviceContract("our own device", { needs, open: (name) => openUserspaceDevice({ name }) });
