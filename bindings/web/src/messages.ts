/** What the page and its worker say to each other. */

import type { EngineInfo, EngineOptions } from "./engine.js";
import type { Dials } from "./enhance.js";
import type { PixelMap } from "./maps.js";
import type { ModelInfo } from "./model-info.js";
import type { Picture } from "./pixels.js";

/** A picture as it is sent: pixels, or what the worker draws to get them. */
export type Sent = (Picture & { readonly colorSpace?: PredefinedColorSpace }) | ImageBitmap;

export type Request =
  | {
      readonly kind: "open";
      readonly content: Uint8Array;
      readonly where: string;
      readonly options: EngineOptions;
    }
  | {
      readonly kind: "enhance";
      readonly picture: Sent;
      readonly dials: Dials;
      readonly tile: number | undefined;
      readonly stream: number | undefined;
    }
  | { readonly kind: "stream"; readonly stream: number; readonly smoothing: number }
  | { readonly kind: "reset"; readonly stream: number }
  | { readonly kind: "end"; readonly stream: number }
  /** Stop the call with this number, which fails then; is served at once. */
  | { readonly kind: "stop"; readonly call: number };

export interface Opened {
  readonly info: ModelInfo;
  readonly engine: EngineInfo;
}

export interface Answer {
  readonly picture: Picture;
  readonly guidance: PixelMap | undefined;
  /** Of the network and of what is around it, without waiting. */
  readonly milliseconds: number;
}

export type Reply =
  | { readonly id: number; readonly share: number }
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: string; readonly isOurs: boolean };
