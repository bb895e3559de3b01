import { testPrimitives } from "../testing/primitives_contract.ts";
import { hostPrimitives } from "./host_primitives.ts";

testPrimitives("host primitives", hostPrimitives());
