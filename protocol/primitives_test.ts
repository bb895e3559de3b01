import { testPrimitives } from "../testing/primitives_contract.ts";
import { portablePrimitives } from "./primitives.ts";

testPrimitives("portable primitives", portablePrimitives);
