/** Gives the tests the library, in the browser. */

import * as hyperguide from "../src/index.js";

Object.assign(window, { hyperguide });
